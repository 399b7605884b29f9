"""What this machine is, and how much memory the process took."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import re
import resource
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FLAGS = (
    *("avx2", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx_vnni_int8"),
    *("avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimddp", "i8mm", "bf16", "sve"),
)
"""Instruction sets that decide which kernels run, as Linux names them (x86, then ARM)."""


M_ARENA_MAX = -8
"""The parameter of mallopt(3), as glibc's malloc.h numbers it."""
_CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables with which a user forbids instruction sets; oneDNN obeys, as in OpenVINO's 8-bit kernels.

ONNX Runtime and torch's own kernels do not read them: there the flags tell too little, never too much.
"""
_AVX2 = {"avx2", "f16c"}
_AVX512 = _AVX2 | {"avx512f", "avx512bw"}
_ALLOWED = {
    "SSE41": set[str](), "AVX": set[str](), "AVX2": _AVX2, "AVX2_VNNI": _AVX2 | {"avx_vnni"},
    "AVX2_VNNI_2": _AVX2 | {"avx_vnni", "avx_vnni_int8"}, "AVX512_CORE": _AVX512,
    "AVX512_CORE_VNNI": _AVX512 | {"avx512_vnni"},
    "AVX512_CORE_BF16": _AVX512 | {"avx512_vnni", "avx512_bf16"},
    "AVX512_CORE_FP16": _AVX512 | {"avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni"},
}  # fmt: skip
"""What is left under a cap, as oneDNN names it; other caps forbid nothing that is told here."""


def allowed(flags: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Instruction sets that kernels may use: the processor's, less what the environment forbids."""
    cap = next((environment[name].upper() for name in _CAPS if environment.get(name)), "")
    left = _ALLOWED.get(cap)
    return [flag for flag in flags if left is None or flag in left]


def cores() -> int:
    """Processors this process may use; a container's limit counts, rounded up."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(seen, quota_cores() or seen)


def quota_cores(root: Path = Path("/")) -> int:
    """Whole processors that the control group's quota allows, at least 1; 0 without a quota.

    Containers and systemd limit processor time so; such a process still sees every processor, and
    libraries that start a thread for each are throttled.

    Args:
        root: of the file system.
    """
    groups = root / "sys" / "fs" / "cgroup"
    try:
        own = re.search(r"^0::/(.*)$", (root / "proc/self/cgroup").read_text(), re.MULTILINE)
        places = [groups / own[1], groups] if own else [groups]
        for place in places:
            if (place / "cpu.max").is_file():
                return _whole(*(place / "cpu.max").read_text().split())
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        return _whole(*((groups / "cpu" / name).read_text() for name in names))
    except (OSError, ValueError, TypeError):  # no control groups
        return 0


def _whole(quota: str, period: str) -> int:
    """0 for the quotas `max` and -1, which are none."""
    if quota.strip() == "max" or int(quota) <= 0:
        return 0
    return max(1, -(-int(quota) // int(period)))


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
            elif key.strip() in ("flags", "Features"):
                present = set(value.split())
                flags = allowed((flag for flag in _FLAGS if flag in present), os.environ)
                break
    return {
        "processor": name,
        "flags": flags,
        "cores": cores(),
        "memory_mb": memory_mb(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


@dataclass(frozen=True)
class Kernels:
    """Which fast kernels a processor has, best first: `amx`, `avx512`, `vnni`, `avx2`, `none`.

    Attributes:
        int8: dot products of 8-bit integers: amx, vnni, avx2 or none.
        bf16: products in bfloat16: amx, avx512 or none (then bf16 is computed in fp32).
        fp16: products in half precision: amx, avx512 or none.
        int8_saturates: the int8 kernels add pairs in 16 bits, which overflow with full 8-bit
            weights: weights must keep to 7 bits.
        fuses: whether OpenVINO fuses attention in floats.
        fuses_int8: the same in 8-bit integers; there it runs attention in parts without AVX-512.
    """

    int8: str
    bf16: str
    fp16: str
    int8_saturates: bool
    fuses: bool
    fuses_int8: bool


def kernels(flags: Iterable[str] | None = None) -> Kernels:
    """The kernels for a processor's instruction sets; this machine's when not given."""
    if flags is None:
        flags = tuple(str(flag) for flag in describe()["flags"])  # type: ignore[attr-defined]
    has = set(flags).__contains__
    vnni = has("avx512_vnni") or has("avx_vnni") or has("i8mm") or has("asimddp")
    int8 = "amx" if has("amx_int8") else "vnni" if vnni else "avx2" if has("avx2") else "none"
    bf16 = "amx" if has("amx_bf16") else "avx512" if has("avx512_bf16") else "none"
    fp16 = "amx" if has("amx_fp16") else "avx512" if has("avx512_fp16") else "none"
    return Kernels(
        int8,
        bf16,
        fp16,
        int8_saturates=int8 in ("avx2", "none"),
        fuses=has("avx2") or has("avx512f"),
        fuses_int8=has("avx512f") and int8 in ("vnni", "amx"),
    )


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
    trim_heap()


def trim_heap() -> None:
    """Give freed blocks of the C library's heap back, without looking for unused objects."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def one_heap() -> None:
    """Let threads that begin from now on share the C library's main heap.

    By default each has a heap of its own, and what a large request leaves at the end of such a heap
    is not given back even by `trim_heap`. A heap in which a thread works already stays.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 1)


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
