"""Evidently's preset for drift of data, at its defaults, on text, label, score and length.

Reads {"rows": [[text, label, score, length]], "windows": {SHIFT: [{"rows", "reference"}]}} on stdin, a
window being places of rows; prints, as one line, {"alarms", "any_column", "windows", "by_column",
"check_seconds", "methods", "versions"}. `alarms`: it says that the dataset has drifted (half of the
columns have); `any_column`: at least one column has.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from collections import Counter
from importlib.metadata import version
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

COLUMNS = ["text", "label", "score", "length"]


def main() -> None:
    """Judge every window."""
    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    frame = pd.DataFrame(asked["rows"], columns=COLUMNS)
    spent: list[float] = []
    alarms, any_column, columns = Counter[str](), Counter[str](), dict[str, Counter[str]]()
    methods: dict[str, str] = {}
    for kind, windows in asked["windows"].items():
        for window in windows:
            mine, theirs = dataset(frame, window["rows"]), dataset(frame, window["reference"])
            began = time.perf_counter()
            told = Report([DataDriftPreset()]).run(mine, theirs).dict()
            spent.append(time.perf_counter() - began)
            share, limit, drifted, how = judged(told)
            alarms[kind] += share >= limit
            any_column[kind] += bool(drifted)
            columns.setdefault(kind, Counter()).update(drifted)
            methods |= how
    print(
        json.dumps(
            {
                "alarms": alarms, "any_column": any_column, "by_column": columns,
                "windows": {kind: len(some) for kind, some in asked["windows"].items()},
                "check_seconds": statistics.median(spent), "methods": methods,
                "versions": {name: version(name) for name in ("evidently", "pandas", "scipy")},
            }
        )
    )  # fmt: skip


def dataset(frame: pd.DataFrame, places: list[int]) -> Dataset:
    """Some rows with what their columns are."""
    definition = DataDefinition(
        text_columns=["text"], categorical_columns=["label"], numerical_columns=["score", "length"]
    )
    return Dataset.from_pandas(
        frame.iloc[places].reset_index(drop=True), data_definition=definition
    )


def judged(told: dict[str, Any]) -> tuple[float, float, list[str], dict[str, str]]:
    """Share of columns that drifted, its limit, which they are, and how each was compared."""
    share, limit, drifted, how = 0.0, 1.0, [], {}
    for metric in told["metrics"]:
        config, value = metric["config"], metric["value"]
        if isinstance(value, dict):
            share, limit = float(value["share"]), float(config["drift_share"])
            continue
        name, method = config["column"], config["method"]
        how[name] = f"{method}, {config['threshold']:g}"
        distance = "distance" in method or "drift" in method
        if value >= config["threshold"] if distance else value < config["threshold"]:
            drifted.append(name)
    if round(share * len(how)) != len(drifted):
        raise ValueError(f"{share} of the columns drifted, seen are {drifted}: {how}")
    return share, limit, drifted, how


if __name__ == "__main__":
    main()
