"""A renewed model goes into a real service under load, and nobody who asks notices.

By hand, and by itself: the last test closes the whole loop with real processes, from callers whose
topic changes to the alert, and on to a model in service that knows the topic.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modelwright.artifacts.bundle import read_bundle, seal_bundle
from modelwright.artifacts.store import now
from modelwright.deploy import watching
from modelwright.errors import GateError, UserError
from modelwright.recipe.schema import Slo
from modelwright.registry.store import models
from modelwright.renew.asked import Asked, Place
from modelwright.renew.stage import renew
from modelwright.runtime.files import read_json
from modelwright.serve._keys import SCOPES, new_key, write_keys
from modelwright.testing.watched import Server, alertmanager, free_port, program, prometheus

SOURCE = Path(__file__).parents[2] / "src"
SOON = "from modelwright.artifacts import traffic; traffic.FLUSH_S = 0.5\n"
"""Recorded rows are on disk after half a second and not after thirty."""
RUN = "import sys; from modelwright.cli.main import main; main(sys.argv[1:])"


@dataclass
class Load:
    """Callers who ask all the time; every answer is counted by its status and version."""

    url: str
    key: str
    texts: list[str]
    truth: dict[str, str] = field(default_factory=dict)
    """That is sent back for each answer."""
    answers: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, number: int) -> None:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        count = 0
        while not self.stop.is_set():
            text = self.texts[(number + count) % len(self.texts)]
            try:
                told = self.post(connection, "/v1/predict", {"inputs": [text]})
                if text in self.truth:
                    true = {"request_id": told["request_id"], "label": self.truth[text]}
                    self.post(connection, "/v1/feedback", true)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                return
            self.answers[told.get("version", "")] += 1
            count += 1
            self.stop.wait(0.01)
        connection.close()

    def post(self, connection: http.client.HTTPConnection, path: str, body: dict) -> dict:
        headers = {"content-type": "application/json", "x-api-key": self.key}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        if answer.status not in (200, 202):
            self.failures.append(f"{answer.status} {told}")
        return told

    @contextmanager
    def running(self, callers: int = 2) -> Iterator[None]:
        threads = [threading.Thread(target=self.ask, args=(n,)) for n in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(60)


@contextmanager
def command(*words: str, **pipes: int) -> Iterator[subprocess.Popen[str]]:
    """`mw` with these words until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", SOON + RUN, *words], text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **pipes},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def served(bundle: Path, folder: Path, *more: str) -> Iterator[tuple[Place, str]]:
    """`mw serve` with an admin port, and a key for everything."""
    first = folder / "bundles" / "first"
    shutil.copytree(bundle, first)
    keys = folder / "keys.json"
    text, key = new_key("renewal", SCOPES, 0, now())
    write_keys(keys, [key])
    words = (
        "serve", str(first), "--port", "0", "--json", "--admin-port", "0", "--threads", "1",
        "--bundles", str(folder / "bundles"), "--keys", str(keys), *more,
    )  # fmt: skip
    with command(*words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Place(ready["url"], ready["admin"], text), text


@pytest.mark.slow
def test_a_renewed_model_is_tried_and_promoted_under_load_and_no_request_fails(desk):
    """One training; what goes wrong on the way into service costs none, and the command goes on."""
    url = str(desk.folder / "registry")
    asked = Asked(desk.recipe, desk.traffic, budget=40, registry=url)
    waiting = renew(asked)
    labels = desk.fill(waiting.folder / "to-label.csv")
    old = read_json(desk.folder / "runs" / "tiny" / "bundle" / "bundle.json")["version"]
    asked = replace(asked, labels=(str(labels),))

    def refused(place: Place, said: str) -> None:
        with pytest.raises(UserError, match="MW-656") as caught:
            renew(replace(asked, place=place))
        assert said in str(caught.value)

    refused(Place("http://127.0.0.1:9", "http://127.0.0.1:9", "k"), "cannot be reached")
    with served(desk.folder / "runs" / "tiny" / "bundle", desk.folder) as (place, key):
        refused(replace(place, key="wrong"), "answered 401")
        refused(replace(place, bundles=desk.folder / "nowhere"), "--bundles")
        asked = replace(asked, place=place)

        # a canary that nobody asks is taken back
        recipe = desk.recipe.read_text(encoding="utf-8")
        desk.recipe.write_text(recipe.replace("seconds: 60", "seconds: 0.5"), encoding="utf-8")
        with pytest.raises(GateError, match="MW-656") as caught:
            renew(asked)
        assert "only 0 of 40 requests" in str(caught.value)
        version = read_json(waiting.folder / "renewal.json")["steps"]["train"]["version"]
        assert models(url)[0].stages == {"candidate": version}

        # under load it is promoted
        desk.recipe.write_text(recipe, encoding="utf-8")
        load = Load(place.service, key, list(desk.truth))
        with load.running():
            done = renew(asked)
            assert done.status == "promoted"
            seen = load.answers[version]
            for _ in range(200):  # until callers are answered by it
                if load.answers[version] > seen + 20:
                    break
                load.stop.wait(0.05)
        assert load.failures == []
        assert load.answers[old] > 0
        assert load.answers[version] > 40
        assert set(load.answers) == {old, version}
        assert models(url)[0].stages == {"production": version}
        steps = [one["step"] for one in done.decisions]
        assert steps == [
            "model", "choose", "merge", "train", "compare", "push", "canary", "rolled-back",
            "canary", "promoted",
        ]  # fmt: skip
        assert renew(asked).status == "promoted"  # the same command changes nothing


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    not (program("prometheus") and program("alertmanager")),
    reason="needs prometheus and alertmanager",
)
def test_callers_change_topic_and_the_service_renews_its_model_by_itself(desk):
    """Service, monitor, Prometheus, Alertmanager, `mw renew --listen`: nobody lifts a finger."""
    folder, registry = desk.folder, str(desk.folder / "registry")
    foreign = [text for text, label in desk.truth.items() if label == "account_login"]
    usual = [text for text, label in desk.truth.items() if label != "account_login"]
    bundle = recording(folder / "runs" / "tiny" / "bundle")
    traffic = folder / "live"
    with served(bundle, folder, "--traffic", str(traffic)) as (place, key):
        load = Load(place.service, key, usual, desk.truth)
        with (
            watched(bundle, traffic, desk.recipe, place, registry) as (server, record),
            load.running(),
        ):
            checked = 'modelwright_drift_rows{model="tiny"} >= 100'
            server.until(checked)
            assert server.query("max(modelwright_drift_score) >= 1") == []
            assert not record.exists()

            load.texts = foreign
            server.until('ALERTS{action="renew", alertstate="firing"}')
            old, new = read_bundle(bundle)["version"], ""
            for _ in range(2000):
                if models(registry) and (new := models(registry)[0].stages.get("production", "")):
                    break
                load.stop.wait(0.1)
            asked = load.answers[new]
            for _ in range(600):
                if load.answers[new] > asked + 50:
                    break
                load.stop.wait(0.1)
        assert load.failures == []
        assert new
        assert set(load.answers) == {old, new}
    acted, *_ = map(json.loads, record.read_text(encoding="utf-8").splitlines())
    assert acted["model"] == "tiny"


