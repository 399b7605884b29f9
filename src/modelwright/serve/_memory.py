"""What large requests leave in the C library's heap goes back to the system.

A freed block stays with the heap while a younger one lies behind it: a long text or a large body can
leave 20 MB there (docs/lab.md).
"""

from __future__ import annotations

import asyncio

from modelwright.runtime.machine import resident_mb, trim_heap

LOOK_S, SELDOM_S = 60.0, 600.0
"""Seconds between looks; more and more of them while giving back frees nothing. A service that is
asked such things all the time needs the room again within seconds."""
GROWN_MB = 8.0
"""Below it, giving back costs more (the pages are asked for again) than it frees."""


async def give_back() -> None:
    """Trim the heap while the process is larger than it has been; forever."""
    least, pause = resident_mb(), LOOK_S
    while True:
        await asyncio.sleep(pause)
        before = resident_mb()
        least = min(least, before)
        if before < least + GROWN_MB:
            pause = LOOK_S
            continue
        await asyncio.to_thread(trim_heap)
        freed = before - resident_mb()
        pause = LOOK_S if freed >= GROWN_MB else min(2 * pause, SELDOM_S)
