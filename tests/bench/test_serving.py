"""What bench/serving.py's load says is what the service did."""

from __future__ import annotations

import argparse
import asyncio
import base64
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("bench_load", BENCH / "workers" / "load.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "WARM_UP", 0.0)
    return module


@pytest.mark.parametrize("how", [{"clients": 3}, {"rate": 200.0}], ids=["closed", "open"])
def test_good_answers_and_errors_are_told_apart_and_by_group(
    load: Any, tmp_path: Path, how: dict[str, Any]
) -> None:
    """A service that is full for every `bad` request, and answers in chunks."""
    requests = tmp_path / "requests.txt"
    texts = {group: f"POST /{group} HTTP/1.1\r\n\r\n" for group in ("good", "bad")}
    lines = [f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in texts.items()]
    requests.write_text("\n".join(lines) + "\n", encoding="utf-8")
    seen, handlers = {"good": 0, "bad": 0}, list[Any]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        while head := await _head(reader):
            name = head.split()[1].decode().strip("/")
            seen[name] += 1
            writer.write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
                if name == "good"
                else b"HTTP/1.1 503 Full\r\nContent-Length: 4\r\n\r\nfull"
            )

        writer.close()
        await writer.wait_closed()

    async def run() -> dict[str, Any]:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            options = {
                "host": "127.0.0.1", "port": server.sockets[0].getsockname()[1],
                "requests": requests, "clients": 0, "rate": 0.0, "seconds": 0.4, "within": 5.0,
                "until": None,
            }  # fmt: skip
            found = await load.Load(argparse.Namespace(**options | how)).run()
            await asyncio.gather(*handlers)
            return found

    found = asyncio.run(run())
    assert found["answered"] > 0
    assert found["errors"].keys() == {"503"}
    assert found["groups"].keys() == {"good"}
    assert seen["good"] - 3 <= found["answered"] <= seen["good"], "late ones are not counted"
    assert found["goodput"] == found["per_second"]
    assert found["p50_ms"] <= found["p99_ms"]


async def _head(reader: asyncio.StreamReader) -> bytes:
    """A request's head; nothing once the caller hung up."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