def recording(bundle: Path) -> Path:
    """The bundle, whose recipe would have said that requests are recorded."""
    manifest = read_bundle(bundle)
    consent = {"record": {"share": 1.0, "inputs": True}}
    serve = {**(manifest.get("serve") or {}), **consent}
    seal_bundle(bundle, {**manifest, "serve": serve, "version": ""})
    return bundle


@contextmanager
def watched(
    bundle: Path, traffic: Path, recipe: Path, place: Place, registry: str
) -> Iterator[tuple[Server, Path]]:
    """All that watches a service: Prometheus, and the file of alerts that were acted on."""
    folder = recipe.parent
    looks, listens = free_port(), free_port()
    (folder / "key").write_text(place.key, encoding="utf-8")
    monitor = (
        "monitor", str(bundle), "--traffic", str(traffic), "--rows", "150", "--every", "2",
        "--port", str(looks),
    )  # fmt: skip
    renewal = (
        "renew", str(recipe), "--traffic", str(traffic), "--labels", "feedback", "--budget", "40",
        "--registry", registry, "--service", place.service, "--admin", place.admin,
        "--key-file", str(folder / "key"), "--listen", str(listens),
    )  # fmt: skip
    scraped = [
        {
            "job_name": "tiny", "authorization": {"credentials": place.key},
            "static_configs": [{"targets": [place.service.removeprefix("http://")]}],
        },
        {"job_name": "tiny-monitor", "static_configs": [{"targets": [f"127.0.0.1:{looks}"]}]},
    ]  # fmt: skip
    rules = watching.hastened(
        watching.rules(read_bundle(bundle), Slo(p99_ms=1000.0)), 60.0, least=4
    )
    content = watching.alertmanager(f"http://127.0.0.1:{listens}/")
    with (
        command(*monitor),
        command(*renewal),
        alertmanager(folder / "alertmanager", content, 60.0) as sender,
        prometheus(folder / "prometheus", rules, scraped, sender) as server,
    ):
        yield server, folder / "runs" / "tiny-renewal" / "alerts.jsonl"
