"""Where and in what precision to compute: decided by looking and measuring, not by a flag."""

from __future__ import annotations

import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

_REPEATS = 7


def accelerator() -> Literal["cuda", "cpu"]:
    """Where training computes: the GPU where there is one that torch can use."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def fastest_precision() -> Literal["fp32", "bf16"]:
    """bf16 where a matrix product of training's size is clearly faster in it, else fp32.

    Some processors list bf16 and some run it in software, so a product of 512 x 384 x 1536 is
    timed in both (about 20 ms in all).
    """
    import torch

    if accelerator() == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    seconds = {kind: _product_seconds(kind) for kind in (torch.float32, torch.bfloat16)}
    return "bf16" if seconds[torch.bfloat16] < 0.8 * seconds[torch.float32] else "fp32"


def _product_seconds(kind: object) -> float:
    import torch

    a, b = torch.randn(512, 384).to(kind), torch.randn(384, 1536).to(kind)  # type: ignore[call-overload]
    times: list[float] = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


class StopFlag:
    """Set by the first Ctrl-C or SIGTERM; a second one ends the process at once."""

    def __init__(self) -> None:
        self.raised = False


@contextmanager
def stop_requests() -> Iterator[StopFlag]:
    """Let a block finish its step and save when it is asked to stop (main thread only)."""
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    previous = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _frame: object) -> None:
        if flag.raised:
            raise KeyboardInterrupt
        flag.raised = True

    for kind in previous:
        signal.signal(kind, ask)
    try:
        yield flag
    finally:
        for kind, handler in previous.items():
            signal.signal(kind, handler)
