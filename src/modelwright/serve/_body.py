"""A request's body, never more of it than is allowed, and answers packed for who accepts that."""

from __future__ import annotations

import asyncio
import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from modelwright.serve.problems import ServiceError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

WHOLE = "modelwright.whole"
"""Set in a scope by our server (`_http.py`) once the whole body is there."""
WORTH_PACKING = 1400
"""Answers below this many bytes fit one packet anyway."""
_GZIP = re.compile(r"(?:^|,)\s*gzip\s*(?:,|$|;(?!\s*q=0(?:\.0*)?\s*(?:,|$)))", re.IGNORECASE)
"""Gzip is accepted: it is named, and not with the weight 0."""


class BodyCutError(Exception):
    """The caller left before the whole body had come."""


@final
@dataclass(slots=True)
class Room:
    """Bytes of the bodies that are on their way or being parsed. Used from the event loop.

    Attributes:
        most: of all of them.
        taken: of them now.
    """

    most: int
    taken: int = 0


@final
@dataclass(slots=True)
class Coming:
    """A body on its way.

    Attributes:
        most: bytes of it.
        seconds: that it may take to come.
        room: shared with all other bodies.
        size: what came of it so far.
    """

    most: int
    seconds: float
    room: Room
    size: int = 0

    def take(self, more: int) -> None:
        """Count what came.

        Raises:
            ServiceError: MW-704 beyond `most`; MW-706 where others leave no room for it.
        """
        if self.size + more > self.most:
            raise too_large(self.most)
        room = self.room
        if room.taken > self.size and room.taken + more > room.most:
            headers = {"Retry-After": "1", "Connection": "close"}
            detail, fix = "too many bodies are on their way", "send the request again after 1 s"
            raise ServiceError("MW-706", detail, fix=fix, headers=headers, reason="bytes")
        room.taken, self.size = room.taken + more, self.size + more

    def __enter__(self) -> Coming:
        return self

    def __exit__(self, *_: object) -> None:
        """It was parsed, or is not wanted any more."""
        self.room.taken -= self.size


async def read_body(
    scope: Scope, headers: Mapping[str, str], receive: Receive, coming: Coming
) -> bytes:
    """The whole body, unpacked.

    Args:
        scope: of the request.
        headers: of it, names in lower case.
        receive: gives its parts.
        coming: its bounds, entered by the caller, who leaves it when the body is parsed.

    Raises:
        BodyCutError: it did not come to its end.
        ServiceError: MW-704 beyond `most` bytes, packed or unpacked; MW-705 for another encoding
            than gzip; MW-701 for broken gzip; MW-707 (408) when it takes longer than it may;
            MW-706 where there is no room for it beside others.
    """
    most = coming.most
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        detail = f"the content encoding {encoding[:40]!r} is not accepted"
        raise ServiceError("MW-705", detail, fix="send it plain, or as gzip")
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > most:
        raise too_large(most)
    if WHOLE in scope:  # no timer for what is there
        body = await _read(receive, coming)
    else:
        body = await _read_in_time(receive, coming)
    if encoding == "gzip":
        body = await asyncio.to_thread(unpack, body, most)
        coming.take(max(0, len(body) - coming.size))
    return body


async def _read_in_time(receive: Receive, coming: Coming) -> bytes:
    try:
        async with asyncio.timeout(coming.seconds):
            return await _read(receive, coming)
    except TimeoutError:
        detail = f"the body did not arrive within {coming.seconds:g} s"
        raise ServiceError(
            "MW-707", detail, fix="send it faster", status=408, headers={"Connection": "close"}
        ) from None


async def _read(receive: Receive, coming: Coming) -> bytes:
    chunks: list[bytes] = []
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise BodyCutError
        chunk = event.get("body", b"")
        coming.take(len(chunk))
        if not event.get("more_body", False) and not chunks:
            return chunk
        chunks.append(chunk)
        if not event.get("more_body", False):
            return b"".join(chunks)


def unpack(data: bytes, most: int) -> bytes:
    """A gzip body; stops as soon as it is too large, so that a bomb does not go off.

    Raises:
        ServiceError: MW-704 or MW-701.
    """
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        found = reader.decompress(data, most + 1)
    except zlib.error:
        raise _broken() from None
    if len(found) > most:
        raise too_large(most)
    if not reader.eof or reader.unused_data:
        raise _broken()
    return found


def too_large(most: int) -> ServiceError:
    """The 413 of a body."""
    return ServiceError(
        "MW-704",
        f"the body is larger than {most:,} bytes",
        fix="send fewer inputs a request",
        headers={"Connection": "close"},
    )


def _broken() -> ServiceError:
    return ServiceError(
        "MW-701", "the body is not whole gzip", fix="pack it again, or send it plain"
    )


def packed(body: bytes, headers: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """The body as this caller is sent it, with the headers that say so."""
    if len(body) < WORTH_PACKING:
        return body, {}
    vary = {"Vary": "Accept-Encoding"}
    if not _GZIP.search(headers.get("accept-encoding", "")):
        return body, vary
    return gzip.compress(body, 1, mtime=0), {"Content-Encoding": "gzip", **vary}
