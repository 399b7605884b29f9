"""A bundle behind Ray Serve on this machine, for the programs that measure it."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CPUS = 8
"""That Ray is told of; it places replicas by them."""
IDLE_CORES = 0.2
"""In use by all of Ray, at most, where nothing is asked or started."""
PARTS = ("ray::ServeReplica", "ray::Proxy", "ray::ServeController", "raylet", "gcs_server")
"""Processes that take part in an answer."""


@contextlib.contextmanager
def cluster() -> Iterator[int]:
    """Ray with Ray Serve on the loopback; gives the port of its proxy."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray gives its workers niceness 15: on a machine that does anything else they starve
    os.environ.setdefault("RAY_worker_niceness", str(os.getpriority(os.PRIO_PROCESS, 0)))
    import ray
    from ray import serve

    ray.init(
        address="local", num_cpus=CPUS, object_store_memory=150_000_000, include_dashboard=False,
        log_to_driver=False, _node_ip_address="127.0.0.1",
    )  # fmt: skip
    try:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        yield port
    finally:
        serve.shutdown()
        ray.shutdown()


def serve_bundle(bundle: Path, **deployment: Any) -> None:
    """Serve it with a thread and a core a replica, and such options; returns when it answers."""
    from ray import serve

    from modelwright.serve.ray_app import build

    options = {"max_ongoing_requests": 16, "ray_actor_options": {"num_cpus": 1}, **deployment}
    given = {"bundle": str(bundle), "threads": 1, "deployment": options}
    serve.run(build(given), name="model", route_prefix="/")
    _settled()


def replicas() -> int:
    """That answer now."""
    return states()[0]


def states() -> tuple[int, int]:
    """Replicas that answer now, and that start."""
    from ray import serve

    found: Any = serve.status().applications["model"].deployments["Model"].replica_states
    return int(found.get("RUNNING", 0)), int(found.get("STARTING", 0))


def eager(most: int) -> dict[str, Any]:
    """An autoscaler that wants another replica, and another, as soon as anybody asks: one at a time."""
    return {
        "min_replicas": 1, "max_replicas": most, "target_ongoing_requests": 0.01,
        "upscale_delay_s": 0.0, "metrics_interval_s": 0.2, "look_back_period_s": 1.0,
        "upscaling_factor": 0.002,
    }  # fmt: skip


def processes() -> tuple[int, ...]:
    """Those that take part in an answer, and this one, whose callers share the cores."""
    found = _descendants()
    return (os.getpid(), *(pid for pid, command in found.items() if _takes_part(command)))


def _settled(within: float = 60.0) -> None:
    """Wait until Ray, which starts a worker a core beforehand, does so no more."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        before = _cpu_seconds()
        time.sleep(2.0)
        if _cpu_seconds() - before < 2.0 * IDLE_CORES:
            return


def _cpu_seconds() -> float:
    """Processor time of all processes below this one."""
    total = 0
    for pid in _descendants():
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
            total += sum(map(int, stat.rpartition(")")[2].split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def _descendants() -> dict[int, str]:
    """Commands of the processes below this one, by their ids."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            stat = (folder / "stat").read_text(encoding="utf-8")
            command = (folder / "cmdline").read_text(encoding="utf-8")
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
            names[int(folder.name)] = command
    return {pid: name for pid, name in names.items() if _below(pid, parents)}


def _below(pid: int, parents: dict[int, int]) -> bool:
    above = parents.get(pid)
    while above in parents and above != os.getpid():
        above = parents[above]
    return above == os.getpid()


def _takes_part(command: str) -> bool:
    first = command.split("\0", maxsplit=1)[0]
    return any(first.startswith(part) or first.endswith(f"/{part}") for part in PARTS)
