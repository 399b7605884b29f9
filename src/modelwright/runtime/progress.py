"""Progress on stderr: a live bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
_PLAIN_EVERY_S = 10.0


class Bar:
    """One task's progress; `advance` and `note` may be called at any rate."""

    def __init__(self, title: str, total: float | None) -> None:
        self.title, self.total, self.done, self.text = title, total, 0.0, ""
        self.before = 0.0
        self.started = self.printed = time.monotonic()
        self._rich: Any = None
        self._task: Any = None

    def advance(self, amount: float = 1) -> None:
        """Move on by `amount` of `total`."""
        self.done += amount
        self._show()

    def resume(self, amount: float) -> None:
        """`amount` was done in an earlier run: it counts, but not towards this run's pace."""
        self.before = amount
        self.advance(amount)

    def note(self, text: str) -> None:
        """Change what is shown beside the bar (loss, rate)."""
        self.text = text
        self._show()

    def _show(self) -> None:
        if self._rich is not None:
            self._rich.update(self._task, completed=self.done, note=self.text)
        elif time.monotonic() - self.printed > _PLAIN_EVERY_S:
            self.printed = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def _line(self) -> str:
        elapsed = time.monotonic() - self.started
        if not self.total:
            return f"  {self.title}: {self.done:,.0f} {self.text}".rstrip()
        paced = self.done - self.before
        left = elapsed * (self.total - self.done) / paced if paced else 0.0
        share = min(1.0, self.done / self.total)
        return f"  {self.title}: {share:4.0%} {self.text} ({left:,.0f} s left)"


@contextmanager
def bar(title: str, total: float | None = None) -> Iterator[Bar]:
    """Show progress of a block."""
    shown = Bar(title, total)
    if not sys.stderr.isatty():
        yield shown
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%" if total else "{task.completed:,.0f}"),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        shown._rich = progress
        shown._task = progress.add_task(title, total=total, note="")
        yield shown


def track(items: Iterable[Item], title: str, total: float | None = None) -> Iterator[Item]:
    """Iterate with a bar."""
    with bar(title, total) as shown:
        for item in items:
            yield item
            shown.advance()


def say(text: str) -> None:
    """One line to the user on stderr (stdout is for results)."""
    print(text, file=sys.stderr, flush=True)
