"""The services of bench/serving.py: how each is installed, started, asked and watched.

Ours and each peer run one at a time on the same machine, each at the settings that its
documentation recommends for a processor of few cores: one worker that holds the model, its batching
on (32 rows, 5 ms where it asks for a time), all cores for the model.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _peers import Peer, install, installed, python_of
from _report import HERE, environment

START_SECONDS = 180.0
PLAIN = "the fine-tuned encoder with a classification head, as transformers saves it, in fp32"
SAME = "our bundle's int8 ONNX file and tokenizer"
COMMON = ("onnxruntime==1.31.1", "tokenizers==0.23.3", "numpy")


def single(text: str) -> Any:
    """The body of services that take one text."""
    return {"text": text}


def ours(text: str) -> Any:
    """Our own protocol."""
    return {"inputs": [text]}


def listed(text: str) -> Any:
    """BentoML's batched methods take lists."""
    return {"texts": [text]}


def tensors(text: str) -> Any:
    """Open Inference Protocol v2."""
    return {
        "inputs": [{"name": "texts", "shape": [1], "datatype": "BYTES", "data": [text],
                    "parameters": {"content_type": "str"}}]
    }  # fmt: skip


def classified(text: str) -> Any:
    """infinity's own route."""
    return {"input": [text], "model": "texts"}


@dataclass(frozen=True)
class Server:
    """One service.

    Attributes:
        title: as rows call it.
        command: after the interpreter; {port}, {model} and {plain} are filled in.
        path: that is asked.
        body: of a request with one text.
        ready: path that answers 200 when the model can.
        peer: its environment; None for ours.
        deadline: header that says in how many milliseconds an answer is worth something.
    """

    title: str
    command: tuple[str, ...]
    path: str
    body: Callable[[str], Any]
    ready: str
    peer: Peer | None = None
    deadline: str = ""

    def request(self, text: str, port: int, within_ms: int = 0) -> bytes:
        """The bytes on the wire of a request with one text; `within_ms` is told who listens."""
        body = json.dumps(self.body(text), ensure_ascii=False).encode()
        told = f"{self.deadline}: {within_ms}\r\n" if self.deadline and within_ms else ""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{told}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def _program(name: str) -> str:
    return str(HERE / "peers" / f"serve_{name}.py")


PEERS = (
    Server(
        "FastAPI around transformers' pipeline", (_program("fastapi"),), "/predict", single, "/ready",
        Peer("serve-fastapi", "FastAPI", (
            "fastapi==0.139.0", "uvicorn==0.38.0", "transformers==5.23.0"), PLAIN),
    ),
    Server(
        "LitServe", (_program("litserve"),), "/predict", single, "/health",
        Peer("serve-litserve", "LitServe", ("litserve==0.2.17", *COMMON), SAME),
    ),
    Server(
        "BentoML",
        ("-m", "bentoml", "serve", "serve_bentoml:Texts", "--port", "{port}", "--working-dir",
         str(HERE / "peers")),
        "/predict", listed, "/readyz", Peer("serve-bentoml", "BentoML", (
            "bentoml==1.4.39", *COMMON), SAME),
    ),
    Server(
        "MLServer",
        ("-c", "from mlserver.cli import main; main()", "start", "{settings}"), "/v2/models/texts/infer", tensors,
        "/v2/models/texts/ready", Peer("serve-mlserver", "MLServer", ("mlserver==1.7.1", *COMMON), SAME),
    ),
    Server(
        "Ray Serve", (_program("ray"),), "/predict", single, "/-/healthz",
        Peer("serve-ray", "Ray Serve", ("ray[serve]==2.60.0", *COMMON), SAME),
    ),
    Server(
        "infinity-emb",
        ("-c", "from infinity_emb.cli import cli; cli()", "v2", "--model-id", "{plain}", "--served-model-name", "texts",
         "--engine", "torch", "--device", "cpu", "--port", "{port}", "--no-bettertransformer"),
        "/classify", classified, "/health",
        Peer("serve-infinity", "infinity-emb", (
            "infinity-emb[server,torch]==0.0.78", "transformers<4.50"), PLAIN),
    ),
)  # fmt: skip
OURS = Server(
    "mw serve", ("-m", "modelwright", "serve", "{bundle}", "--variant", "{variant}", "--port", "{port}"),
    "/v1/predict", ours, "/health/ready", deadline="X-Deadline-Ms",
)  # fmt: skip


@dataclass
class Running:
    """A service that answers.

    Attributes:
        port: where.
        ready_seconds: from the start of its process until it said that it is ready.
        process: its first process.
    """

    port: int
    ready_seconds: float
    process: subprocess.Popen[bytes]

    def processes(self) -> list[int]:
        """Its first process and all that it started."""
        return _family(self.process.pid)

    def memory_mb(self) -> float:
        """Memory of the service's processes, shared pages counted once (PSS)."""
        return sum(_memory(pid) for pid in self.processes()) / 1024


def missing(server: Server, only_installed: bool) -> str:
    """Install a service's environment; why it could not be, or ""."""
    if server.peer is None:
        return ""
    if only_installed and not installed(server.peer):
        return "not installed"
    return install(server.peer)


@contextmanager
def running(server: Server, filled: Mapping[str, str], log: Path) -> Iterator[Running]:
    """Start a service, wait until it is ready, and stop it in the end.

    Args:
        server: installed.
        filled: what the command's braces stand for.
        log: where its output goes.

    Raises:
        SystemExit: it ended, or was not ready in time.
    """
    port = _free_port()
    filled = {**filled, "port": str(port)}
    if "{settings}" in server.command:
        filled["settings"] = str(_mlserver_settings(log.with_suffix(""), port))
    interpreter = python_of(server.peer) if server.peer is not None else Path(sys.executable)
    command = [str(interpreter), *(part.format(**filled) for part in server.command)]
    variables = {
        "PORT": str(port), "MODEL": filled["model"], "PLAIN": filled["plain"],
        "BENTOML_DO_NOT_TRACK": "true", "DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    }  # fmt: skip
    variables["PYTHONPATH"] = _path_of(server)
    started = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env=environment(**variables), stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(f"http://127.0.0.1:{port}{server.ready}", process, log)
        yield Running(port, time.perf_counter() - started, process)
    finally:
        _stop(process)


def _path_of(server: Server) -> str:
    """Peers find their common file, and nothing of ours."""
    return str(HERE / "peers") if server.peer is not None else environment()["PYTHONPATH"]


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise SystemExit(f"not ready: {log.read_text(errors='replace')[-1500:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the group; SIGKILL after ten seconds."""
    family = _family(process.pid)
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    for pid in family:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def _mlserver_settings(folder: Path, port: int) -> Path:
    """MLServer reads its settings from files of fixed names."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = {"http_port": port, "grpc_port": _free_port(), "metrics_port": _free_port()}
    quiet = {"debug": False, "parallel_workers": 0, "host": "127.0.0.1"}
    model = {
        "name": "texts", "implementation": "serve_mlserver.Texts", "max_batch_size": 32,
        "max_batch_time": 0.005,
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps({**ports, **quiet}), encoding="utf-8")
    (folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    return folder


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [one for child in children.read_text().split() for one in _family(int(child))]
        except OSError:
            continue
    return found


def _memory(pid: int) -> int:
    """KiB of a process, its part of shared pages."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
