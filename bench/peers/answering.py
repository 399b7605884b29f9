"""A peer's model, opened by its own runtime, answering calls that bench/compression.py asks for.

One JSON object a line on stdin, one on stdout:

    {"work": "single", "calls": [0, 1, 2]}     {"seconds": [0.0011, 0.0010, 0.0011]}
    {"logits": "test", "to": "FILE.npy"}       {"rows": 3080}

A call's time runs from token ids in memory to logits. Nothing of Modelwright is imported.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _handed import Rows


def main() -> None:
    """Open, say so, answer until stdin ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--handed", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--runtime", choices=["onnxruntime", "openvino"], required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    openers = {"onnxruntime": onnxruntime, "openvino": openvino}
    run = openers[options.runtime](options.model, options.threads)
    works: dict[str, Rows] = {}
    print(json.dumps({"ready": options.runtime}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked.get("work") or asked["logits"]
        if name not in works:
            works[name] = Rows(options.handed, name)
        answer = times(run, works[name], asked) if "work" in asked else logits(run, works, asked)
        print(json.dumps(answer), flush=True)


def times(run: Any, rows: Rows, asked: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each call."""
    found = []
    for number in asked["calls"]:
        before = time.perf_counter()
        run(rows.call(number))
        found.append(time.perf_counter() - before)
    return {"seconds": found}


def logits(run: Any, works: dict[str, Rows], asked: dict[str, Any]) -> dict[str, Any]:
    """Answers to all rows, written to a file."""
    found = np.concatenate([run(inputs) for inputs in works[asked["logits"]].batches()])
    np.save(asked["to"], found.astype(np.float32))
    return {"rows": len(found)}


def onnxruntime(path: Path, threads: int) -> Any:
    """A session with its defaults but for the threads."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    known = {entry.name for entry in session.get_inputs()}
    return lambda inputs: session.run(
        None, {name: array for name, array in inputs.items() if name in known}
    )[0]


def openvino(path: Path, threads: int) -> Any:
    """A compiled model for latency, its default."""
    import openvino as ov

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = ov.Core().compile_model(str(path), "CPU", settings)
    request = compiled.create_infer_request()
    return lambda inputs: request.infer(inputs, share_inputs=True)[compiled.output(0)].copy()


if __name__ == "__main__":
    main()
