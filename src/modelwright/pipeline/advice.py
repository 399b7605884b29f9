"""The plan of a recipe for its reader: what will run, what it costs, which base suits the data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from modelwright.artifacts.dataset import Dataset
from modelwright.artifacts.store import Store
from modelwright.models.catalogue import CATALOGUE
from modelwright.pipeline.planning import Prediction, modality_of, plan_table, predict
from modelwright.pipeline.running import STORE_VARIABLE
from modelwright.pipeline.stages import STAGES, Work, key_of, names_of
from modelwright.recipe.check import check_with_places

FEW_ROWS = 300


def plan(recipe: Path | str, sets: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    """Plan a recipe: as data, and as text.

    Raises:
        UserError: MW-1xx to 3xx.
    """
    checked = check_with_places(recipe, sets)
    store = Store(Path(os.environ.get(STORE_VARIABLE, checked.folder / ".modelwright" / "store")))
    work = Work(checked.recipe, checked.folder, store)
    todo = _todo(work)
    prediction = predict(work, todo) if todo else Prediction()
    table = plan_table(work, prediction)
    advice = _advice(work, prediction)
    data = {
        "name": checked.recipe.name,
        "stages": table,
        "predicted": {
            "minutes": round(prediction.seconds / 60, 2),
            "peak_mb": round(prediction.peak_mb),
            "disk_mb": round(prediction.disk_mb),
        },
        "rows": prediction.rows,
        "training": prediction.facts,
        "advice": advice,
    }
    return data, _text(data)


def _todo(work: Work) -> list[str]:
    """Stages that are not in the store; keys are found as far as the store reaches."""
    names = names_of(work.recipe)
    for place, name in enumerate(names):
        work.keys[name] = key_of(name, work)
        if not work.store.has(work.keys[name]):
            return list(names[place:])
        STAGES[name].after(work)
    return []


def _advice(work: Work, prediction: Prediction) -> list[str]:
    """Sentences on the choice of the base."""
    found: list[str] = []
    modality = modality_of(work)
    rows = prediction.rows.get("train", 0)
    language = ""
    if work.keys.get("data") and work.store.has(work.keys["data"]):
        language = Dataset.open(work.path("data")).info.language
    base = prediction.facts.get("base") or work.recipe.base
    if base:
        licence = prediction.facts.get("licence", "unknown")
        found.append(f"base {base}, licence {licence}")
    for entry in CATALOGUE.values():
        fits = entry.modality == modality and (not language or language in entry.languages)
        if fits and entry.name != base:
            found.append(f"consider base {entry.name}: {entry.summary} ({entry.licence})")
    if str(base).startswith("scratch") and modality == "text":
        found.append(
            "a base trained on your language does better than scratch with few rows: name a hub id "
            "or a folder under `base`"
        )
    if 0 < rows < FEW_ROWS:
        found.append(f"{rows} training rows are few: `finetune: {{method: head}}` may do as well")
    return found


def _text(data: dict[str, Any]) -> str:
    lines = [f"{'stage':<10}{'':<10}{'minutes':>9}{'memory MB':>11}{'disk MB':>9}"]
    for row in data["stages"]:
        if row["cached"]:
            lines.append(f"{row['name']:<10}cached")
        else:
            lines.append(
                f"{row['name']:<10}{'to run':<10}{row['predicted_seconds'] / 60:>9.1f}"
                f"{row['predicted_peak_mb']:>11,}{row['predicted_disk_mb']:>9,.0f}"
            )
    total = data["predicted"]
    lines.append(
        f"{'together':<20}{total['minutes']:>9.1f}{total['peak_mb']:>11,}{total['disk_mb']:>9,}"
    )
    if data["training"]:
        facts = data["training"]
        lines.append(
            f"training  {facts['epochs']:g} epochs, {facts['steps']:,} steps of {facts['batch_rows']} "
            f"rows in {facts['precision']}, about {facts['rows_per_second']:.0f} rows a second"
        )
    lines += [f"advice    {sentence}" for sentence in data["advice"]]
    return "\n".join(lines)
