"""The model card, written from manifests only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelwright.artifacts.dataset import DatasetInfo
from modelwright.runtime.files import write_text

MOST_LABELS = 40


def write_card(folder: Path, manifest: dict[str, Any], info: DatasetInfo) -> None:
    """Write `card.md`."""
    write_text(folder / "card.md", "\n\n".join(_sections(manifest, info)) + "\n")


def _sections(manifest: dict[str, Any], info: DatasetInfo) -> list[str]:
    quality = manifest["quality"]
    labels = manifest["labels"]
    shown = ", ".join(f"`{label}`" for label in labels[:MOST_LABELS])
    more = f" and {len(labels) - MOST_LABELS} more" if len(labels) > MOST_LABELS else ""
    base = manifest["base"]
    sections = [
        f"# {manifest['name']}",
        f"{manifest['task']}, fine-tuned from `{base['id']}` (licence: {base['licence']}).",
        "## Intended use\n\nThe inputs and labels that it was trained for: "
        + (
            f"{info.language or 'any'} text"
            if info.language
            else "images or numbers like the training data"
        )
        + f". Labels: {shown or 'a number'}{more}.",
        f"## Quality\n\nOn {quality['rows']:,} {quality['split']} rows, with 95% intervals:\n\n"
        + _table(
            ("metric", "value", "interval"),
            [
                (name, f"{m['value']:.4f}", f"{m['low']:.4f} to {m['high']:.4f}")
                for name, m in quality["metrics"].items()
            ],
        ),
        "## Variants\n\n"
        + _table(
            ("variant", "MB", "agreement", "p50 ms, one row", "default"),
            [
                (
                    entry["name"],
                    f"{entry['bytes'] / 1e6:.1f}",
                    f"{entry['parity']['agreement']:.4f}",
                    f"{entry['speed'][0]['p50_ms']:.2f}",
                    "yes" if entry["name"] == manifest["default"] else "",
                )
                for entry in manifest["variants"]
            ],
        ),
        *_compression(manifest.get("compression")),
        "## Data\n\n"
        + _table(("split", "rows"), [(split, f"{rows:,}") for split, rows in info.rows.items()]),
        "## Limits\n\nMeasured on rows like the training data; other sources, languages and times "
        "can give worse answers. Confidence is not certainty: see the calibration in the report.",
        f"## Lineage\n\nRecipe `{manifest['lineage'].get('recipe', '')[:16]}`, data "
        f"`{manifest['lineage'].get('data', '')}`, created {manifest['created']}.",
    ]
    return sections


def _compression(told: dict[str, Any] | None) -> list[str]:
    """How the default variant was made smaller, and what was shown of it."""
    if not told:
        return []
    chosen = next(point for point in told["points"] if point["id"] == told["chosen"])
    race, test, before = told["proof"]["latency"], told["proof"]["test"], told["baseline"]
    found = [
        f"## Compression\n\nThe default variant is a smaller form of the trained model "
        f"({chosen['label']}): {chosen['bytes'] / 1e6:.1f} MB instead of "
        f"{before['bytes'] / 1e6:.1f}, and {race['ratio']:.1f} times faster than it in torch fp32 "
        f"(95% interval {race['low']:.1f} to {race['high']:.1f}, {race['runs']:,} calls of each in "
        f"turn, median {race['p50_ms']:.2f} ms instead of {race['baseline_p50_ms']:.2f})."
    ]
    found.append(
        f"On {test['rows']:,} validation rows that the search never saw it loses at most "
        f"{test['bound_points']:.2f} points of {told['main']} at 95% confidence "
        f"({test['max_drop']:g} allowed; {test['method']}). `mw verify` repeats this test where the "
        "rows are in the bundle; the time holds for the machine that it was measured on: "
        f"{told['machine']['processor']}."
    )
    coverage = told["proof"].get("coverage")
    if coverage:
        found.append(
            f"Its vocabulary was cut: {100 * coverage['share']:.1f}% of "
            f"{coverage['held_out_rows']:,} held-out rows have the pieces that they had before."
        )
    return found


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
