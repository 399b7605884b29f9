"""JSON without surprises: no duplicate keys, no NaN, no half characters, bounded depth and number
of values."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from modelwright.serve.problems import ServiceError

MOST_VALUES = 500_000
"""Of a body: ten megabytes of `[],` would become half a gigabyte of lists."""
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def loads(body: bytes, max_depth: int) -> Any:
    """Parse a request body.

    Raises:
        ServiceError: MW-701 saying what is wrong and where, MW-704 for more than `MOST_VALUES`.
    """
    if not body.strip():
        raise _malformed("the body is empty", 'send {"inputs": ["..."]}')
    if body.count(b",") > MOST_VALUES and _STRING.sub(b"", body).count(b",") > MOST_VALUES:
        detail = f"the body holds more than {MOST_VALUES:,} values"
        raise ServiceError("MW-704", detail, fix="send fewer inputs a request")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start} of the body is not UTF-8", "send UTF-8") from error
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _malformed(f"not JSON: {error.msg} at {place}", "send valid JSON") from error
    except RecursionError as error:
        raise _too_deep(max_depth) from error
    except ValueError as error:  # _RefusedError, or a number with thousands of digits
        said = str(error) if isinstance(error, _RefusedError) else "a number has too many digits"
        raise _malformed(said) from error
    _inspect(value, max_depth)
    return value


class _RefusedError(ValueError):
    """Raised inside json.loads; its text is for the caller."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise _RefusedError(f"the key {_shown(name)} is given twice in one object")
        seen.add(name)
    return found


def _constant(name: str) -> Any:
    raise _RefusedError(f"{name} is not JSON; numbers must be finite")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)


def _inspect(value: Any, max_depth: int) -> None:
    """Walk what was parsed without recursion: depth, infinite numbers, lone surrogates."""
    level: list[Any] = [[value]]
    for _ in range(max_depth + 1):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                for name in one:
                    _whole(name)
                one = one.values()
            for member in one:
                if isinstance(member, str):
                    _whole(member)
                elif isinstance(member, float):
                    if not math.isfinite(member):
                        raise _malformed("a number is too large; numbers must be finite")
                elif isinstance(member, (dict, list)):
                    below.append(member)
        if not below:
            return
        level = below
    raise _too_deep(max_depth)


def _whole(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _malformed("a string holds half of a surrogate pair (\\ud800 to \\udfff)") from error


def _shown(name: str) -> str:
    return json.dumps(name[:64])


def _too_deep(max_depth: int) -> ServiceError:
    return _malformed(f"nested deeper than {max_depth} levels", "flatten the body")


def _malformed(detail: str, fix: str = "") -> ServiceError:
    return ServiceError("MW-701", detail, fix=fix)
