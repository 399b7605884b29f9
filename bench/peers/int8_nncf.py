"""A peer of bench/compression.py: NNCF's accuracy-controlled int8, as its documentation shows it.

nncf.quantize_with_accuracy_control on the OpenVINO model, transformer mode, calibrated on 300
training rows, with accuracy on the validation rows and the limit as an absolute drop.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
from _handed import Rows


def main() -> None:
    """Quantise; print what was made."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--handed", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-drop", type=float, required=True, help="points")
    options = parser.parse_args()
    started = time.perf_counter()
    model = nncf.quantize_with_accuracy_control(
        ov.convert_model(str(options.handed / "model.onnx")),
        calibration_dataset=nncf.Dataset(items(options.handed, "train", most=300)),
        validation_dataset=nncf.Dataset(items(options.handed, "validation"), inputs_of),
        validation_fn=accuracy,
        max_drop=options.max_drop / 100,
        drop_type=nncf.DropType.ABSOLUTE,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=300,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "model.xml"
    ov.save_model(model, path)
    print(
        json.dumps(
            {
                "made": [{"name": "NNCF accuracy-controlled int8", "model": str(path)}],
                "runtime": "openvino",
                "seconds": time.perf_counter() - started,
                "versions": {name: version(name) for name in ("nncf", "openvino")},
            }
        )
    )


def items(folder: Path, name: str, most: int | None = None) -> list[Any]:
    """Single rows; with their labels when all are asked for."""
    rows = Rows(folder, name)
    every = range(len(rows)) if most is None else range(0, len(rows), max(1, len(rows) // most))
    if most is None:
        return [(rows.padded(range(at, at + 1)), int(rows.labels[at])) for at in every]
    return [rows.padded(range(at, at + 1)) for at in every][:most]


def inputs_of(item: tuple[dict[str, np.ndarray], int]) -> dict[str, np.ndarray]:
    """What the model reads of an item."""
    return item[0]


def accuracy(model: ov.CompiledModel, dataset: Iterable[Any]) -> tuple[float, list[float]]:
    """The share that is right, and every row's."""
    output = model.output(0)
    right = [float(model(inputs)[output].argmax() == label) for inputs, label in dataset]
    return float(np.mean(right)), right


if __name__ == "__main__":
    main()
