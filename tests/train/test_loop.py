"""Which evaluation of a run is kept."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("transformers")

from modelwright.train.loop import within_chance


@pytest.mark.parametrize(
    ("values", "rows", "kept"),
    [
        ([0.5], 100, True),
        ([0.5, 0.6], 100, True),
        ([0.92, 0.917], 990, True),  # half a standard error is 0.0043
        ([0.92, 0.914], 990, False),
        ([0.92, 0.915], 5000, False),
        ([0.92, 0.90, 0.917], 990, True),
        ([1.0, 1.0], 10, True),
        ([1.0, 0.9], 10, False),
        ([-0.1, -0.2], 10, False),
    ],
)
def test_the_last_evaluation_within_chance_of_the_best_is_kept(
    values: list[float], rows: int, kept: bool
) -> None:
    assert within_chance(values, rows) is kept


@pytest.mark.parametrize(("waited", "trims"), [(0.0, 0), (6.0, 1)])
def test_a_long_epoch_gives_the_heap_back_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, waited: float, trims: int
) -> None:
    from modelwright.train import loop

    calls: list[int] = []
    monkeypatch.setattr(loop, "trim_heap", lambda: calls.append(1))
    run = SimpleNamespace(batches=SimpleNamespace(ends=[100]))
    bar, stop = SimpleNamespace(advance=lambda: None), SimpleNamespace(raised=False)
    watcher = loop._Watcher(run, bar, stop, None)  # type: ignore[arg-type]
    watcher.trimmed -= waited
    for step in (1, 2):
        watcher.on_step_end(None, SimpleNamespace(global_step=step), SimpleNamespace())
    assert len(calls) == trims
