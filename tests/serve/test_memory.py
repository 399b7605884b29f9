"""What large requests leave in the heap of a serving process goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, threading
from modelwright.runtime.machine import one_heap, resident_mb
from modelwright.serve import _memory

THREADS, SIZE, ROOM_MB = 2, 14_000_000, 10
together, tried = threading.Barrier(THREADS), threading.Event()

def trim(trim_heap=_memory.trim_heap):
    trim_heap()
    tried.set()

def work():
    bytearray(2 * SIZE)  # the heap learns that such blocks come and go, and keeps the next
    together.wait()
    block = bytearray(SIZE)
    assert tried.wait(10)  # once in vain, while it is used
    together.wait()

async def main():
    _memory.LOOK_S, _memory.SELDOM_S, _memory.trim_heap = 0.02, 0.05, trim
    before = resident_mb()
    task = asyncio.create_task(_memory.give_back())
    await asyncio.sleep(0)
    await asyncio.gather(*[asyncio.to_thread(work) for _ in range(THREADS)])
    for _ in range(200):
        if resident_mb() < before + ROOM_MB:
            return print("given back")
        await asyncio.sleep(0.02)
    print("kept", resident_mb() - before)

one_heap()
asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's heap")
def test_blocks_that_many_threads_freed_are_given_back() -> None:
    command = [sys.executable, "-c", SCRIPT]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.strip() == "given back", told.stdout
