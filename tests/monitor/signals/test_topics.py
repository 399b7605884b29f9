"""Which part of training an input is like."""

from __future__ import annotations

import numpy as np

from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals.topics import Config, Topics


def test_the_nearest_centre_is_named() -> None:
    known = Known(centres=np.eye(2, dtype=np.float32))
    sample = Sample(["a", None], [{}] * 2, known, np.array([[0.0, 1.0]]), [0])
    assert Topics(Config()).values(sample) == [["topic 1"], []]
