"""A peer of bench/compression.py: optimum-onnx's dynamic int8, as its documentation shows it.

ORTQuantizer with AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True), on the
graph as it was exported and on the graph as ORTOptimizer fuses it (level 2). It knows no limit.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from optimum.onnxruntime import ORTOptimizer, ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig, OptimizationConfig


def main() -> None:
    """Quantise both graphs; print what was made."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--handed", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-drop", type=float, required=True, help="points; not used here")
    options = parser.parse_args()
    started = time.perf_counter()
    plain = quantised(options.handed, "model.onnx", options.out / "plain")
    made, failed = [{"name": "optimum-onnx dynamic int8", "model": plain}], {}
    name = "optimum-onnx fused by ORTOptimizer, then dynamic int8"
    try:
        made.append({"name": name, "model": fused(options)})
    except Exception as error:  # noqa: BLE001 - told as a row
        failed[name] = str(error)
    print(
        json.dumps(
            {
                "made": made,
                "failed": failed,
                "runtime": "onnxruntime",
                "seconds": time.perf_counter() - started,
                "versions": {name: version(name) for name in ("optimum-onnx", "onnxruntime")},
            }
        )
    )


def fused(options: argparse.Namespace) -> str:
    """The graph's attention, layer norms and GELU fused, then quantised."""
    optimiser = ORTOptimizer.from_pretrained(options.handed, file_names=["model.onnx"])
    optimiser.optimize(OptimizationConfig(optimization_level=2), save_dir=options.out / "fused")
    return quantised(options.out / "fused", "model_optimized.onnx", options.out / "fused-int8")


def quantised(folder: Path, name: str, to: Path) -> str:
    """The quantised graph's file."""
    settings: Any = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    ORTQuantizer.from_pretrained(folder, file_name=name).quantize(
        save_dir=to, quantization_config=settings
    )
    return str(next(to.glob("*.onnx")))


if __name__ == "__main__":
    main()
