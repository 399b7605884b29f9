"""How a packaged form is best run: `runtime.json` in the folder of a variant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from modelwright.runtime.files import read_json, write_json
from modelwright.runtime.machine import cores

FILE = "runtime.json"

Precision = Literal["f32", "bf16", "f16"]


@dataclass(frozen=True)
class RuntimeSettings:
    """What was chosen or measured for one form.

    Attributes:
        inference_precision: of what is not stored in integers; None leaves it to the engine.
        threads: in all; 0 for all cores.
        streams: batches that run side by side, each on its part of the threads.
        tokens: most tokens of a batch, padding counted; 0 for the engine's own limit.
        rows: most rows of a batch; 0 for the engine's own limit.
        widths: a graph of its own for one row of each of these widths; such rows are run one by
            one, in batches too. Faster for small models, and as many times in memory.
    """

    inference_precision: Precision | None = None
    threads: int = 0
    streams: int = 1
    tokens: int = 0
    rows: int = 0
    widths: tuple[int, ...] = ()

    def placed(self, threads: int = 0) -> tuple[int, int]:
        """Threads and streams on this machine; the caller's `threads` win if given."""
        total = threads or min(self.threads or cores(), cores())
        return total, max(1, min(self.streams, total))


def is_tuned(folder: Path) -> bool:
    """Whether a variant's folder says how it is best run."""
    return (folder / FILE).is_file()


def read_runtime(folder: Path) -> RuntimeSettings:
    """The settings in a variant's folder; the defaults where there are none."""
    path = folder / FILE
    if not path.is_file():
        return RuntimeSettings()
    values = read_json(path)
    return RuntimeSettings(**{**values, "widths": tuple(values.get("widths", ()))})


def write_runtime(folder: Path, settings: RuntimeSettings) -> None:
    """Keep the settings in a variant's folder."""
    write_json(folder / FILE, asdict(settings))
