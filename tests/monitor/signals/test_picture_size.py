"""How large pictures are."""

from __future__ import annotations

import io

from PIL import Image

from modelwright.monitor.sample import Known, Sample
from modelwright.monitor.signals.picture_size import Config, PictureSize


def picture(grey: int, size: tuple[int, int]) -> bytes:
    kept = io.BytesIO()
    Image.new("L", size, grey).save(kept, "PNG")
    return kept.getvalue()


def test_pixels_are_counted() -> None:
    found = PictureSize(Config()).values(Sample([picture(9, (9, 5))], [{}], Known()))
    assert found.tolist() == [45.0]
