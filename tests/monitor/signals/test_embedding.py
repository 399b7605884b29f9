"""Distance from what training was like."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals.embedding import Config, Embedding


def test_the_distance_to_the_nearest_centre() -> None:
    known = Known(centres=np.eye(2, dtype=np.float32))
    vectors = np.array([[1.0, 0.0], [np.sqrt(0.5), np.sqrt(0.5)]])
    sample = Sample(["a", None, "b"], [{}] * 3, known, vectors, [0, 2])
    found = Embedding(Config()).values(sample)
    assert found[[0, 2]] == pytest.approx([0.0, 1 - np.sqrt(0.5)])
    assert np.isnan(found[1])
