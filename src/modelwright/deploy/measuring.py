"""What one replica can do: the real service as a child process, asked more and more.

    start -> ready -> a crowd finds the most it answers -> steps of an open load, lowest first
          -> halving between the last step that kept the promise and the first that did not

The callers run on the same machine and take part of its time, so that a machine of its own does
rather more than what is written down here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, final

from modelwright.artifacts.bundle import read_bundle
from modelwright.artifacts.capacity import Capacity, Load
from modelwright.deploy._load import Callers
from modelwright.errors import GateError, UserError
from modelwright.runtime import machine
from modelwright.runtime.progress import bar

SECONDS = 20.0
STEPS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
"""Of the most that a crowd was answered."""
HALVINGS = 3
CROWD = 16
LEAST_RATE = 0.5
START_SECONDS = 300.0
_SERIES = re.compile(
    r"^modelwright_(queue_depth|queue_seconds_sum)\{[^}]*\} ([0-9.e+-]+)$", re.MULTILINE
)


def measure(
    bundle: Path,
    slo_p99_ms: float,
    seconds: float = SECONDS,
    variant: str | None = None,
) -> Capacity:
    """Find the highest rate at which a replica keeps its promise.

    Args:
        bundle: folder of it; its golden rows are what is asked.
        slo_p99_ms: the promise, for the 99th percentile.
        seconds: that the load takes, about; the start of the service comes on top.
        variant: of the bundle; its default when not given.

    Raises:
        UserError: MW-601 no bundle, MW-623 the service did not start, MW-624 there is nothing to
            ask.
        GateError: MW-625 the promise is not kept at any rate.
    """
    chosen = variant or read_bundle(bundle)["default"]
    golden_rows(bundle)
    with _service(bundle, chosen) as service:
        return measure_running(service, bundle, slo_p99_ms, seconds, chosen, machine.cores())


def measure_running(
    service: Service, bundle: Path, slo_p99_ms: float, seconds: float, variant: str, cores: int
) -> Capacity:
    """The same of a service that runs: one replica that nobody else asks.

    Args:
        service: where it answers, and its processes.
        bundle: that it serves.
        slo_p99_ms: the promise.
        seconds: that the load takes, about.
        variant: that it serves.
        cores: that it may use.

    Raises:
        UserError: MW-624.
        GateError: MW-625.
    """
    manifest = read_bundle(bundle)
    requests = [request(row, service.port) for row in golden_rows(bundle)]
    loads = asyncio.run(_climb(service, requests, slo_p99_ms, seconds))
    memory = service.memory_mb()
    kept = [load for load in loads if _keeps(load, slo_p99_ms)]
    if not kept:
        raise _never_kept(loads[0], slo_p99_ms)
    about = machine.describe()
    flags = " ".join(map(str, about["flags"]))  # type: ignore[call-overload]
    return Capacity(
        bundle=manifest["name"],
        version=manifest["version"],
        variant=variant,
        machine=f"{about['processor']} ({flags})" if flags else str(about["processor"]),
        cores=cores,
        slo_p99_ms=slo_p99_ms,
        per_second=max(load.rate for load in kept),
        loads=tuple(loads),
        memory_mb=round(memory, 1),
        ready_seconds=round(service.ready_seconds, 2),
    )


def golden_rows(bundle: Path) -> list[object]:
    """What a bundle's service can be asked.

    Raises:
        UserError: MW-624; there are none.
    """
    path = bundle / "golden.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = [json.loads(line)["input"] for line in lines if line.strip()]
    if not rows:
        raise UserError(
            "MW-624",
            f"{bundle} holds no golden rows, so there is nothing to ask the service",
            expected="a bundle with golden.jsonl",
            fix="package it again: mw run RECIPE",
        )
    return rows


def request(row: object, port: int) -> bytes:
    """A whole request for the prediction of one row."""
    body = json.dumps({"inputs": [row]}, ensure_ascii=False).encode()
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _keeps(load: Load, slo_p99_ms: float) -> bool:
    return load.answered == 1.0 and load.p99_ms <= slo_p99_ms


def _never_kept(lowest: Load, slo_p99_ms: float) -> GateError:
    return GateError(
        "MW-625",
        f"at {lowest.rate:g} requests a second the 99th percentile is {lowest.p99_ms:.0f} ms and "
        f"{lowest.answered:.1%} are answered",
        expected=f"99 of 100 answers within {slo_p99_ms:g} ms, and no failure, at some rate",
        fix=f"promise what is reachable (--slo {_rounded_up(1.2 * lowest.p99_ms):g}), serve a "
        "faster variant (--variant), or compress the model",
    )


def _rounded_up(milliseconds: float) -> float:
    step = 10.0 if milliseconds > 50 else 1.0
    return step * -(-milliseconds // step)


async def _climb(
    service: Service, requests: Sequence[bytes], slo_p99_ms: float, seconds: float
) -> list[Load]:
    """The steps, lowest rate first."""
    callers = Callers(service.port, requests)
    each = seconds / (len(STEPS) + HALVINGS + 1)
    with bar("load", total=len(STEPS) + HALVINGS + 1) as shown:
        try:
            await callers.crowd(CROWD, each / 3)  # wakes what wakes up at first use
            most = len((await callers.crowd(CROWD, 2 * each / 3)).latencies) / (2 * each / 3)
            shown.advance()
            found: list[Load] = []

            async def step(rate: float) -> Load:
                load = await _step(service, callers, max(LEAST_RATE, rate), each, slo_p99_ms)
                found.append(load)
                shown.note(f"{load.rate:,.1f} requests/s, p99 {load.p99_ms:,.0f} ms")
                shown.advance()
                return load

            low, high = 0.0, None
            for share in STEPS:
                load = await step(share * most)
                if not _keeps(load, slo_p99_ms):
                    high = load.rate
                    break
                low = load.rate
            for _ in range(HALVINGS):
                if high is None or high - low < 0.05 * high:
                    break
                load = await step((low + high) / 2)
                low, high = (load.rate, high) if _keeps(load, slo_p99_ms) else (low, load.rate)
        finally:
            callers.close()
    return sorted(found, key=lambda load: load.rate)


async def _step(
    service: Service, callers: Callers, rate: float, seconds: float, slo_p99_ms: float
) -> Load:
    """One rate for some seconds; the queue is empty again when it returns.

    Nothing is read from the service meanwhile, for that would take its time from the requests. The
    mean depth of its queue is the time that requests waited by the time that passed (Little 1961).
    """
    before, began = await asyncio.to_thread(service.usage), time.monotonic()
    outcome = await callers.arrive(rate, seconds, patience=1.0 + 4 * slo_p99_ms / 1000)
    cpu, took = service.cpu_seconds() - before.cpu_seconds, time.monotonic() - began
    await asyncio.to_thread(_wait_until_empty, service)
    waited = (await asyncio.to_thread(service.usage)).waited_seconds - before.waited_seconds
    return Load(
        rate=round(rate, 2),
        answered=round(outcome.answered, 5) if outcome.answered < 1 else 1.0,
        p50_ms=round(outcome.percentile(0.5), 2),
        p99_ms=round(outcome.percentile(0.99), 2),
        queue=round(waited / took, 3),
        cpu=round(cpu / took, 2),
    )


def _wait_until_empty(service: Service, within: float = 5.0) -> None:
    until = time.monotonic() + within
    while time.monotonic() < until and service.usage().depth > 0:
        time.sleep(0.05)


@final
@dataclass(frozen=True)
class _Usage:
    """What the service has used so far.

    Attributes:
        depth: inputs that wait now.
        waited_seconds: that all inputs waited, in sum.
        cpu_seconds: processor time of all processes.
    """

    depth: float
    waited_seconds: float
    cpu_seconds: float


@final
@dataclass(frozen=True)
class Service:
    """One replica that runs.

    Attributes:
        url: where it answers.
        port: of it.
        pids: its processes.
        ready_seconds: from the order to start until it was ready.
    """

    url: str
    port: int
    pids: tuple[int, ...]
    ready_seconds: float

    def usage(self) -> _Usage:
        """Now; zeros where it does not answer in time."""
        cpu = self.cpu_seconds()
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return _Usage(0.0, 0.0, cpu)
        found = {name: float(value) for name, value in _SERIES.findall(text)}
        return _Usage(found.get("queue_depth", 0.0), found.get("queue_seconds_sum", 0.0), cpu)

    def cpu_seconds(self) -> float:
        """Processor time of all processes so far."""
        tick = os.sysconf("SC_CLK_TCK")
        total = 0
        for pid in self.pids:
            fields = _proc(pid, "stat").rpartition(")")[2].split()
            total += sum(map(int, fields[11:13]))
        return total / tick

    def memory_mb(self) -> float:
        """Resident memory of all processes, shared pages counted in each."""
        page = os.sysconf("SC_PAGE_SIZE")
        pages = sum(int(_proc(pid, "statm").split()[1]) for pid in self.pids)
        return pages * page / 2**20


def _proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            "MW-623",
            f"the service's processor time and memory cannot be read: {error}",
            expected="Linux, with the service running",
            fix="measure on a Linux machine, such as the one where the model will be served",
        ) from error


@contextlib.contextmanager
def _service(bundle: Path, variant: str) -> Iterator[Service]:
    """`mw serve` on a free port; stopped at the end."""
    command = [sys.executable, "-m", "modelwright", "serve", str(bundle), "--variant", variant]
    command += ["--port", "0", "--json"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        began = time.monotonic()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
        ) as child:
            late = threading.Timer(START_SECONDS, child.kill)
            late.start()
            try:
                said = _said_ready(child, log)
                late.cancel()
                ready = time.monotonic() - began
                pids = tuple(sorted({child.pid, int(said["pid"])}))
                port = int(said["url"].rpartition(":")[2])
                yield Service(said["url"], port, pids, ready)
            finally:
                late.cancel()
                _stop(child)


def _said_ready(child: subprocess.Popen[str], log: IO[str]) -> dict[str, Any]:
    """The line that it prints when it is ready; what it prints instead is an error."""
    out = child.stdout
    line = out.readline() if out else ""
    if line.startswith('{"event"'):
        return json.loads(line)
    rest = line + (out.read() if out else "")
    code = child.wait()
    try:
        problems = json.loads(rest)["error"]["problems"]
        why = " | ".join(f"{one['code']} {one['seen']}" for one in problems)
    except (ValueError, KeyError, TypeError):
        log.seek(0)
        why = " | ".join(log.read().strip().splitlines()[-4:])
    raise UserError(
        "MW-623",
        f"the service did not start (exit code {code}): {why or 'it said nothing'}",
        expected="`mw serve BUNDLE` to become ready",
        fix="start it by itself and read what it says: mw serve BUNDLE",
    )


def _stop(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(45)
    except subprocess.TimeoutExpired:
        child.kill()
