"""What the page says of a compression: the answer, the front, the path, the proof, every point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.pipeline.page import _charts_compression, _words

MOST_TENSORS = 12


def view(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """The section's content from compression.json; None where nothing was compressed."""
    if not told.get("points"):
        return None
    chosen = next(point for point in told["points"] if point["id"] == told["chosen"])
    return {
        "met": told["status"] == "met",
        "sentence": _sentence(told, chosen),
        "infeasible": told.get("infeasible"),
        "relax": [change(one) for one in (told.get("infeasible") or {}).get("relax", ())],
        "race": told["proof"]["latency"],
        "chart": _charts_compression.front(told),
        "metric": told["main"],
        "chosen": chosen,
        "steps": _steps(told),
        "proof": told["proof"],
        "stages": [_stage(stage) for stage in told["proof"].get("stages", ())],
        "worst": _worst(told["proof"].get("stages", ())),
        "ledger": _ledger(told["proof"].get("size") or ()),
        "points": sorted(
            [told["baseline"], *told["points"]], key=lambda point: point["latency"]["p50_ms"]
        ),
        "rows": told["rows"],
        "seconds": told.get("seconds"),
    }


def _sentence(told: Mapping[str, Any], chosen: Mapping[str, Any]) -> Any:
    """What was reached, or not, in one sentence."""
    race, test, before = told["proof"]["latency"], told["proof"]["test"], told["baseline"]
    values = {
        "p50": _milliseconds(race["p50_ms"]),
        "before": _milliseconds(race["baseline_p50_ms"]),
        "pace": _pace(race["ratio"]),
        "size": f"{chosen['bytes'] / 1e6:.1f}",
        "size_before": f"{before['bytes'] / 1e6:.0f}",
        "bound": f"{test['bound_points']:.2f}",
        "metric": _words.within("metric", told["main"]),
        "rows": _words.whole(test["rows"]),
    }
    return _words.say("small.met" if told["status"] == "met" else "small.nearest", **values)


def _pace(ratio: float) -> Any:
    """How much faster, or slower, than the uncompressed model."""
    if ratio >= 1:
        return _words.say("small.faster", ratio=f"{ratio:.1f}")
    return _words.say("small.slower", ratio=f"{1 / max(ratio, 1e-9):.1f}")


def _steps(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The path from the uncompressed model on, each step with what it left."""
    before = told["baseline"]
    first = {
        "step": "start",
        "label": before["label"],
        "bytes": before["bytes"],
        "p50_ms": before["latency"]["p50_ms"],
        "value": before["tuning"]["value"],
    }
    return [first, *told.get("bought", ())]


def change(one: Mapping[str, Any]) -> dict[str, Any]:
    """A relaxation: the recipe's keys joined, the point it lets in, whether its drop is shown."""
    changed = {one["limit"]: one["to"], **one.get("also", {})}
    return {
        "limit": " + ".join(changed),
        "to": " + ".join(f"{value:g}" for value in changed.values()),
        "buys": one["buys"],
        "proven": one.get("proven", True),
    }


def _stage(stage: Mapping[str, Any]) -> dict[str, Any]:
    tolerance, what = stage.get("tolerance"), str(stage["what"])
    name = "int8 against fp32" if what.endswith("against fp32") else what
    return {
        **stage,
        "name": _words.known("small.stage", name.replace(" ", "-")),
        "shown": _difference(stage.get("max_abs_diff"), tolerance),
    }


def _difference(value: Any, tolerance: Any) -> str:
    if value is None:
        return "–"
    allowed = "" if tolerance is None else f" ≤ {tolerance:g}"
    return f"{value:.2g}{allowed}"


def _worst(stages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows on which the numeric form differs most."""
    return next((list(stage["worst"]) for stage in stages if stage.get("worst")), [])


def _ledger(size: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The largest tensors with their share of the file."""
    total = sum(entry["bytes"] for entry in size)
    ordered = sorted(size, key=lambda entry: -entry["bytes"])
    rows = [{**entry, "share": entry["bytes"] / max(total, 1)} for entry in ordered[:MOST_TENSORS]]
    if rest := ordered[MOST_TENSORS:]:
        kept = sum(entry["bytes"] for entry in rest)
        rows.append(
            {
                "tensor": f"+ {len(rest)}", "dtype": "", "shape": "", "bytes": kept,
                "share": kept / max(total, 1),
            }
        )  # fmt: skip
    return rows


def _milliseconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
