"""The page's content: what the template shows, computed from a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from modelwright.pipeline.page import _advice, _charts_quality, _charts_run, _compression, _words
from modelwright.pipeline.page._run import Run

_WEAK = 0.1
_NARROW_CLASSES = 30


def view(run: Run) -> dict[str, Any]:
    """Everything the template needs, by name."""
    return {
        "run": run,
        "head": _head(run),
        "hero": _hero(run),
        "leads": _leads(run),
        "metrics": _metrics(run),
        "classes": _classes(run),
        "calibration": _calibration(run),
        "slices": _slices(run),
        "regression": _regression(run),
        "variants": _variants(run),
        "small": _compression.view(run.compression),
        "data": _data(run),
        "advice": _advice.advise(run),
        "training": _training(run),
        "costs": _costs(run),
        "recipe": recipe_lines(run.recipe),
        "lineage": _lineage(run),
    }


def _head(run: Run) -> dict[str, Any]:
    bundle = run.bundle
    base = bundle.get("base") or {}
    return {
        "name": bundle.get("name") or run.setting("name") or run.name,
        "task": bundle.get("task") or run.report.get("task") or run.setting("task"),
        "base": base.get("id") if isinstance(base, dict) else base or run.setting("base"),
        "effort": run.setting("effort"),
        "created": run.run.get("finished") or bundle.get("created") or "",
        "version": str(bundle.get("version") or "")[:12],
        "status": run.run.get("status") or "unknown",
        "problems": (run.run.get("error") or {}).get("problems") or [],
        "language": run.dataset.get("language") or "",
    }


def _hero(run: Run) -> dict[str, Any] | None:
    metric = run.report.get("main", "")
    found = run.report.get("metrics", {}).get(metric)
    if not found:
        return None
    variant = _default_variant(run)
    speed = (variant or {}).get("speed") or run.speed.get("latency") or []
    wrong = run.quality.get("wrong")
    return {
        "metric": metric,
        "share": _words.is_share(metric),
        "value": _words.figure(metric, found["value"]).rstrip("%"),
        "low": _words.figure(metric, found["low"]),
        "high": _words.figure(metric, found["high"]),
        "rows": run.report.get("rows"),
        "right": None if wrong is None else run.report["rows"] - wrong,
        "split": run.report.get("split", "test"),
        "speed": speed[0] if speed else None,
        "size": (variant or {}).get("bytes"),
        "variant": (variant or {}).get("name"),
        "lead": _strongest_lead(run),
    }


def _strongest_lead(run: Run) -> dict[str, Any] | None:
    """The baseline that comes closest."""
    found = run.quality.get("baselines", [])
    if not found:
        return None
    closest = max(found, key=lambda row: row["value"])
    gap = closest["difference"]
    ahead = "ahead" if gap["low"] > 0 else "behind" if gap["high"] < 0 else "level"
    return {
        "state": ahead,
        "name": _words.known("baseline", closest["name"]),
        "points": _words.points(closest["metric"], gap["value"]),
        "low": _words.points(closest["metric"], gap["low"]),
        "high": _words.points(closest["metric"], gap["high"]),
    }


def _default_variant(run: Run) -> dict[str, Any] | None:
    variants = run.bundle.get("variants") or []
    named = [row for row in variants if row.get("name") == run.bundle.get("default")]
    return (named or variants or [None])[0]


def _leads(run: Run) -> dict[str, Any] | None:
    baselines = run.quality.get("baselines", [])
    metric = run.report.get("main", "")
    ours = run.report.get("metrics", {}).get(metric)
    if not ours or not baselines:
        return None
    rows = [{"label": _words.say("lead.model"), "name": "model", "css": "ours", **ours}]
    for row in sorted(baselines, key=lambda row: -row["value"]):
        note = _words.say("lead.trained-on", rows=_words.whole(row["train_rows"]))
        rows.append(
            {
                "label": _words.known("baseline", row["name"]), "name": row["name"], "note": note,
                "css": "", "value": row["value"], "low": row["low"], "high": row["high"],
            }
        )  # fmt: skip
    chart = _charts_quality.dots(rows, metric, zero=True)
    return {"chart": chart, "metric": metric, "rows": baselines}


def _metrics(run: Run) -> list[dict[str, Any]]:
    baselines = run.quality.get("baselines", [])
    closest = max(baselines, key=lambda row: row["value"], default=None)
    return [
        {
            "name": name,
            "value": _words.figure(name, found["value"]),
            "low": _words.figure(name, found["low"]),
            "high": _words.figure(name, found["high"]),
            "main": name == run.report.get("main"),
            "baseline": _words.figure(name, closest["metrics"].get(name)) if closest else None,
        }
        for name, found in run.report.get("metrics", {}).items()
    ]


def _classes(run: Run) -> dict[str, Any] | None:
    classes = run.quality.get("classes")
    if not classes:
        return None
    total = run.quality["averages"]["macro"]["f1"]
    confusion = run.quality.get("confusion") or {}
    heat = None
    if confusion.get("matrix"):
        heat = _charts_quality.heat_map(confusion["labels"], confusion["matrix"])
    return {
        "rows": sorted(classes, key=lambda row: row["f1"]),
        "bars": _charts_quality.class_bars(classes, total - _WEAK),
        "weak": sum(row["f1"] < total - _WEAK for row in classes),
        "heat": heat,
        "many": len(classes) > _charts_quality.FEW_CLASSES,
        "wide": len(classes) > _NARROW_CLASSES,
        "pairs": confusion.get("pairs", []),
        "averages": run.quality["averages"],
        "tags": run.quality.get("tags"),
        "tag_averages": run.quality.get("tag_averages"),
    }


def _calibration(run: Run) -> dict[str, Any] | None:
    found = run.quality.get("calibration")
    if not found or not found.get("curve"):
        return None
    verdict = "even"
    if found["ece"] >= 0.03:
        verdict = "over" if found["mean_confidence"] > found["accuracy"] else "under"
    if found["of"] == "labels":
        verdict = "labels"
    return {**found, "chart": _charts_quality.reliability(found["curve"]), "verdict": verdict}


def _slices(run: Run) -> list[dict[str, Any]]:
    metric = run.report.get("main", "")
    total = run.report.get("metrics", {}).get(metric, {}).get("value")
    found = []
    for group in run.quality.get("slices", []):
        rows = [
            {
                "label": _advice.slice_value(group, part["value"]), "name": part["value"],
                "note": _words.say("slices.rows", rows=_words.whole(part["rows"])),
                "css": "below" if part["below"] else "", "value": part["score"],
                "low": part["low"], "high": part["high"],
            }
            for part in group["values"]
        ]  # fmt: skip
        chart = _charts_quality.dots(rows, metric, reference=total)
        unit = group["name"] if group["kind"] == "length" else ""
        found.append({"name": _advice.slice_name(group), "unit": unit, "chart": chart})
    return found


def _regression(run: Run) -> dict[str, Any] | None:
    residuals, points = run.quality.get("residuals"), run.quality.get("points")
    if not residuals or not points:
        return None
    return {
        **residuals,
        "scatter": _charts_quality.scatter(points),
        "histogram": _charts_quality.histogram(residuals["edges"], residuals["counts"], mark=0),
        "shown": len(points),
    }


def _variants(run: Run) -> dict[str, Any] | None:
    variants = run.bundle.get("variants") or []
    measured = [(row["name"], row.get("speed") or []) for row in variants]
    if not variants and run.speed.get("latency"):
        measured = [("torch", run.speed["latency"])]
    shapes: dict[tuple[Any, Any], list[tuple[str, dict[str, Any]]]] = {}
    for name, speeds in measured:
        for entry in speeds:
            shapes.setdefault((entry["batch"], entry.get("length")), []).append((name, entry))
    if not variants and not shapes:
        return None
    ordered = sorted(shapes.items(), key=lambda item: (item[0][0], item[0][1] or 0))
    return {
        "rows": variants,
        "default": run.bundle.get("default"),
        "charts": [
            {"batch": batch, "length": length, "chart": _charts_run.latency(entries)}
            for (batch, length), entries in ordered
        ],
        "throughput": run.speed.get("throughput"),
        "main": run.report.get("main", ""),
    }


def _data(run: Run) -> dict[str, Any] | None:
    if not run.ledger and not run.dataset:
        return None
    rows = run.dataset.get("rows") or {}
    kept = run.ledger.get("kept", sum(rows.values()))
    dropped = run.ledger.get("dropped") or {}
    ranked = dict(sorted(dropped.items(), key=lambda item: -item[1]))
    rows_in = run.ledger.get("in", kept)
    classes = _class_counts(run)
    lengths = run.quality.get("lengths")
    return {
        "in": rows_in,
        "kept": kept,
        "dropped": ranked,
        "gone": sum(ranked.values()),
        "repairs": run.ledger.get("repairs") or {},
        "repaired": run.ledger.get("repaired", 0),
        "splits": rows,
        "flow": _charts_run.flow(rows_in, kept, ranked, rows) if rows_in else None,
        "balance": _charts_run.balance(classes) if classes else None,
        "classes": len(classes),
        "many": len(classes) > _charts_quality.FEW_CLASSES,
        "lengths": lengths,
        "length_chart": _charts_quality.histogram(lengths["edges"], lengths["counts"])
        if lengths else None,
        "audit": run.dataset.get("audit") or {},
        "language": run.dataset.get("language"),
    }  # fmt: skip


def _class_counts(run: Run) -> list[dict[str, Any]]:
    """Training rows by class, from the audit or from the report."""
    audited = (run.dataset.get("audit") or {}).get("classes") or {}
    if audited:
        return [{"name": name, "train_rows": row.get("train", 0)} for name, row in audited.items()]
    return run.quality.get("classes") or []


def _training(run: Run) -> dict[str, Any] | None:
    found = run.training
    if not found:
        return None
    history, checks = found.get("history") or [], found.get("evaluations") or []
    best = found.get("best") or {}
    metric = best.get("metric") or run.report.get("main", "")
    last = max((row["step"] for row in [*history, *checks]), default=0)
    scored = [row for row in checks if row.get(metric) is not None]
    lossy = [row for row in [*history, *checks] if row.get("loss") is not None]
    return {
        **found,
        "best": best,
        "metric": metric,
        "losses": _charts_run.losses(history, checks) if lossy else None,
        "progress": _charts_run.progress(scored, metric, best, last) if scored else None,
        "suspicious": found.get("suspicious") or [],
        "settings": found.get("settings") or {},
    }


def _costs(run: Run) -> dict[str, Any] | None:
    stages = run.run.get("stages") or []
    if not stages:
        return None
    fresh = [s for s in stages if not s.get("cached") and s.get("predicted_seconds")]
    predicted = sum(stage["predicted_seconds"] for stage in fresh)
    return {
        "rows": stages,
        "chart": _charts_run.costs(stages),
        "total": sum(stage.get("seconds") or 0 for stage in stages),
        "predicted": predicted,
        "actual": sum(stage.get("seconds") or 0 for stage in fresh),
        "peak": max((stage.get("peak_mb") or 0 for stage in stages), default=0),
    }


def recipe_lines(text: str) -> list[tuple[str, str]]:
    """Lines of the recipe as (code, comment)."""
    found = []
    for line in text.splitlines():
        code, mark, comment = line.rpartition("  # ")
        if not mark:
            code, comment = line, ""
        found.append((code.rstrip(), comment.strip()))
    return found


def _lineage(run: Run) -> list[tuple[Any, Any]]:
    """Facts of origin: (words, value), nested values flattened to one line each."""
    machine = run.report.get("machine") or {}
    found = list(_flat("", run.bundle.get("lineage") or {}))
    base = run.bundle.get("base")
    if isinstance(base, dict):
        found += [(f"base.{key}", value) for key, value in base.items() if value]
    found += [(f"machine.{key}", value) for key, value in _flat("", machine)]
    return [(Markup("<span>{}</span>").format(key), value) for key, value in found]


def _flat(prefix: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, list):
        if value:
            yield prefix, ", ".join(str(item) for item in value)
    elif value not in (None, ""):
        yield prefix, str(value)
