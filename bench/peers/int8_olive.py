"""A peer of bench/compression.py: Olive's search over ONNX Runtime's quantisation.

Transformer fusions, then dynamic or static int8 (a search each) with the choices that Olive's
passes search by default, TPE, 8 tries; goals: accuracy on the validation rows within the limit, then latency.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

TRIES = 8
KINDS = {
    "OnnxDynamicQuantization": "Olive's search, dynamic int8",
    "OnnxStaticQuantization": "Olive's search, static int8",
}
HERE = Path(__file__).resolve().parent


def main() -> None:
    """Search; print what was chosen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--handed", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-drop", type=float, required=True, help="points")
    options = parser.parse_args()
    started = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        from olive.workflows import run

        made, failed = [], {}
        for kind, name in KINDS.items():
            shutil.rmtree(options.out / kind, ignore_errors=True)
            try:
                model, told = chosen(run(configuration(options, kind)), options)
                made.append({"name": name, "model": model, "told": told})
            except Exception as error:  # noqa: BLE001 - told as a row
                failed[name] = f"{type(error).__name__}: {error}"
    print(
        json.dumps(
            {
                "made": made,
                "failed": failed,
                "runtime": "onnxruntime",
                "seconds": time.perf_counter() - started,
                "versions": {name: version(name) for name in ("olive-ai", "onnxruntime")},
            }
        )
    )


def configuration(options: argparse.Namespace, kind: str) -> dict[str, Any]:
    """The workflow that searches one kind of quantisation."""
    quantisation = {"type": kind, **({"data_config": "train"} if "Static" in kind else {})}
    config = json.loads((options.handed / "config.json").read_text(encoding="utf-8"))
    task = json.loads((options.handed / "task.json").read_text(encoding="utf-8"))
    accuracy = {
        "name": "accuracy",
        "type": "accuracy",
        "data_config": "validation",
        "sub_types": [
            {
                "name": "accuracy_score",
                "priority": 1,
                "metric_config": {"task": "multiclass", "num_classes": len(task["labels"])},
                "goal": {"type": "max-degradation", "value": options.max_drop / 100},
            }
        ],
    }
    latency = {
        "name": "latency",
        "type": "latency",
        "data_config": "single",
        "sub_types": [
            {
                "name": "p50",
                "priority": 2,
                "metric_config": {"warmup_num": 20, "repeat_test_num": 200},
            }
        ],
    }
    return {
        "input_model": {"type": "OnnxModel", "model_path": str(options.handed / "model.onnx")},
        "systems": {
            "here": {
                "type": "LocalSystem",
                "accelerators": [
                    {"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}
                ],
            }
        },
        "data_configs": [
            data("validation", options), data("single", options), data("train", options, 300)
        ],
        "evaluators": {"both": {"metrics": [accuracy, latency]}},
        "passes": {
            "fuse": [
                {
                    "type": "OrtTransformersOptimization",
                    "model_type": "bert",
                    "num_heads": config["num_attention_heads"],
                    "hidden_size": config["hidden_size"],
                    "opt_level": 0,
                }
            ],
            "quantise": [quantisation],
        },
        "search_strategy": {
            "execution_order": "joint", "sampler": "tpe", "max_iter": TRIES,
            "sampler_config": {"max_samples": TRIES, "seed": 0},
        },
        "evaluator": "both",
        "host": "here",
        "target": "here",
        "cache_dir": str(options.out / kind / "cache"),
        "output_dir": str(options.out / kind / "out"),
        "log_severity_level": 2,
    }  # fmt: skip


def data(name: str, options: argparse.Namespace, most: int = 0) -> dict[str, Any]:
    """A handed file as Olive names its data."""
    params = {"handed": str(options.handed.resolve()), "name": name, "most": most}
    return {
        "name": name,
        "user_script": str(HERE / "olive_rows.py"),
        "script_dir": str(HERE),
        "load_dataset_config": {"type": "handed_rows", "params": params},
        "pre_process_data_config": {"type": "skip_pre_process"},
        "post_process_data_config": {"type": "text_classification_post_process"},
        "dataloader_config": {"type": "no_auto_batch_dataloader"},
    }


def chosen(found: Any, options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The fastest of Olive's outputs within the limit, else the one that loses least."""
    before = found.get_input_model_metrics()["accuracy-accuracy_score"]["value"]
    seen = []
    for model in found.get_output_models():
        values = {name: value["value"] for name, value in model.metrics_value.items()}
        drop = 100 * (before - values["accuracy-accuracy_score"])
        seen.append((drop > options.max_drop, values["latency-p50"], drop, model))
    if not seen:
        raise RuntimeError("no model within the limit (Olive: no candidate meets the goals)")
    within = [one for one in seen if not one[0]]
    best = min(within, key=lambda one: one[1]) if within else min(seen, key=lambda one: one[2])
    told = {"outputs": len(seen), "validation_drop_points": round(best[2], 3)}
    return str(best[3].model_path), told


if __name__ == "__main__":
    main()
