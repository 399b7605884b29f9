"""A real Ray on this machine serves a real bundle: the routes of `mw serve`, replicas by load.

The options are those of the file that `mw deploy --target ray` writes, but for delays that suit a test.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwright.errors import UserError
from modelwright.serve.ray_app import build

pytest.importorskip("ray", reason="ray, an extra, is not installed")

Write = Callable[..., Path]
MOST = 3
CLIENTS = 12
BODY = {"inputs": ["where is my parcel", "I want my money back"]}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _ask(url: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def cluster() -> Iterator[int]:
    """Ray on this machine's loopback with Ray Serve; gives the port of its proxy."""
    import ray
    from ray import serve

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        ray.init(
            address="local", num_cpus=8, object_store_memory=150_000_000, include_dashboard=False,
            log_to_driver=False, _node_ip_address="127.0.0.1",
        )  # fmt: skip
        port = _free_port()
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": port})
            yield port
        finally:
            serve.shutdown()
            ray.shutdown()


def _deployment(folder: Path) -> dict[str, Any]:
    """Options of the written file, with delays of a test and a core a replica."""
    document = yaml.safe_load((folder / "serve.yaml").read_text())
    written = dict(document["applications"][0]["deployments"][0])
    written.pop("name")
    written["autoscaling_config"] |= {
        "min_replicas": 1, "initial_replicas": 1, "max_replicas": MOST,
        "target_ongoing_requests": 1, "upscale_delay_s": 0.2, "downscale_delay_s": 1.0,
        "metrics_interval_s": 0.2, "look_back_period_s": 1.0,
    }  # fmt: skip
    written["ray_actor_options"] = {"num_cpus": 1}
    written["graceful_shutdown_wait_loop_s"] = 0.2
    return written


def _replicas() -> int:
    from ray import serve

    deployments = serve.status().applications["tiny"].deployments
    return int(deployments["Model"].replica_states.get("RUNNING", 0))


def _until(count: int, seconds: float) -> None:
    """Wait for Ray, which tells nobody, to run so many replicas."""
    began = time.monotonic()
    while (found := _replicas()) != count:
        assert time.monotonic() - began < seconds, f"{found} replicas and not {count}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def answers(tiny_bundle: Path) -> Any:
    """What the bundle itself answers."""
    from modelwright.engines import Bundle

    bundle = Bundle.open(tiny_bundle)
    try:
        return bundle.predict(BODY["inputs"])
    finally:
        bundle.close()


def test_it_answers_the_routes_of_mw_serve_and_grows_and_shrinks_without_a_failed_request(
    cluster: int, tiny_bundle: Path, write: Write, answers: Any, tmp_path: Path
) -> None:
    from ray import serve

    arguments: dict[str, Any] = {
        "bundle": str(tiny_bundle), "threads": 1, "deployment": _deployment(write("ray")),
    }  # fmt: skip
    serve.run(build(arguments), name="tiny", route_prefix="/")
    url = f"http://127.0.0.1:{cluster}"
    status, health = _ask(f"{url}/health/ready")
    assert (status, health["ready"]) == (200, True)
    status, said = _ask(f"{url}/v1/predict", BODY)
    assert status == 200
    assert [one["label"] for one in said["predictions"]] == [one["label"] for one in answers]
    status, problem = _ask(f"{url}/v1/predict", {"inputs": "no list"})
    assert (status, problem["code"]) == (422, "MW-702")
    status, problem = _ask(f"{url}/nowhere")
    assert (status, problem["code"]) == (404, "MW-703")
    assert _replicas() == 1

    statuses: list[Any] = []
    with _asking(f"{url}/v1/predict", statuses, CLIENTS, pause=0.0):
        _until(MOST, 90)
        grown = len(statuses)
        while len(statuses) < grown + 200:  # the new replicas answer as well
            time.sleep(0.05)
    with _asking(f"{url}/v1/predict", statuses, 1, pause=0.05):
        _until(1, 60)
        shutil.copytree(tiny_bundle, tmp_path / "next")
        arguments["bundle"] = str(tmp_path / "next")
        serve.run(build(arguments), name="tiny", route_prefix="/")  # another bundle, no pause
        _until(1, 60)
    assert len(statuses) > 200
    assert set(statuses) == {200}


@contextmanager
def _asking(url: str, statuses: list[Any], clients: int, pause: float) -> Iterator[None]:
    """So many callers, each asking again `pause` seconds after its answer."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(pause):
            try:
                statuses.append(_ask(url, BODY)[0])
            except OSError as error:
                statuses.append(str(error))

    callers = [threading.Thread(target=ask) for _ in range(clients)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        stop.set()
        for caller in callers:
            caller.join()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "bundle"),
        ({"bundle": ""}, "bundle"),
        ({"bundel": "bundle", "bundle": "b"}, "bundel"),
        ({"bundle": "b", "threads": "two"}, "threads"),
        ({"bundle": "b", "deployment": {"no_such_option": 1}}, "deployment"),
    ],
)
def test_wrong_arguments_are_told_by_name(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError) as failed:
        build(arguments)
    assert failed.value.problem.code == "MW-647"
    assert f"`{field}`" in failed.value.problem.seen


def test_a_damaged_bundle_is_not_served(tmp_path: Path) -> None:
    from modelwright.serve.ray_app import Replica

    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(RuntimeError, match="MW-60"):
        Replica({"bundle": str(tmp_path)})


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelwright.runtime.libraries.installed", lambda name: name != "ray")
    with pytest.raises(UserError) as failed:
        build({"bundle": os.devnull})
    assert failed.value.problem.code == "MW-801"
