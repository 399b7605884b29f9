"""What a regression answers."""

from __future__ import annotations

from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals.predicted_value import Config, PredictedValue


def test_values_far_and_near_zero_fall_into_different_bins() -> None:
    signal = PredictedValue(Config())
    found = signal.values(
        Sample([None] * 3, [{"value": 0.1}, {"value": 0.2}, {"value": 4_000.0}], Known())
    )
    assert sum(count > 0 for count in signal.sketch(found).as_dict()["counts"]) == 3
