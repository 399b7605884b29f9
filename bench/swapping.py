"""Versions that change while callers ask: not one request may fail.

    .venv/bin/python bench/swapping.py --json OUT [--changes 100] [--quick] [--bundle DIR]

`mw serve` answers --bundle, or one made of the sample data, and eight callers ask without a pause.
Meanwhile its versions change by the admin port, in turns: a swap, a canary of half of the requests,
its promotion or its withdrawal, a roll-back. Every answer that is not 200, or that does not come,
counts.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from _report import HERE, SOURCE, arguments, environment, report, row, say
from _servers import Server, running
from startup import make_bundle

if str(SOURCE) not in sys.path:
    sys.path.insert(0, str(SOURCE))

CLIENTS, PAUSE, AFTER = 8, 0.2, 5.0
"""Callers; seconds between two changes; seconds of load after the last one."""
SERVER = Server(
    "mw serve",
    (
        "-m", "modelwright", "serve", "{bundle}", "--port", "{port}", "--keys", "{keys}",
        "--admin-port", "{admin}", "--bundles", "{bundles}",
    ),
    "/v1/predict", lambda text: {"inputs": [text]}, "/health/ready",
)  # fmt: skip


def main() -> None:
    """Parse, change, report."""
    parser = arguments(__doc__, "ten changes, a bundle of a few steps", data=False)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--bundle", type=Path)
    options = parser.parse_args()
    changes = 10 if options.quick else options.changes
    with tempfile.TemporaryDirectory(prefix="modelwright-swapping-") as name:
        bundle = options.bundle or make_bundle(Path(name), quick=options.quick)
        found = changed(bundle.resolve(), Path(name), changes)
    failed = sum(found["errors"].values())
    rows = [
        row(
            f"requests that failed during {len(found['changes'])} changes of version", failed, "requests",
            better="lower", at_least=0, aim=0, answered=found["answered"], errors=found["errors"],
        ),
        row("answers a second meanwhile", found["per_second"], "requests/s"),
    ]  # fmt: skip
    libraries = ("modelwright", "onnxruntime", "starlette", "uvicorn")
    report("swapping.py", rows, options.json, libraries, quick=options.quick, **found)


def changed(bundle: Path, work: Path, changes: int) -> dict[str, Any]:
    """Serve, ask, and change versions."""
    from modelwright.artifacts.bundle import read_bundle, seal_bundle
    from modelwright.artifacts.store import now
    from modelwright.serve._keys import SCOPES, new_key, write_keys
    from modelwright.testing.watched import free_port

    folders = [shutil.copytree(bundle, work / "bundles" / name) for name in ("one", "two")]
    seal_bundle(folders[1], {**read_bundle(folders[1]), "description": "another version"})
    name = read_bundle(bundle)["name"]
    key, kept = new_key("bench", SCOPES, 0, now())
    write_keys(work / "keys.json", [kept])
    filled = {
        "bundle": str(folders[0]), "keys": str(work / "keys.json"), "admin": str(free_port()),
        "bundles": str(work / "bundles"), "model": "", "plain": "",
    }  # fmt: skip
    with running(SERVER, filled, work / "service.log") as live:
        load = asking(live.port, key, work / "request.txt", changes * PAUSE * 10 + 600)
        done = []
        place = f"http://127.0.0.1:{filled['admin']}/admin/models/{name}"
        with ended(load), httpx.Client(headers={"x-api-key": key}, timeout=120) as admin:
            for path, body in itertools.islice(endless(), changes):
                began = time.monotonic()
                answer = admin.post(place + path, json=body)
                done.append([path or "load", body, answer.status_code, time.monotonic() - began])
                if answer.status_code != 200:
                    raise SystemExit(f"{path} {body}: {answer.status_code} {answer.text[:300]}")
                time.sleep(PAUSE)
            say(f"  {len(done)} changes")
            time.sleep(AFTER)
            told = stopped(load, work)
    slowest = max(seconds for *_, seconds in done)
    return {**told, "changes": [one[:3] for one in done], "slowest_change_s": round(slowest, 2)}


def endless() -> Iterator[tuple[str, dict[str, Any]]]:
    """Changes in turns; each leaves the service as the next one needs it."""
    while True:
        yield "", {"bundle": "two"}
        yield "/rollback", {}
        yield "", {"bundle": "two", "as": "canary", "share": 0.5}
        yield "/rollback", {}
        yield "", {"bundle": "two", "as": "canary", "share": 0.5}
        yield "/promote", {}
        yield "/rollback", {}


def asking(port: int, key: str, file: Path, seconds: float) -> subprocess.Popen[str]:
    """Callers in a process of their own, which ends when its input does."""
    body = json.dumps(SERVER.body("where is my parcel?")).encode()
    head = (
        f"POST {SERVER.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Api-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    file.write_text(f"plain {base64.b64encode(head.encode() + body).decode()}\n", encoding="utf-8")
    words = [
        sys.executable, str(HERE / "workers" / "load.py"), "--port", str(port), "--requests", str(file),
        "--clients", str(CLIENTS), "--seconds", str(seconds), "--until", str(file.with_suffix(".end")),
    ]  # fmt: skip
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment())


@contextmanager
def ended(load: subprocess.Popen[str]) -> Iterator[None]:
    """The callers are gone after the block, however it ends."""
    try:
        yield
    finally:
        load.kill()
        load.communicate()


def stopped(load: subprocess.Popen[str], work: Path) -> dict[str, Any]:
    """What the callers saw."""
    (work / "request.end").touch()
    said, _ = load.communicate(timeout=60)
    told = json.loads(said)
    return {name: told[name] for name in ("answered", "per_second", "errors")}


if __name__ == "__main__":
    main()
