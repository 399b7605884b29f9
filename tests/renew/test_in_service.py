"""A renewed model goes into a real service under load, and nobody who asks notices."""

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

from modelwright.artifacts.store import now
from modelwright.errors import GateError, UserError
from modelwright.registry.store import models
from modelwright.renew.asked import Asked, Place
from modelwright.renew.stage import renew
from modelwright.runtime.files import read_json
from modelwright.serve._keys import new_key, write_keys

SOURCE = Path(__file__).parents[2] / "src"


@dataclass
class Load:
    """Callers who ask all the time; every answer is counted by its status and version."""

    url: str
    key: str
    texts: list[str]
    answers: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, number: int) -> None:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        count = 0
        while not self.stop.is_set():
            body = json.dumps({"inputs": [self.texts[(number + count) % len(self.texts)]]})
            headers = {"content-type": "application/json", "x-api-key": self.key}
            try:
                connection.request("POST", "/v1/predict", body, headers)
                answer = connection.getresponse()
                told = json.loads(answer.read())
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                return
            if answer.status != 200:
                self.failures.append(f"{answer.status} {told}")
            self.answers[told.get("version", "")] += 1
            count += 1
            self.stop.wait(0.01)
        connection.close()

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
def served(bundle: Path, folder: Path) -> Iterator[tuple[Place, str]]:
    """`mw serve` with an admin port, and a key for renewals."""
    first = folder / "bundles" / "first"
    shutil.copytree(bundle, first)
    keys = folder / "keys.json"
    text, key = new_key("renewal", ["admin", "metrics", "predict"], 0, now())
    write_keys(keys, [key])
    words = [
        sys.executable, "-m", "modelwright", "serve", str(first), "--port", "0", "--json",
        "--admin-port", "0", "--bundles", str(folder / "bundles"), "--keys", str(keys),
        "--threads", "1",
    ]  # fmt: skip
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        yield Place(ready["url"], ready["admin"], text), text
    finally:
        process.terminate()
        process.communicate(timeout=30)


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
