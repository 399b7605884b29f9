"""JSON Lines: one object a line; also a .json file that is one array or {"data": [...]}.

    data: {source: spans.jsonl}        {"text": "Call Ann", "spans": [{"start": 5, ...}]}

Values keep their JSON types, so lists of tokens or character spans come through as they are. The
columns are the keys of the first 1000 objects. A line that is no JSON object is set aside
(`bad-json`, `not-an-object`); a large array is read piece by piece. Files may be compressed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.sources import (
    BrokenRow,
    RawRow,
    Source,
    _encoding,
    _files,
    _glimpse,
    _json_array,
    _lines,
)

VERSION = 1


class Config(BaseModel):
    """Options of JSON Lines."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    encoding: str = Field("auto", description="Text encoding, such as utf-8 or gb18030.")
    key: str | None = Field(
        None, description="Key of the array in a .json file that is one object; found if unset."
    )


@final
class Jsonl(Source):
    """Objects from lines or from an array."""

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson", ".json")
    config: Config

    @classmethod
    def claims(cls, location: str) -> float:
        seen = _glimpse.at(location)
        looks = seen.unknown and seen.head.lstrip(b"\xef\xbb\xbf \r\n").startswith((b'{"', b"[{"))
        return max(seen.by_suffix(cls.suffixes), 0.7 * looks)

    @cached_property
    def _inputs(self) -> list[_files.Input]:
        return _files.find(self.location, self.suffixes)

    def columns(self) -> list[str]:
        names: dict[str, None] = {}
        for row in islice(self.rows(), 1000):
            if isinstance(row, RawRow):
                names.update(dict.fromkeys(row.values))
        return list(names)

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        number, empty = 0, True
        for item in self._inputs:
            encoding = _encoding.resolve(item, self.config.encoding)
            opening = _lines.opening_text(item, encoding)
            if not any(line.strip() for line in opening):
                continue
            empty = False
            if _json_array.is_document(opening, self.config.key):
                found = _json_array.elements(item, encoding, self.config.key)
            else:
                found = _objects(item, encoding)
            for line, text, value in found:
                yield _row(value, text, number, item.name, line)
                number += 1
        if empty:
            raise _files.empty(self._inputs[0].name)

    def fingerprint(self) -> str:
        return _files.combined(self._inputs)


def _objects(item: _files.Input, encoding: str) -> Iterator[_json_array.Element]:
    """Each line that is not blank: its number, its text, and what it parses to."""
    for block in _lines.blocks(item, encoding):
        for at, line in enumerate(block.lines):
            if line.isspace():
                continue
            yield block.first + at, line, _parse(line)


def _parse(line: str) -> Any:
    try:
        return json.loads(line, strict=False)
    except (ValueError, RecursionError) as error:
        return error


def _row(value: Any, text: str, number: int, file: str, line: int) -> RawRow | BrokenRow:
    wrong = _lines.problem(text)
    repairs: tuple[str, ...] = ()
    if isinstance(value, Exception) and not wrong and "\0" in text:
        value, repairs = _parse(text.replace("\0", "")), ("nul-bytes",)
    if wrong is None and isinstance(value, Exception):
        wrong = "bad-json", f"{value} in: {text.strip()[:80]}"
    if wrong is None and not isinstance(value, dict):
        wrong = "not-an-object", f"{type(value).__name__}: {text.strip()[:80]}"
    if wrong is not None or not isinstance(value, dict):
        return BrokenRow(*(wrong or ("", "")), number, file, line)
    if "\\u" in text:
        value, changed = _without_halves(value)
        repairs += ("lone-surrogate",) * changed
    if "\0" in text or "\\u0000" in text:
        value, repairs = _without_nuls(value), repairs or ("nul-bytes",)
    return RawRow(value, number, file, line, repairs)


def _without_halves(value: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Halves of surrogate pairs (cut emoji) become U+FFFD; no codec can write them."""
    text = json.dumps(value, ensure_ascii=False)
    clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return (value, False) if clean == text else (json.loads(clean), True)


def _without_nuls(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nuls(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_nuls(item) for key, item in value.items()}
    return value
