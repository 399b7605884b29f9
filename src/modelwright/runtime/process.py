"""What the system says of this process: how much memory it may have, and since when it runs."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from modelwright.runtime.machine import memory_mb


def memory_limit(root: Path = Path("/")) -> int:
    """Bytes beyond which the kernel kills: the control group's limit, else the machine's memory.

    Args:
        root: of the file system.
    """
    machine = memory_mb() * 2**20
    groups = root / "sys" / "fs" / "cgroup"
    try:
        own = re.search(r"^0::/(.*)$", (root / "proc/self/cgroup").read_text(), re.MULTILINE)
        places = [groups / own[1] / "memory.max", groups / "memory.max"] if own else []
        places.append(groups / "memory" / "memory.limit_in_bytes")  # the first version of groups
        found = next(place for place in places if place.is_file()).read_text().strip()
        return machine if found == "max" else min(machine, int(found))
    except (OSError, ValueError, StopIteration):
        return machine


def age() -> float | None:
    """Seconds since this process was started (or forked); None where the system does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)
    except (OSError, ValueError, IndexError, AttributeError):
        return None
