"""Memory that a form takes: opened and run in a process of its own, which holds nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelwright import plugs
from modelwright.encoders.batches import collate
from modelwright.engines._latency import Call
from modelwright.runtime.libraries import require
from modelwright.runtime.machine import resident_mb

RUNS = 20
SECONDS = 120


def memory_mb(folder: Path, engine: str, model: Any, probe: Sequence[Call]) -> float | None:
    """Resident MiB that opening a form and answering its calls adds to a process.

    The runtime's own libraries are not counted. None where the process could not tell, or not
    within `SECONDS`.

    Args:
        folder: of the form.
        engine: that runs it.
        model: encodes the calls.
        probe: the calls.
    """
    import numpy as np

    with tempfile.TemporaryDirectory(prefix="modelwright-memory-") as name:
        paths = []
        for number, call in enumerate(probe):
            paths.append(str(Path(name) / f"{number}.npz"))
            arrays: dict[str, Any] = collate(list(call.features), model.encoder)
            np.savez(paths[-1], **arrays)
        command = [sys.executable, "-m", __name__, engine, str(folder), *paths]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return None
    if done.returncode != 0:
        return None
    return float(json.loads(done.stdout)["mb"])


def main(engine: str, folder: str, paths: Sequence[str]) -> None:
    """Print what this process took."""
    import numpy as np

    plug = plugs.load("engine", engine)
    for library in plug.requires:
        require(library, plug.requires[library])
    batches = []
    for path in paths:
        with np.load(path, allow_pickle=False) as arrays:
            batches.append({name: arrays[name] for name in arrays.files})
    before = resident_mb()
    opened = plug.cls(Path(folder))
    for _ in range(RUNS):
        for batch in batches:
            opened.run(batch)
    print(json.dumps({"mb": round(resident_mb() - before, 1)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
