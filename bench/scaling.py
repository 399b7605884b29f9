"""Ray Serve when ten times as many ask at once: requests that fail, and how long it is too slow.

    .venv/bin/python bench/scaling.py --json OUT [--quick] [--bundle DIR] [--rate R]

The application of `mw deploy --target ray` runs on this machine, one core a replica, with an autoscaler
that looks back two seconds, where the files written look back 15 or more. Requests arrive at random
times, R a second and then ten times as many; a latency counts from the arrival. The promise is met
again from the second on after which none breaks it to the end. Callers, Ray's proxy and all replicas
share the machine's cores, so that more replicas are more time slices, not more cores.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import arguments, report, row, say
from startup import make_bundle

BEFORE, AFTER = 10, 45
QUICK = (3, 8)
PATIENCE = 20.0
MOST = 4
CPUS = 8
"""That Ray is told of; it places replicas by them."""


def main() -> None:
    """Parse, serve, ask, report."""
    parser = arguments(__doc__, "a few seconds, a bundle of a few steps", data=False)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--rate", type=float, default=4.0, help="requests a second before the step")
    parser.add_argument("--slo", type=float, default=200.0, help="promised p99, milliseconds")
    options = parser.parse_args()
    seconds = QUICK if options.quick else (BEFORE, AFTER)
    with tempfile.TemporaryDirectory(prefix="modelwright-scaling-") as name:
        bundle = options.bundle or make_bundle(Path(name), quick=options.quick)
        found = scaled(bundle.resolve(), options.rate, options.slo, seconds)
    report(
        "scaling.py", rows_of(found, options.rate, options.slo), options.json,
        ("modelwright", "ray", "onnxruntime", "starlette"),
        quick=options.quick, rate=options.rate, slo_ms=options.slo, bundle=bundle.name, **found,
    )  # fmt: skip


def scaled(bundle: Path, rate: float, slo: float, seconds: tuple[int, int]) -> dict[str, Any]:
    """Serve a bundle on Ray and ask it; one entry a second."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray import serve

    from modelwright.serve.ray_app import build

    ray.init(
        address="local", num_cpus=CPUS, object_store_memory=150_000_000, include_dashboard=False,
        log_to_driver=False, _node_ip_address="127.0.0.1",
    )  # fmt: skip
    try:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        scaling = {
            "min_replicas": 1, "initial_replicas": 1, "max_replicas": MOST,
            "target_ongoing_requests": 1, "upscale_delay_s": 1.0, "downscale_delay_s": 60.0,
            "metrics_interval_s": 0.5, "look_back_period_s": 2.0,
        }  # fmt: skip
        options = {"autoscaling_config": scaling, "max_ongoing_requests": 16}
        options["ray_actor_options"] = {"num_cpus": 1}
        given = {"bundle": str(bundle), "threads": 1, "deployment": options}
        serve.run(build(given), name="model", route_prefix="/")
        every = asyncio.run(_asked(port, request(bundle), rate, seconds))
    finally:
        serve.shutdown()
        ray.shutdown()
    return {"seconds": every, "met_again_s": met_again(every, seconds[0], slo)}


def request(bundle: Path) -> bytes:
    """A whole request of one of the bundle's own examples."""
    golden = (bundle / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    body = json.dumps({"inputs": [json.loads(golden[0])["input"]]}).encode()
    return (
        b"POST /v1/predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )


async def _asked(
    port: int, one: bytes, rate: float, seconds: tuple[int, int]
) -> list[dict[str, Any]]:
    from modelwright.deploy._load import Callers

    callers = Callers(port, [one])
    try:
        await callers.crowd(
            1, 2.0
        )  # wakes what wakes up at first use; one caller needs one replica
        waiting, replicas = [], []
        began = time.perf_counter()
        for second in range(sum(seconds)):
            now = rate if second < seconds[0] else 10 * rate
            waiting.append(asyncio.create_task(callers.arrive(now, 1.0, PATIENCE)))
            replicas.append(await asyncio.to_thread(_replicas))
            await asyncio.sleep(max(0.0, began + second + 1 - time.perf_counter()))
        outcomes = await asyncio.gather(*waiting)
    finally:
        callers.close()
    return [
        {"sent": one.sent, "failed": one.sent - len(one.latencies),
         "p99_ms": round(one.percentile(0.99), 1), "replicas": count}
        for one, count in zip(outcomes, replicas, strict=True)
    ]  # fmt: skip


def _replicas() -> int:
    from ray import serve

    deployments = serve.status().applications["model"].deployments
    return int(deployments["Model"].replica_states.get("RUNNING", 0))


def met_again(every: list[dict[str, Any]], before: int, slo: float) -> float | None:
    """Seconds after the step from which on the promise is kept; None where it never is."""
    kept = [one["failed"] == 0 and one["p99_ms"] <= slo for one in every[before:]]
    last = max((second for second, one in enumerate(kept) if not one), default=-1)
    return float(last + 1) if last + 1 < len(kept) else None


def rows_of(found: dict[str, Any], rate: float, slo: float) -> list[dict[str, Any]]:
    """The rows of the report."""
    every = found["seconds"]
    sent, failed = (sum(one[key] for one in every) for key in ("sent", "failed"))
    most = max(one["replicas"] for one in every)
    say(f"  {sent} requests, {failed} failed, at most {most} replicas")
    step = f"a step from {rate:g} to {10 * rate:g} requests/s"
    return [
        row(f"requests that failed in {step}, of {sent}", failed, "requests", better="lower", at_least=0, aim=0),
        row(
            f"until the p99 is within {slo:g} ms again after {step}",
            found["met_again_s"], "s", better="lower", at_least=90, aim=45,
        ),
        row("replicas, at most", most, "replicas"),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
