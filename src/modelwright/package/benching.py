"""Speed of a bundle's variants on this machine, now."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

from modelwright.artifacts.bundle import read_bundle
from modelwright.engines import Bundle
from modelwright.package.proving import speed
from modelwright.package.verifying import read_golden
from modelwright.runtime.libraries import installed


def bench(folder: Path) -> list[dict[str, Any]]:
    """One entry a variant: latencies by shape, and milliseconds to the first answer.

    Raises:
        UserError: MW-601 when the folder is no bundle.
    """
    manifest = read_bundle(folder)
    found: list[dict[str, Any]] = []
    for entry in manifest["variants"]:
        name = entry["name"]
        if not installed(entry["engine"]):
            found.append({"name": name, "left_out": f"{entry['engine']} is not installed"})
            continue
        started = time.perf_counter()
        bundle = Bundle.open(folder, name)
        inputs = [row["input"] for row in read_golden(folder)]
        if bundle.task.modality == "image":
            inputs = [base64.b64decode(value) for value in inputs]
        bundle.predict(inputs[:1])
        first = 1000 * (time.perf_counter() - started)
        measured = speed(bundle, bundle.encode(inputs))
        found.append({"name": name, "first_answer_ms": round(first, 1), "speed": measured})
        bundle.close()
    return found
