"""What this machine is, and how much memory the process took."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import resource
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def cores() -> int:
    """Processors this process may use (a container's limit counts)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def describe() -> dict[str, object]:
    """Processor, cores, memory and system, for manifests and reports."""
    name, flags = platform.processor() or platform.machine(), []
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                present = set(value.split())
                flags = [flag for flag in _FLAGS if flag in present]
                break
    return {
        "processor": name,
        "flags": flags,
        "cores": cores(),
        "memory_mb": memory_mb(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def memory_mb() -> int:
    """Physical memory, in MiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def resident_mb() -> float:
    """Resident memory of this process now, in MiB."""
    status = Path("/proc/self/statm")
    if status.is_file():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def release_memory() -> None:
    """Give memory that is no longer used back to the system, where the C library can."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@dataclass
class Usage:
    """Filled in when a `measured` block ends."""

    seconds: float = 0.0
    peak_mb: float = 0.0


@contextlib.contextmanager
def measured(interval: float = 0.05) -> Iterator[Usage]:
    """Wall seconds and peak resident memory (sampled every `interval` seconds) of a block."""
    usage, done, start = Usage(), threading.Event(), time.perf_counter()
    usage.peak_mb = resident_mb()

    def sample() -> None:
        while not done.wait(interval):
            usage.peak_mb = max(usage.peak_mb, resident_mb())

    thread = threading.Thread(target=sample, name="modelwright-memory", daemon=True)
    thread.start()
    try:
        yield usage
    finally:
        done.set()
        thread.join()
        usage.peak_mb = max(usage.peak_mb, resident_mb())
        usage.seconds = time.perf_counter() - start
