"""Evidently's preset for drift of data, at its defaults, on tables of label, score and length.

Reads {"reference", "windows": {SHIFT: [table]}} on stdin; prints {"alarms", "windows",
"check_seconds"} as one line.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

COLUMNS = ["label", "score", "length"]
DRIFTED_SHARE = 0.5
"""Its default: the dataset has drifted when half of the columns have."""


def main() -> None:
    """Judge every window."""
    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    reference, spent = dataset(asked["reference"]), []
    alarms: dict[str, int] = {}
    for kind, tables in asked["windows"].items():
        alarms[kind] = 0
        for table in tables:
            window = dataset(table)
            began = time.perf_counter()
            told = Report([DataDriftPreset()]).run(window, reference).dict()
            spent.append(time.perf_counter() - began)
            alarms[kind] += drifted_share(told) >= DRIFTED_SHARE
    counts = {kind: len(tables) for kind, tables in asked["windows"].items()}
    seconds = statistics.median(spent)
    print(json.dumps({"alarms": alarms, "windows": counts, "check_seconds": seconds}))


def dataset(table: list[list[Any]]) -> Dataset:
    """A table with what its columns are."""
    definition = DataDefinition(
        categorical_columns=["label"], numerical_columns=["score", "length"]
    )
    return Dataset.from_pandas(pd.DataFrame(table, columns=COLUMNS), data_definition=definition)


def drifted_share(told: dict[str, Any]) -> float:
    """Share of columns that drifted, as the report counts them."""
    for metric in told["metrics"]:
        value = metric["value"]
        if isinstance(value, dict) and "share" in value:
            return float(value["share"])
    raise ValueError("the report has no count of drifted columns")


if __name__ == "__main__":
    main()
