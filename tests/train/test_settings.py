"""Training settings derived from effort and data."""

from __future__ import annotations

from dataclasses import replace

from modelwright.recipe.schema import Finetune
from modelwright.train.settings import Facts, derive

FACTS = Facts(
    effort="standard",
    modality="text",
    rows=10_000,
    classes=77,
    width=384,
    scratch=False,
    long_tokens=40,
    method_rate=3e-4,
    method_epochs=1.0,
    token_head=False,
)


def test_more_effort_means_more_epochs_and_more_rows_fewer():
    def epochs(**changes: object) -> float:
        return derive(Finetune(), replace(FACTS, **changes), "fp32", 0)[0].epochs

    assert epochs(effort="quick") < epochs() < epochs(effort="thorough")
    assert epochs(rows=1_000) > epochs() > epochs(rows=1_000_000) >= 2


def test_a_pinned_value_stays_and_is_not_listed_as_derived():
    settings, derived = derive(Finetune(epochs=3, learning_rate=1e-5), FACTS, "fp32", 0)
    assert (settings.epochs, settings.learning_rate) == (3, 1e-5)
    paths = {entry.path for entry in derived}
    assert "finetune.epochs" not in paths
    assert "finetune.batch_rows" in paths


def test_wider_backbones_learn_at_lower_rates():
    rates = [
        derive(Finetune(), replace(FACTS, width=w), "fp32", 0)[0].learning_rate
        for w in (384, 768, 1024)
    ]
    assert rates == sorted(rates, reverse=True)
    assert 3e-5 < rates[1] < 8e-5
