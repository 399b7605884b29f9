"""Texts as words with character spans: joining, cutting, and tags to and from entities."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from modelwright.tasks import RowProblem

Span = tuple[int, int]
Entity = tuple[int, int, str]
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:['’][^\W_{_CJK}]+)*|_+|[^\w\s]")
_IS_CJK = re.compile(rf"[{_CJK}]")
_JOINERS = "\u00ad\u200c\u200d\u2060"


def cut(text: str) -> list[Span]:
    """Words of a text: a CJK character, a run of letters and digits, or a punctuation mark.

    Combining marks, joiners and soft hyphens stay inside their word, so that none ends within a
    character as people see it (an accented letter, a Devanagari syllable, a family of emoji).
    """
    words = [match.span() for match in _WORD.finditer(text)]
    return words if text.isascii() else _rejoined(text, words)


def _rejoined(text: str, words: Sequence[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in words:
        if found and found[-1][1] == start and _continues(text, found[-1][0], start):
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _continues(text: str, begin: int, place: int) -> bool:
    """Whether the character at `place` belongs to the word that began at `begin`."""
    before, here = text[place - 1], text[place]
    if here in _JOINERS or before in _JOINERS or _is_mark(here):
        return True
    letters = text[begin].isalnum() and here.isalnum() and not _IS_CJK.match(here)
    return letters and _is_mark(before)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def join(tokens: Sequence[str]) -> tuple[str, list[Span]]:
    """Tokens to one text with their spans; no space between CJK characters."""
    parts: list[str] = []
    spans: list[Span] = []
    length, previous = 0, ""
    for token in tokens:
        if previous and not (_IS_CJK.match(previous[-1]) or _IS_CJK.match(token[:1])):
            parts.append(" ")
            length += 1
        spans.append((length, length + len(token)))
        parts.append(token)
        length += len(token)
        previous = token
    return "".join(parts), spans


def cut_at(text: str, entities: Sequence[Entity]) -> list[Span]:
    """Words of a text, cut further wherever an entity begins or ends inside one."""
    borders = sorted({place for start, end, _ in entities for place in (start, end)})
    words: list[Span] = []
    for start, end in cut(text):
        inner = [place for place in borders if start < place < end]
        edges = [start, *inner, end]
        words.extend(pairwise(edges))
    return words


def tags_of(words: Sequence[Span], entities: Sequence[Entity]) -> list[str]:
    """BIO tags of words; an entity covers the words that it overlaps."""
    tags = ["O"] * len(words)
    for start, end, label in sorted(entities):
        first = True
        for index, (word_start, word_end) in enumerate(words):
            if word_start < end and word_end > start:
                tags[index] = f"{'B' if first else 'I'}-{label}"
                first = False
    return tags


def entities_of(words: Sequence[Span], tags: Sequence[str]) -> list[tuple[int, int, str, int, int]]:
    """Character start and end, label, first and past-the-last word of each tagged entity."""
    from modelwright.metrics.spans import bio_to_spans

    return [
        (words[first][0], words[last - 1][1], label, first, last)
        for first, last, label in bio_to_spans(tags)
    ]


def check_entities(text: str, spans: object) -> list[Entity]:
    """Entities from the user's list of {start, end, label}.

    Raises:
        RowProblem: wrong-type, span-outside-text, empty-span, overlapping-spans.
    """
    if not isinstance(spans, (list, tuple)):
        raise RowProblem("wrong-type", f"the spans are {type(spans).__name__}, not a list")
    found: list[Entity] = []
    for span in spans:
        if not isinstance(span, dict):
            raise RowProblem("wrong-type", "a span is not an object with start, end and label")
        label = span.get("label", span.get("type", span.get("entity")))
        start, end = span.get("start"), span.get("end")
        if not isinstance(start, int) or not isinstance(end, int) or not label:
            raise RowProblem("wrong-type", f"a span lacks start, end or label: {span}")
        if not 0 <= start < end <= len(text):
            raise RowProblem("span-outside-text", f"span {start}-{end} in {len(text)} characters")
        if not text[start:end].strip():
            raise RowProblem("empty-span", f"span {start}-{end} holds white space alone")
        found.append((start, end, str(label)))
    found.sort()
    for before, after in pairwise(found):
        if after[0] < before[1]:
            raise RowProblem("overlapping-spans", f"{before} and {after}")
    return found
