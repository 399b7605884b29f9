"""What large requests leave in the C library's heap goes back to the system.

A freed block stays with the heap while a younger one lies behind it. Of some thousand large requests,
a few leave 20 MB each for good (docs/lab.md), in every thread's part of the heap.
"""

from __future__ import annotations

import asyncio

from modelwright.runtime.machine import resident_mb, trim_heap

LOOK_S = 5.0
GROWN_MB = 8.0
"""Below it, giving back costs more (the pages are asked for again) than it frees."""


async def give_back() -> None:
    """Trim the heap whenever the process has grown since it was trimmed last; forever."""
    settled = resident_mb()
    while True:
        await asyncio.sleep(LOOK_S)
        now = resident_mb()
        if now > settled + GROWN_MB:
            await asyncio.to_thread(trim_heap)
            now = settled = resident_mb()
        settled = min(settled, now)
