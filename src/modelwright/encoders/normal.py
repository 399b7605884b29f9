"""Text normalisation; what it does and in which order is told in `data/cleaners/normalize.py`.

Each step is cheap to rule out: a text that is printable, composed and holds neither `&` nor
full-width forms is returned as the same object after five C-level scans (0.3 us for 80 characters).
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

_KEPT_PUNCTUATION = frozenset("！，：；？（）．～")
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_WIDE_BUT_PUNCTUATION = {c: to for c, to in _WIDE.items() if chr(c) not in _KEPT_PUNCTUATION}
_ANY_WIDE = re.compile("[\uff01-\uff5e\u3000]")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ESCAPED_AMPERSANDS = re.compile(r"&(?:(?:amp|#38|#[xX]26);)+")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]+"
)
_JOINERS = re.compile("[\u200c\u200d]+")
_SPACES_IN_LINE = re.compile(r"[^\S\n]+")
_LINE_ENDS = re.compile(r"\r\n?|[\x85\u2028\u2029\x0b\x0c]")
_AROUND_LINE_END = re.compile(r" *\n[\n ]*")


@dataclass(frozen=True)
class Normal:
    """Which steps to take; see `data/cleaners/normalize.py`."""

    width: bool = True
    punctuation: bool = False
    entities: bool = True
    lines: bool = True

    def text(self, text: str) -> str:
        """The normal form; the same object when the text is in it already."""
        if self._is_normal(text):
            return text
        while (after := self._once(text)) != text:
            text = after
        return text

    def _is_normal(self, text: str) -> bool:
        return (
            text.isprintable()
            and "&" not in text
            and "  " not in text
            and text[:1] != " "
            and text[-1:] != " "
            and (
                text.isascii()
                or (
                    unicodedata.is_normalized("NFC", text)
                    and not (self.width and _ANY_WIDE.search(text))
                )
            )
        )

    def _once(self, text: str) -> str:
        if self.entities and "&" in text:
            text = _ENTITY.sub(_unescape, _ESCAPED_AMPERSANDS.sub("&amp;", text))
        if self.width and _ANY_WIDE.search(text):
            text = text.translate(_WIDE if self.punctuation else _WIDE_BUT_PUNCTUATION)
        text = _JOINERS.sub(_joiner, _INVISIBLE.sub("", text))
        text = unicodedata.normalize("NFC", text)
        if self.lines:
            return " ".join(text.split())
        text = _SPACES_IN_LINE.sub(" ", _LINE_ENDS.sub("\n", text))
        return _AROUND_LINE_END.sub("\n", text).strip()


def _unescape(match: re.Match[str]) -> str:
    return html.unescape(match[0])


def _joiner(match: re.Match[str]) -> str:
    """Keep one joiner between two characters of which neither is Latin or Chinese."""
    text, start, end = match.string, match.start(), match.end()
    if start == 0 or end == len(text) or _never_joins(text[start - 1]) or _never_joins(text[end]):
        return ""
    return match[0][0]


def _never_joins(character: str) -> bool:
    return character < "\u0300" or "\u2e80" <= character <= "\u9fff"


def words(
    normal: Normal, text: str, starts: list[int], ends: list[int]
) -> tuple[str, list[int], list[int]]:
    """A text with marked words, each word and each gap between them in normal form.

    The words stay as many and in the same order, so that their tags still fit. A gap becomes one
    space if there was white space in it; a word of which nothing would be left stays as it was.
    """
    parts: list[str] = []
    new_starts: list[int] = []
    new_ends: list[int] = []
    length = at = 0
    for start, end in zip(starts, ends, strict=True):
        gap = _gap(normal, text[at:start])
        if not parts:
            gap = gap.lstrip()
        word = normal.text(text[start:end]) or text[start:end]
        parts += (gap, word)
        new_starts.append(length + len(gap))
        length += len(gap) + len(word)
        new_ends.append(length)
        at = end
    parts.append(_gap(normal, text[at:]).rstrip())
    return "".join(parts), new_starts, new_ends


def _gap(normal: Normal, gap: str) -> str:
    inner = normal.text(gap)
    if not inner:
        return " " if any(map(str.isspace, gap)) else ""
    return (" " if gap[0].isspace() else "") + inner + (" " if gap[-1].isspace() else "")
