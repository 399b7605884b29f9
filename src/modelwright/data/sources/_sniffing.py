"""Looks at the first rows of delimited text: delimiter, quoting, and whether they begin with names.

Each delimiter is tried by reading the sample with it; the one under which most rows have the same
number of cells as the first one wins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from modelwright.data.sources._lines import Block
from modelwright.data.sources._records import NO_DELIMITER, Dialect, Record, records

DELIMITERS = (",", "\t", ";", "|")
HINT = re.compile(r"^sep=(.)\s*$")
"""The first line by which spreadsheets tell the delimiter."""

_CONSISTENT = 0.55
_HABIT = 5
_NUMBER = re.compile(r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?%?$")
_SENTENCE = re.compile(r"[.!?。！？…]\s*$|[，。！？]|, ")
_NAMES = frozenset(
    """
    text texts label labels sentence sentence1 sentence2 content review reviews title category
    class target score id idx index name intent question questions answer query document doc tokens
    tags ner_tags premise hypothesis comment message body utterance sentiment rating stars topic
    lang language date split file filename path image prompt response summary article source user
    文本 标签 内容 类别 评论 标题 句子 分类 问题 意图 情感 正文 答案 文章 标注 评分 编号 序号 文字
    標籤 內容 類別 評論 標題 分類 問題
    """.split()  # noqa: SIM905
)


def dialect_of(
    lines: Sequence[str], *, delimiter: str | None, quoted: bool | None, preferred: str = ","
) -> Dialect:
    """The dialect of a sample; what is given is kept."""
    if delimiter is None:
        delimiter = _delimiter_of(lines, preferred, quoted is not False)
    dialect = Dialect(delimiter, quoted is not False, initial_space=_has_spaces(lines, delimiter))
    if quoted is None:
        dialect = _quoting_of(lines, dialect)
    return dialect


def read(lines: Sequence[str], dialect: Dialect, width: int | None = None) -> list[Record]:
    """The records of a sample; a last row that the sample cuts off is left out."""
    block = Block(1, list(lines), doubtful=False)
    return list(records([block], dialect, width))


def usual_width(found: Sequence[Record]) -> tuple[int, float]:
    """The commonest number of cells, and the share of rows that have it."""
    widths = Counter(len(cells) if not (note and note.broken) else 0 for _, cells, note in found)
    if not widths:
        return 0, 0.0
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
    return width, count / len(found)


def _delimiter_of(lines: Sequence[str], preferred: str, quoted: bool) -> str:
    hint = HINT.match(lines[0]) if lines else None
    if hint:
        return hint[1]
    best, best_score = NO_DELIMITER, 0.0
    for delimiter in sorted(DELIMITERS, key=lambda each: each != preferred):
        found = read(lines, Dialect(delimiter, quoted))
        width, share = usual_width(found)
        if width < 2:
            continue
        score = share * (1.0 if len(found[0][1]) == width else 0.5)
        if score > best_score + 0.02:
            best, best_score = delimiter, score
    return best if best_score >= _CONSISTENT else _fallback(lines, preferred)


def _fallback(lines: Sequence[str], preferred: str) -> str:
    """No delimiter gives equal rows: the preferred one if the first line has it, else none."""
    if not lines:
        return preferred
    return next(
        (each for each in (preferred, *DELIMITERS) if each in lines[0]),
        NO_DELIMITER,
    )


def _has_spaces(lines: Sequence[str], delimiter: str) -> bool:
    text = "".join(lines)
    return delimiter + ' "' in text and delimiter + '"' not in text


def _quoting_of(lines: Sequence[str], dialect: Dialect) -> Dialect:
    """Standard quoting unless quotes are escaped, or don't balance and never enclose a cell.

    Between tabs one such quote is enough, since tsv has no quoting of its own; elsewhere it is a
    stray one, and only many make a habit.
    """
    usual = read(lines, dialect)
    wrong = _wrong(usual)
    if not wrong:
        return dialect
    escaped = Dialect(dialect.delimiter, True, "\\", dialect.initial_space)
    if any('\\"' in line for line in lines) and _wrong(read(lines, escaped)) * 2 < wrong:
        return escaped
    if dialect.delimiter != "\t" and (wrong < _HABIT or wrong < len(usual) * 0.05):
        return dialect
    plain = Dialect(dialect.delimiter, quoted=False)
    found = read(lines, plain)
    enclosed = any(
        len(cell) > 1 and cell[0] == cell[-1] == '"' for _, cells, _ in found for cell in cells
    )
    return plain if not enclosed and usual_width(found)[1] > usual_width(usual)[1] else dialect


def _wrong(found: Sequence[Record]) -> int:
    return sum(note is not None for _, _, note in found)


def has_header(first: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns of the others."""
    cells = [cell.strip() for cell in first]
    columns = list(zip(*(row for row in body if len(row) == len(cells)), strict=True))
    values = [[value.strip() for value in column] for column in columns]
    numeric = [sum(map(_is_number, column)) > len(column) * 0.9 for column in values]
    if any(_is_number(cell) for cell, number in zip(cells, numeric, strict=False) if number):
        return False
    repeated = [cell in column for cell, column in zip(cells, values, strict=False)]
    if any(
        cell.lower() in _NAMES and not (again and len(set(column)) * 2 <= len(column))
        for cell, again, column in zip(cells, repeated, values, strict=False)
    ) or (not values and any(cell.lower() in _NAMES for cell in cells)):
        return True
    if any(cell and again for cell, again in zip(cells, repeated, strict=False)):
        return False
    return all(_is_name(cell) for cell in cells if cell) and any(cells)


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.match(cell))


def _is_name(cell: str) -> bool:
    short = len(cell) <= 40 and len(cell.split()) <= 3
    return short and not _is_number(cell) and not _SENTENCE.search(cell)


def column_names(cells: Sequence[str], width: int) -> list[str]:
    """Names from a header: trimmed, none empty, no two alike, a nameless first column added."""
    names = [cell.strip().lstrip("\ufeff") for cell in cells]
    while len(names) > max(width, 1) and not names[-1]:
        names.pop()
    if len(names) == width - 1:
        names.insert(0, "")
    taken, named = set(names), dict[str, None]()
    for at, name in enumerate(names, 1):
        unique, number = name or f"column_{at}", 2
        while unique in named or (number > 2 and unique in taken):
            unique, number = f"{name or f'column_{at}'}_{number}", number + 1
        named[unique] = None
    return list(named)
