"""The page's section on compression: the answer first, the chart, the proof, what did not fit."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from modelwright.pipeline.page import render

HOSTILE = "<script>alert('x')</script>"


def point(identity: str, label: str, ms: float, value: float, **more: Any) -> dict[str, Any]:
    return {
        "id": identity, "parent": None, "label": label, "path": [], "form": "openvino-int8",
        "engine": "openvino", "precision": "int8", "bytes": int(8e6 * ms), "memory_mb": 60.0,
        "latency": {"p50_ms": ms, "p95_ms": 1.2 * ms, "per_second": 1000 / ms},
        "tuning": {"value": value, "drop_points": 100 * (0.931 - value), "agreement": 0.97,
                   "apart": 0.02, "rows": 500},
        "certified": None, "meets": True, "pareto": True, "seconds": 9.0, **more,
    }  # fmt: skip


TEST = {
    "method": "Tango's score interval for paired shares", "alpha": 0.05, "rows": 1500,
    "baseline": 0.93, "value": 0.929, "drop_points": 0.1, "bound_points": 0.71, "max_drop": 1.0,
    "only_baseline_right": 14, "only_chosen_right": 12, "passed": True,
}  # fmt: skip


def compression() -> dict[str, Any]:
    """A met request."""
    chosen = point(
        "p3", "3 layers, 25 heads, 1,952 neurons, int8-static", 0.4, 0.93, certified=TEST
    )
    return {
        "schema": 1, "status": "met", "main": "accuracy", "seconds": 812.0, "chosen": "p3",
        "request": {"max_drop": 1.0, "minimize": "latency", "limits": {"p95_ms": 5.0}},
        "rows": {"train": 8000, "tuning": 500, "certification": 1500},
        "baseline": {"label": "uncompressed, torch fp32", "form": "torch-fp32", "bytes": 91_000_000,
                     "latency": {"p50_ms": 5.9, "p95_ms": 7.0, "per_second": 169.0},
                     "tuning": {"value": 0.931, "rows": 500}, "memory_mb": None},
        "points": [point("p1", f"whole network {HOSTILE}", 0.8, 0.931), chosen,
                   point("p4", "1 layer", 0.2, 0.84)],
        "bought": [{"step": "layers", "label": "layers 2, 4, 6", "bytes": 60_000_000,
                    "p50_ms": 3.0, "value": 0.71}],
        "proof": {
            "test": TEST, "sequence": [{"point": "p3", "bound_points": 0.71, "passed": True}],
            "latency": {"shape": {"batch": 1, "length": 14}, "runs": 1000, "baseline_p50_ms": 5.9,
                        "p50_ms": 0.41, "p95_ms": 0.5, "ratio": 14.4, "low": 14.1, "high": 14.8},
            "stages": [
                {"what": "mask equals cut", "rows": 64, "max_abs_diff": 2e-6, "tolerance": 1e-4,
                 "holds": True},
                {"what": "int8 against fp32", "rows": 500, "agreement": 0.991, "max_abs_diff": 0.8,
                 "worst": [{"input": HOSTILE, "max_abs_diff": 0.8, "same_answer": False}]},
            ],
            "coverage": {"held_out_rows": 1500, "rows_unchanged": 1420, "share": 0.947},
            "fusions": {"attention": 3, "layers": 3},
            "size": [{"tensor": "embeddings", "dtype": "int8", "shape": [4000, 384],
                      "bytes": 1_536_000}],
        },
        "infeasible": None,
    }  # fmt: skip


def page(told: dict[str, Any], folder: Path) -> str:
    (folder / "details").mkdir(parents=True)
    text = json.dumps(told, ensure_ascii=False)
    (folder / "details" / "compression.json").write_text(text, encoding="utf-8")
    render(folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_answer_comes_first_in_both_languages(tmp_path: Path) -> None:
    text = page(compression(), tmp_path)
    assert "answers in 0.41 ms instead of 5.90 (14.4 times faster)" in text
    assert "loses at most 0.71 points of accuracy" in text
    assert "快 14.4 倍" in text
    assert text.index('id="small"') < text.index('id="data"')


def test_every_point_is_in_the_chart_and_in_the_table(tmp_path: Path) -> None:
    text = page(compression(), tmp_path)
    assert text.count("data-tip=") == 4, "three points and the uncompressed model"
    assert text.count('class="dot chosen"') == 1
    assert "1 layer" in text
    assert "0.71" in text


def test_labels_and_rows_of_others_are_shown_not_run(tmp_path: Path) -> None:
    assert HOSTILE not in page(compression(), tmp_path)


def test_an_unmet_request_says_what_is_nearest_and_what_would_help(tmp_path: Path) -> None:
    told = copy.deepcopy(compression())
    told["status"] = "nearest"
    told["infeasible"] = {
        "binding": "p95_ms", "limit": 0.2, "nearest": "p3", "reached": 0.5,
        "sentence": "no model within p95_ms 0.2 ms was found",
        "relax": [{"limit": "p95_ms", "to": 0.5, "buys": "3 layers"}],
    }  # fmt: skip
    text = page(told, tmp_path)
    assert "No model lies inside the limits" in text
    assert "no model within p95_ms 0.2 ms was found" in text
    assert "p95_ms of 0.5 would allow:" in text


def test_a_run_without_compression_does_not_speak_of_it(tmp_path: Path) -> None:
    (tmp_path / "details").mkdir()
    render(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="small"' not in text
    assert "compression.json" not in text


def test_one_point_is_enough_for_a_page(tmp_path: Path) -> None:
    told = compression()
    told["points"] = told["points"][1:2]
    assert 'class="dot chosen"' in page(told, tmp_path)
