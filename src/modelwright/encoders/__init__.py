"""Text and images to numbers, as trained: the tokenizer and the image processor, without torch.

An encoder is saved beside the weights and is the very one that served training, so that what a
bundle reads of an input is what the model learnt to read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelwright.encoders.image import ImageEncoder
    from modelwright.encoders.text import TextEncoder


def open_encoder(folder: Path) -> TextEncoder | ImageEncoder:
    """The encoder saved in a folder: a tokenizer's, or an image processor's."""
    if (folder / "tokenizer.json").is_file():
        from modelwright.encoders.text import TextEncoder

        return TextEncoder.open(folder)
    from modelwright.encoders.image import ImageEncoder

    return ImageEncoder.open(folder)
