"""Opens a bundle for the service: its digests first, then how this machine runs it best.

Several short calls side by side on a thread each may answer more than one call on all threads.
Where `runtime.json` does not tell what was found best, both are tried on the bundle's own examples.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.artifacts.bundle import changed_files, read_bundle
from modelwright.errors import UserError
from modelwright.runtime.machine import cores, trim_heap
from modelwright.serve._golden import read_golden

if TYPE_CHECKING:
    from modelwright.engines import Bundle

TRIED_S, TRIES = 0.02, 3
"""For how long each way is tried, in turns; its best counts, since the machine has more to do."""
ROWS = 8
WORTH = 1.05
"""The way that a bundle has when it is opened is left for one that is faster by this factor."""


def open_verified(path: Path, variant: str | None = None, threads: int | None = None) -> Bundle:
    """Open a bundle whose files are as they were packaged.

    Args:
        path: the folder.
        variant: a variant's name; the bundle's default when not given.
        threads: of one call; measured when not given.

    Raises:
        UserError: MW-602 for a file of the variant, or one that all share, that is missing, changed
            or not declared; and what `Bundle.open` raises.
    """
    from modelwright.engines import Bundle

    folder = Path(path)
    manifest = read_bundle(folder)
    for one in changed_files(folder, manifest, variant or manifest["default"]):
        raise UserError(one.code, one.seen, expected=one.expected, fix=one.fix, file=one.file)
    bundle = Bundle.open(folder, variant=variant, threads=threads)
    if threads is None and cores() > 1:
        choose_streams(bundle, cores())
    return bundle


def choose_streams(bundle: Bundle, streams: int) -> None:
    """Let a bundle run so many calls side by side, where that answers more in the same time."""
    inputs = [row["input"] for row in read_golden(bundle.folder, ROWS)]
    other = bundle.engine.spread(streams) if inputs else None
    if other is None:
        return
    rows = [feature for item in inputs for feature in bundle.encode([item])]
    before, count = bundle.engine, bundle.limits.workers
    alone = beside = 0.0
    for _ in range(TRIES):
        bundle.engine = before
        alone = max(alone, _rate(bundle.run_batch, rows, count))
        bundle.engine = other
        beside = max(beside, _rate(bundle.run_batch, rows, streams))
    bundle.engine = before
    if beside > WORTH * alone:
        bundle.run_by(other)
    else:
        other.close()
    trim_heap()


def _rate(run: Callable[[Sequence[Any]], Any], rows: Sequence[Any], callers: int) -> float:
    """Rows a second that so many callers are answered, each row by a call of its own."""
    run([rows[0]])
    until = time.perf_counter() + TRIED_S

    def ask(first: int) -> int:
        done = 0
        for row in islice(cycle(rows), first, None):
            run([row])
            done += 1
            if time.perf_counter() > until:
                break
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        done = sum(pool.map(ask, range(callers)))
    return done / (time.perf_counter() - began)
