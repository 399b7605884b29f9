"""multipart/form-data (RFC 7578) of a whole body, strictly and in one pass.

Fifty lines rather than a library: the body is already bounded and in memory, and multipart parsers
have a long record of denial of service by regular expressions and endless parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message as Headers
from functools import lru_cache

from modelwright.serve.problems import ServiceError

_MAX_HEADER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Part:
    """One field: its name, its file's name ("" for a plain field) and its bytes."""

    name: str
    filename: str
    data: bytes


@lru_cache(maxsize=64)
def header_parameters(value: str) -> tuple[str, Mapping[str, str]]:
    """`a/b; x="y"` to ("a/b", {"x": "y"}), in lower case but for the values."""
    headers = Headers()
    headers["content-type"] = value.replace("\r", " ").replace("\n", " ")
    found = headers.get_params(failobj=[("", "")], header="content-type")
    parameters = {str(key).lower(): str(item) for key, item in found[1:]}
    return str(found[0][0]).strip().lower(), parameters


def parse(body: bytes, boundary: str, max_parts: int) -> list[Part]:
    """All parts, in order.

    Raises:
        ServiceError: MW-701 when it is malformed, MW-704 when there are more than `max_parts`.
    """
    if not boundary or len(boundary) > 70 or not boundary.isascii():
        raise _malformed("the content type has no usable boundary")
    mark = b"--" + boundary.encode("ascii")
    if not body.startswith(mark):
        raise _malformed("the body does not start with the boundary")
    if body.count(b"\r\n" + mark) > max_parts + 1:
        raise ServiceError("MW-704", f"more than {max_parts} parts", fix="send several requests")
    chunks = body[len(mark) :].split(b"\r\n" + mark)
    if len(chunks) < 2 or not chunks[-1].startswith(b"--"):
        raise _malformed("the last boundary is missing")
    return [_part(chunk) for chunk in chunks[:-1]]


def _part(chunk: bytes) -> Part:
    if not chunk.startswith(b"\r\n"):
        raise _malformed("a boundary is not at the end of its line")
    head, separator, data = chunk[2:].partition(b"\r\n\r\n")
    if not separator or len(head) > _MAX_HEADER_BYTES:
        raise _malformed("a part has no headers, or too long ones")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            kind, parameters = header_parameters(value.decode("utf-8", "replace").strip())
            if kind == "form-data" and parameters.get("name"):
                return Part(parameters["name"], parameters.get("filename", ""), data)
    raise _malformed("a part has no name")


def _malformed(detail: str) -> ServiceError:
    return ServiceError("MW-701", f"not multipart/form-data: {detail}")
