"""How a row is shown in a report: its text or picture, cut short, and the file and line to open."""

from __future__ import annotations

import base64
import io
from typing import Any

from modelwright.tasks import Row

LONGEST_TEXT = 300
_THUMBNAIL_PIXELS = 48


def shown(row: Row) -> dict[str, Any]:
    """`text` (at most 300 characters), `image` (a data URI) where it is one, `file` and `line`."""
    found: dict[str, Any] = {
        "text": cut(text_of(row)),
        "file": row.get("_file") or "",
        "line": row.get("_line"),
        "row": row.get("_row"),
    }
    picture = image_of(row)
    if picture is not None:
        found["image"] = _thumbnail(picture)
    return found


def text_of(row: Row) -> str:
    """The row's text, both texts of a pair, or nothing for an image."""
    text, pair = row.get("text") or "", row.get("text_pair")
    return f"{text} ⟷ {pair}" if isinstance(pair, str) else text


def image_of(row: Row) -> bytes | None:
    """The row's picture as it was read, or None."""
    value = row.get("image")
    if isinstance(value, dict):
        value = value.get("bytes")
    return value if isinstance(value, bytes) else None


def words_of(row: Row) -> list[str]:
    """The words of a tagged row."""
    text = row["text"]
    return [text[start:end] for start, end in zip(row["starts"], row["ends"], strict=True)]


def spelt(row: Row, first: int, last: int) -> str:
    """The characters from word `first` to word `last`, the latter left out."""
    return cut(row["text"][row["starts"][first] : row["ends"][last - 1]], 80)


def cut(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text in one line, with an ellipsis where it was cut."""
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def _thumbnail(data: bytes) -> str:
    from modelwright.encoders.image import open_image

    picture = open_image(data)
    picture = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    picture.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
