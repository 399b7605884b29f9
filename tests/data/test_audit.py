"""The label audit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Runner = Callable[..., Any]
Maker = Callable[..., list[dict[str, Any]]]


def test_it_counts_classes_by_split_and_compares_them(stage: Runner, many: Maker) -> None:
    rare = [{"text": f"rare row {n}", "label": "rare"} for n in range(2)]
    made = stage({"train": [*many(60), *rare], "test": many(20, 2, 70)}, splits={"validation": 0.0})
    assert made.audit["classes"]["class 0"] == {"train": 30, "validation": 0, "test": 10}
    assert made.audit["only_in"] == {"train": ["rare"]}
    assert made.audit["imbalance"] == {
        "largest": {"label": "class 1", "rows": 30},
        "smallest": {"label": "rare", "rows": 2},
        "ratio": 15.0,
    }
    warnings = " ".join(made.audit["warnings"])
    assert "classes are uneven" in warnings
    assert "1 classes have fewer than 10 training rows: rare" in warnings
    assert "1 classes are not tested: rare" in warnings


def test_it_points_at_labels_that_differ_only_by_spelling(stage: Runner, many: Maker) -> None:
    table = [{**row, "label": ["Yes", "yes", "no"][n % 3]} for n, row in enumerate(many(60))]
    made = stage({"source": table})
    assert made.audit["label_variants"] == [["Yes", "yes"]]
    assert "labels differ only by spelling: Yes / yes" in made.audit["warnings"]


def test_it_shows_texts_with_several_labels(stage: Runner, many: Maker) -> None:
    table = [
        *many(60),
        {"text": "both ways", "label": "class 0"},
        {"text": "both ways", "label": "class 1"},
    ]
    made = stage({"source": table}, leaks="report")
    found = made.audit["conflicts"]
    assert (found["texts"], found["rows"]) == (1, 2)
    assert found["examples"] == [
        {
            "text": "both ways",
            "labels": ["class 0", "class 1"],
            "rows": ["source.rows:62", "source.rows:63"],
        }
    ]


def test_it_measures_lengths(stage: Runner) -> None:
    table = [{"text": "x" * (n + 1), "label": "ab"[n % 2]} for n in range(100)]
    made = stage({"train": table}, splits={"validation": 0.0, "test": 0.0})
    assert made.audit["lengths"]["train"] == {
        "mean": 50.5, "p50": 50, "p95": 95, "p99": 99, "max": 100,
    }  # fmt: skip
    assert made.dataset.info.facts["max_characters"] == 100


def test_it_stays_small(stage: Runner, many: Maker) -> None:
    table = many(900, classes=300)
    made = stage({"source": [*table, *table]}, clean=None)
    assert len(json.dumps(made.audit)) < 60_000
