"""The page's section on compression: the answer first, the chart, the proof, what did not fit."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from modelwright.compress.answer import infeasible
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


def nearest() -> dict[str, Any]:
    """Limits that nothing meets: the latency limit lies left of all points."""
    told = copy.deepcopy(compression())
    told["status"] = "nearest"
    told["request"]["limits"] = {"p95_ms": 0.2, "size_mb": 12.0}
    told["infeasible"] = infeasible(told["points"], told["request"])
    return told


def tagging() -> dict[str, Any]:
    """F1, by bootstrap; everything is close together."""
    told = copy.deepcopy(compression())
    told["main"] = "f1"
    told["proof"]["test"] |= {"method": "paired bootstrap"}
    told["points"] = [point(f"p{n}", f"form {n}", 0.3 + n / 10, 0.93 - n / 1e4) for n in range(40)]
    told["points"][3]["certified"] = TEST
    return told


def images() -> dict[str, Any]:
    """No vocabulary, no tokens, no rows in the bundle, and shapes without a length."""
    told = copy.deepcopy(compression())
    told["shapes"] = [{"batch": 1, "length": None, "weight": 1.0}]
    told["proof"]["latency"]["shape"] = {"batch": 1, "length": None}
    told["proof"] = {k: v for k, v in told["proof"].items() if k not in ("coverage", "fusions")}
    told["proof"]["stages"] = []
    return told


def single() -> dict[str, Any]:
    """One point, which is the chosen one."""
    told = copy.deepcopy(compression())
    told["points"] = told["points"][1:2]
    return told


def costly() -> dict[str, Any]:
    """No point is cheaper than the uncompressed model, and none was proven."""
    told = copy.deepcopy(compression())
    told["points"] = [point("p3", "same network, fp32", 6.4, 0.931, certified=None)]
    told["status"] = "nearest"
    told["proof"]["test"] = {**TEST, "bound_points": 1.9, "passed": False}
    told["proof"]["latency"] |= {"p50_ms": 6.4, "ratio": 0.92, "low": 0.91, "high": 0.93}
    told["infeasible"] = infeasible(told["points"], told["request"])
    return told


KINDS = {
    "met": compression, "nearest": nearest, "tagging": tagging, "images": images,
    "single": single, "costly": costly,
}  # fmt: skip


def page(told: dict[str, Any], folder: Path) -> str:
    (folder / "details").mkdir(parents=True)
    text = json.dumps(told, ensure_ascii=False)
    (folder / "details" / "compression.json").write_text(text, encoding="utf-8")
    render(folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_answer_comes_first_in_both_languages(tmp_path: Path) -> None:
    text = page(compression(), tmp_path)
    assert "answers in 0.41 ms instead of 5.90 (" in text
    assert "14.4 times faster" in text
    assert "loses at most 0.71 points of" in text
    assert "快 14.4 倍" in text
    assert text.index('id="small"') < text.index('id="data"')


def test_every_point_is_in_the_chart_and_in_the_table(tmp_path: Path) -> None:
    text = page(compression(), tmp_path)
    assert text.count("data-tip-en=") == 4, "three points and the uncompressed model"
    assert text.count('class="dot chosen"') == 1
    assert "1 layer" in text
    assert "0.71" in text


def test_labels_and_rows_of_others_are_shown_not_run(tmp_path: Path) -> None:
    assert HOSTILE not in page(compression(), tmp_path)


def test_an_unmet_request_says_what_is_nearest_and_what_would_help(tmp_path: Path) -> None:
    text = page(nearest(), tmp_path)
    assert "No model lies inside the limits" in text
    assert "The limit that binds is p95_ms: 0.2 asked, 0.480 reached" in text
    assert "p95_ms of 0.482 would allow:" in text
    assert "p95_ms of 0.2 binds" in text, "what to fix first names it, too"


def test_the_line_of_a_limit_stands_where_the_axis_has_it(tmp_path: Path) -> None:
    """A 95th percentile is not drawn on an axis of medians, nor at the edge when it is far off."""
    text = page(nearest(), tmp_path)
    assert "ms, 95th percentile" in text
    at = [float(x) for x in re.findall(r'<line x1="([0-9.]+)%" x2="\1%"', text)]
    dots = [float(x) for x in re.findall(r'<circle[^>]* cx="([0-9.]+)%"', text)]
    (limit,) = at
    assert min(dots) < limit + 5, "0.24 ms is the fastest, 0.2 the limit"
    assert limit < min(dots)
    assert "ms, median" in page(medians(), tmp_path / "again")


def medians() -> dict[str, Any]:
    told = compression()
    told["request"]["limits"] = {}
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_answer_has_a_page(kind: str, tmp_path: Path) -> None:
    text = page(KINDS[kind](), tmp_path)
    section = text[text.index('id="small"') : text.index('id="data"')]
    assert section.count("data-tip-en=") == len(KINDS[kind]()["points"]) + 1
    assert not re.search(r"\b(None|nan|inf|Undefined)\b", section)


def test_few_rows_for_the_proof_are_among_what_to_fix(tmp_path: Path) -> None:
    told = compression()
    assert "More validation rows narrow its bound" in page(told, tmp_path / "few")
    told["proof"]["test"] = {**TEST, "bound_points": 0.4}
    assert "More validation rows narrow its bound" not in page(told, tmp_path / "enough")


def test_a_run_without_compression_does_not_speak_of_it(tmp_path: Path) -> None:
    (tmp_path / "details").mkdir()
    render(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="small"' not in text
    assert "compression.json" not in text


def test_a_nearest_model_that_is_slower_is_not_called_faster(tmp_path: Path) -> None:
    text = page(costly(), tmp_path)
    section = text[text.index('<p class="say">', text.index('id="small"')) : text.index("<svg")]
    assert "1.1 times slower" in section
    assert "faster" not in section
