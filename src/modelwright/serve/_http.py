"""uvicorn's HTTP protocol with bounds on what comes before a request: headers, time, connections.

Bodies are bounded by the application (`_body.py`), which sees a request only when its head is whole.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast, final

from modelwright.serve._body import WHOLE
from modelwright.serve.problems import PROBLEM_JSON, ServiceError

if TYPE_CHECKING:
    from modelwright.serve.settings import Settings


_IDLE, _HEAD, _BODY = 0, 1, 2
_CONTINUE = b"HTTP/1.1 100"


class _Head:
    """Where a connection is (idle, in a head, in a body), and the time and room a head may take."""

    loop: Any
    transport: Any
    cycle: Any
    url: bytes
    headers: list[tuple[bytes, bytes]]
    _state = _IDLE
    _begun = 0
    _head_bytes = 0
    _long = False
    _timer: asyncio.TimerHandle | None = None

    def _measure(self, most: int) -> None:
        """Raises, which ends in send_400_response, where the head was too long."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > most:
            self._long = True
            raise ValueError(size)

    def _set_timer(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._too_slow, seconds)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self, seconds: float) -> None:
        self._timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._set_timer(seconds)  # an answer to an earlier request is being written
        elif self._state == _BODY:
            self.transport.abort()  # it was answered before its body had come, which never ends
        elif not self.transport.is_closing():
            self._refuse("MW-707", "the request's head did not arrive in time", 408)

    def send_400_response(self, msg: str) -> None:
        if self._long:
            self._refuse("MW-704", "the request's head is too large", 431)
        else:
            self._refuse("MW-701", "this is not a request of HTTP/1.1", 400)

    def _refuse(self, code: str, detail: str, status: int) -> None:
        self.transport.write(refusal(ServiceError(code, detail, status=status)))
        self.transport.close()


class _Unread:
    """Gives up a connection whose caller reads nothing of what was written."""

    loop: Any
    transport: Any
    flow: Any
    _unread_s: float
    _unsent = 0
    _reading: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        self.flow.pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        self.flow.resume_writing()
        self._was_read()

    def _wait_for_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        if self._reading is not None and left >= self._unsent:
            self.transport.abort()
            return
        self._unsent = left
        self._reading = self.loop.call_later(self._unread_s, self._wait_for_reader)

    def _was_read(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


@final
class _Joined:
    """A transport that keeps a response's head until the body comes: one packet, one system call."""

    __slots__ = ("_begun", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head, self._begun = transport, b"", False

    def write(self, data: bytes) -> None:
        if not self._begun and not data.startswith(_CONTINUE):
            self._begun, self._head = True, data
            return
        head, self._head = self._head, b""
        if not self._transport.is_closing():  # uvloop's raises then
            self._transport.write(head + data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        if self._head and not self._transport.is_closing():
            self._transport.write(self._head)
        self._transport.close()


def bounded(settings: Settings) -> type[asyncio.Protocol]:
    """The protocol class for these settings; imports uvicorn."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Bounded(_Head, _Unread, HttpToolsProtocol):
        """One connection."""

        _unread_s = settings.body_s

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > settings.max_connections:
                transport.abort()
                return
            self._set_timer(settings.head_s)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            self._was_read()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            waiting = bool(self.pipeline)
            super().on_response_complete()
            if self._state == _BODY and not waiting and not self.transport.is_closing():
                self._set_timer(settings.body_s)

        def data_received(self, data: bytes) -> None:
            idle, self._begun = self._state == _IDLE, 0
            super().data_received(data)
            if self._state == _BODY or (self._state == _IDLE and (self._begun or not idle)):
                return  # what came is of a body, or ends a request
            if self._timer is None:
                self._set_timer(settings.head_s)
            if not self._begun or (idle and self._begun == 1):
                self._head_bytes += len(data)  # nothing of an earlier request is in it
            if self._head_bytes > settings.max_head_bytes and not self.transport.is_closing():
                self._long = True
                self.send_400_response("")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._state, self._head_bytes = _HEAD, 0
            self._begun += 1

        def on_headers_complete(self) -> None:
            self._state = _BODY
            self._stop_timer()
            self._measure(settings.max_head_bytes)
            super().on_headers_complete()
            if self.scope["method"] != "HEAD":  # which has no body to wait for
                cast(Any, self.cycle).transport = _Joined(self.transport)

        def on_message_complete(self) -> None:
            super().on_message_complete()
            scope: Any = self.scope
            scope[WHOLE] = True
            self._state = _IDLE
            self._stop_timer()

    return Bounded


def refusal(error: ServiceError) -> bytes:
    """A whole HTTP/1.1 response, for callers who have no request yet."""
    body = json.dumps(error.as_dict("")).encode()
    head = (
        f"HTTP/1.1 {error.status} {error.as_dict('')['title']}\r\n"
        f"content-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
