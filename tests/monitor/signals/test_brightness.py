"""How bright pictures are."""

from __future__ import annotations

import io

from PIL import Image

from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals.brightness import Brightness, Config


def picture(grey: int, size: tuple[int, int]) -> bytes:
    kept = io.BytesIO()
    Image.new("L", size, grey).save(kept, "PNG")
    return kept.getvalue()


def test_white_is_one_and_what_is_no_picture_counts_for_nothing() -> None:
    rows = [picture(255, (9, 5)), picture(0, (3, 3)), b"no picture", "no base64!"]
    found = Brightness(Config()).values(Sample(rows, [{}] * 4, Known()))
    assert found[:2].tolist() == [1.0, 0.0]
    assert (found[2:] != found[2:]).all()
