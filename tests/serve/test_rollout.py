"""Versions are swapped, tried and taken back while callers ask, and none of them notices."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwright.errors import UserError
from modelwright.serve import Settings, _metrics, create_app
from modelwright.serve._admin import create_admin
from modelwright.serve._deploying import Deployer, read_state, stable_folders
from modelwright.serve._keys import new_key, write_keys
from modelwright.serve._rollout import FAILURES, LEAST, Trial
from modelwright.testing.doubles import FakeBundle

LABELS = {"v1": ("a", "b", "c"), "v2": ("d", "e", "f"), "v3": ("g", "h", "i")}


class Store:
    """A folder of fake bundles, and a service that is changed by its admin port."""

    def __init__(self, folder: Path, **fakes: Callable[[], FakeBundle]) -> None:
        self.folder = folder / "bundles"
        self.made: list[FakeBundle] = []
        self.fakes: dict[str, Callable[[], FakeBundle]] = {
            **{name: lambda labels=labels: FakeBundle(labels) for name, labels in LABELS.items()},
            **fakes,
        }
        for name in self.fakes:
            (self.folder / name).mkdir(parents=True)

    def open(self, path: Path) -> FakeBundle:
        if path.name not in self.fakes:
            raise UserError("MW-601", f"{path.name} is no bundle", fix="choose another")
        bundle = self.fakes[path.name]()
        bundle.folder = path
        self.made.append(bundle)
        return bundle

    def version(self, name: str) -> str:
        return FakeBundle(LABELS[name]).manifest["version"]

    @asynccontextmanager
    async def served(self, *first: str, **settings: Any) -> AsyncIterator[Served]:
        opened = [self.open(self.folder / name) for name in first or ("v1",)]
        app: Any = create_app(opened, Settings(**settings))
        deployer = Deployer(app.service, self.open, self.folder, settings.get("state"))
        admin = create_admin(app.service, deployer)
        transports = [httpx.ASGITransport(one) for one in (app, admin)]
        async with (
            httpx.AsyncClient(transport=transports[0], base_url="http://test") as http,
            httpx.AsyncClient(transport=transports[1], base_url="http://admin") as control,
        ):
            yield Served(http, control, app.service, deployer)
        await deployer.settled()
        await asyncio.to_thread(app.service.close, 5)


class Served:
    def __init__(self, http: Any, control: Any, service: Any, deployer: Deployer) -> None:
        self.http, self.control, self.service, self.deployer = http, control, service, deployer

    async def ask(self, text: str = "hello", **headers: str) -> httpx.Response:
        return await self.http.post("/v1/predict", json={"inputs": [text]}, headers=headers)

    async def load(self, bundle: str, name: str = "fake", **more: Any) -> httpx.Response:
        body = {"bundle": bundle, **more}
        return await self.control.post(f"/admin/models/{name}", json=body)

    async def do(self, what: str, name: str = "fake") -> httpx.Response:
        return await self.control.post(f"/admin/models/{name}/{what}")

    async def versions(self) -> dict[str, str]:
        models = (await self.control.get("/admin/models")).json()["models"]
        return {role: Path(one["bundle"]).name for role, one in models["fake"].items()}


def done(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


# -- under load -----------------------------------------------------------------------------------
def test_no_request_fails_while_versions_come_and_go(tmp_path: Path):
    store = Store(tmp_path)
    expected = {
        store.version(name): {
            text: FakeBundle(labels).predict([text])[0]["label"] for text in "xyz"
        }
        for name, labels in LABELS.items()
    }
    answered = Counter[str]()

    async def caller(served: Served, number: int, stop: asyncio.Event) -> None:
        text = "xyz"[number % 3]
        while not stop.is_set():
            body = done(await served.ask(text))
            assert body["predictions"][0]["label"] == expected[body["version"]][text]
            answered[body["version"]] += 1

    async def operate() -> None:
        async with store.served() as served:
            stop = asyncio.Event()
            callers = [asyncio.create_task(caller(served, n, stop)) for n in range(12)]
            for _ in range(4):
                done(await served.load("v2"))
                done(await served.do("rollback"))
                done(await served.load("v2", **{"as": "canary", "share": 0.5}))
                done(await served.do("rollback"))
                done(await served.load("v3", **{"as": "shadow"}))
                done(await served.load("v2", **{"as": "canary", "share": 0.3}))
                done(await served.do("promote"))
                done(await served.load("v1"))
            stop.set()
            await asyncio.gather(*callers)
            await served.deployer.settled()
            assert await served.versions() == {"stable": "v1", "shadow": "v3", "previous": "v2"}
            assert sum(not bundle.closed for bundle in store.made) == 3

    asyncio.run(operate())
    assert answered[store.version("v1")] > 0
    assert answered[store.version("v2")] > 0
    assert all(bundle.closed for bundle in store.made)


def test_a_replaced_version_answers_what_it_was_asked_before_it_is_closed(tmp_path: Path):
    gate, reached = threading.Event(), threading.Event()

    def wait(text: str) -> bool:
        if text == "held":
            reached.set()
            gate.wait()
        return False

    store = Store(tmp_path, slow=lambda: FakeBundle(LABELS["v1"], fails=wait))

    async def swap() -> None:
        async with store.served("slow") as served:
            held = asyncio.create_task(served.ask("held"))
            await asyncio.to_thread(reached.wait)
            done(await served.load("v2"))
            done(await served.load("v3"))  # v2 is the version before; the held one goes
            assert done(await served.ask())["version"] == store.version("v3")
            assert not store.made[0].closed
            gate.set()
            assert done(await held)["version"] == store.version("v1")
            await served.deployer.settled()
            assert store.made[0].closed

    asyncio.run(swap())


# -- canary ---------------------------------------------------------------------------------------
def test_a_canary_answers_its_share_and_the_same_requests_each_time(tmp_path: Path):
    store = Store(tmp_path)

    async def sides(served: Served) -> list[str]:
        names = [f"r{n}" for n in range(300)]
        return [done(await served.ask("x", **{"x-request-id": name}))["version"] for name in names]

    async def trial() -> None:
        async with store.served() as served:
            done(await served.load("v2", **{"as": "canary", "share": 0.2}))
            first, second = await sides(served), await sides(served)
            assert first == second
            assert 30 < first.count(store.version("v2")) < 90
            for name in ("v1", "v2"):
                path = f"/v2/models/fake/versions/{store.version(name)}/infer"
                tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["x"]}
                answer = done(await served.http.post(path, json={"inputs": [tensor]}))
                assert answer["model_version"] == store.version(name)

    asyncio.run(trial())


def test_a_canary_that_fails_is_withdrawn_and_callers_never_see_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    bad = FakeBundle(LABELS["v2"], fails=lambda text: text != "hello")  # passes its self-test
    store = Store(tmp_path, bad=lambda: bad)

    async def trial() -> None:
        async with store.served() as served:
            done(await served.load("bad", **{"as": "canary", "share": 1.0}))
            for _ in range(FAILURES):
                assert done(await served.ask("x"))["version"] == store.version("v1")
            await served.deployer.settled()
            assert await served.versions() == {"stable": "v1"}
            assert bad.closed

    asyncio.run(trial())


def test_what_callers_do_themselves_ends_no_trial(tmp_path: Path):
    async def trial() -> None:
        async with Store(
            tmp_path, slow=lambda: FakeBundle(LABELS["v2"], seconds=0.05)
        ).served() as one:
            done(await one.load("slow", **{"as": "canary", "share": 1.0}))
            for _ in range(2 * FAILURES):
                assert (await one.ask("x", **{"x-deadline-ms": "5"})).status_code == 504
                assert (await one.http.post("/v1/predict", json={"inputs": [7]})).status_code == 422
            assert await one.versions() == {"stable": "v1", "canary": "slow"}
            trial = one.service.slots["fake"].trial
            assert trial._asked[True] == 0

    asyncio.run(trial())


def test_a_trial_judges_errors_beside_the_stable():
    trial = Trial()
    for number in range(200):
        trial.note(0.01, canary=False, failed=number % 10 == 0)
        trial.note(0.01, canary=True, failed=number % 10 == 0)
    assert trial.verdict() == ""
    for _ in range(60):
        trial.note(0.01, canary=True, failed=True)
    assert "failed" in trial.verdict()


@pytest.mark.parametrize(("seconds", "worse"), [(0.02, False), (0.028, False), (0.05, True)])
def test_a_trial_judges_latency_beside_the_stable(seconds: float, worse: bool):
    trial = Trial()
    for _ in range(LEAST):
        trial.note(0.02, canary=False, failed=False)
        assert trial.verdict() == ""
        trial.note(seconds, canary=True, failed=False)
    assert ("95th" in trial.verdict()) is worse


# -- shadow ---------------------------------------------------------------------------------------
def test_a_shadow_is_compared_and_heard_by_nobody(tmp_path: Path):
    store = Store(
        tmp_path,
        broken=lambda: FakeBundle(LABELS["v3"], fails=lambda text: text != "hello"),
    )

    async def metric(served: Served, name: str) -> dict[str, float]:
        lines = (await served.http.get("/metrics")).text.splitlines()
        found = [line for line in lines if line.startswith(f"modelwright_{name}_total{{")]
        return {
            (
                line.split('agreement="')[1].split('"')[0] if "agreement" in line else "failed"
            ): float(line.rpartition(" ")[2])
            for line in found
        }

    async def compare() -> None:
        async with store.served() as served:
            done(await served.load("v1", **{"as": "shadow"}))
            for number in range(5):
                assert done(await served.ask(f"text {number}"))["version"] == store.version("v1")
                await asyncio.gather(*served.service._comparing)
            assert (await metric(served, "shadow_answers"))["same"] == 5
            done(await served.load("broken", **{"as": "shadow"}))
            assert done(await served.ask("x"))["version"] == store.version("v1")
            await asyncio.gather(*served.service._comparing)
            assert await metric(served, "shadow_failures") == {"failed": 1}

    asyncio.run(compare())


# -- refusals -------------------------------------------------------------------------------------
def test_what_cannot_be_served_changes_nothing(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    store = Store(
        tmp_path,
        broken=lambda: FakeBundle(LABELS["v2"], fails=lambda text: True),
        other=lambda: FakeBundle(name="other"),
    )
    (store.folder / "link").symlink_to(tmp_path / "elsewhere")

    async def refuse() -> None:
        async with store.served() as served:
            for bundle, says in (
                ("broken", "self-test"),
                ("other", "named other"),
                ("nothing", "MW-601"),
                ("../elsewhere", "outside"),
                ("link", "outside"),
                (str(tmp_path / "elsewhere"), "outside"),
                ("v2\0", "outside"),
            ):
                response = await served.load(bundle)
                told = response.json()
                assert (response.status_code, told["code"]) == (422, "MW-702"), told
                assert says in told["detail"]
                assert told["field"] == "bundle"
            assert await served.versions() == {"stable": "v1"}
            assert done(await served.ask())["version"] == store.version("v1")
            live = [bundle for bundle in store.made if not bundle.closed]
            assert len(live) == 1

    asyncio.run(refuse())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "bundle"),
        ({"bundle": "v2", "as": "king"}, "as"),
        ({"bundle": "v2", "as": "canary"}, "share"),
        ({"bundle": "v2", "share": 0.5}, "share"),
        ({"bundle": "v2", "as": "canary", "share": 2}, "share"),
        ({"bundle": "v2", "path": "/"}, "path"),
        ({"bundle": 3}, "bundle"),
    ],
)
def test_a_wrong_order_is_told(tmp_path: Path, body: dict[str, Any], field: str):
    async def refuse() -> None:
        async with Store(tmp_path).served() as served:
            response = await served.control.post("/admin/models/fake", json=body)
            told = response.json()
            assert (response.status_code, told["field"]) == (422, field)
            assert (await served.do("promote")).status_code == 422
            assert (await served.do("rollback")).status_code == 422
            assert (await served.do("promote", "nobody")).status_code == 404
            assert (await served.load("v2", "new", **{"as": "shadow"})).status_code == 422

    asyncio.run(refuse())


def test_every_admin_route_needs_a_key_for_it(tmp_path: Path):
    texts, keys = zip(
        *(new_key("a", [scope], 0, "") for scope in ("predict", "admin")), strict=True
    )
    write_keys(tmp_path / "keys.json", keys)

    async def try_all() -> None:
        async with Store(tmp_path).served(keys=tmp_path / "keys.json") as served:
            for method, path in (
                ("GET", "/admin/models"),
                ("POST", "/admin/models/fake"),
                ("DELETE", "/admin/models/fake"),
                ("POST", "/admin/models/fake/promote"),
                ("POST", "/admin/models/fake/rollback"),
            ):
                for key, status in ((None, 401), (texts[0], 403)):
                    headers = {"x-api-key": key} if key else {}
                    response = await served.control.request(method, path, headers=headers)
                    assert response.status_code == status, (method, path)
            headers = {"x-api-key": texts[1]}
            assert (await served.control.get("/admin/models", headers=headers)).status_code == 200
            assert (await served.http.get("/admin/models", headers=headers)).status_code == 404

    asyncio.run(try_all())


# -- life -----------------------------------------------------------------------------------------
def test_with_no_model_it_is_not_ready_and_with_one_again_it_is(tmp_path: Path):
    async def empty() -> None:
        async with Store(tmp_path).served() as served:
            assert done(await served.control.delete("/admin/models/fake")) == {"models": {}}
            await served.deployer.settled()
            assert (await served.http.get("/health/ready")).status_code == 503
            assert (await served.http.get("/health/live")).status_code == 200
            assert (await served.http.get("/v2/health/ready")).status_code == 400
            assert (await served.ask()).status_code == 404
            assert done(await served.http.get("/v1/models"))["data"] == []
            for path in ("/", "/openapi.json"):
                assert (await served.http.get(path)).status_code == 503
            done(await served.load("v2"))
            assert (await served.http.get("/health/ready")).status_code == 200
            listed = done(await served.http.get("/v1/models"))["data"]
            assert [one["labels"] for one in listed] == [list(LABELS["v2"])]
            assert LABELS["v2"][0] in (await served.http.get("/openapi.json")).text

    asyncio.run(empty())


def test_what_is_served_survives_a_restart(tmp_path: Path):
    store, state = Store(tmp_path), tmp_path / "state.json"

    async def first() -> None:
        async with store.served(state=state) as served:
            done(await served.load("v2"))
            done(await served.load("v3", **{"as": "canary", "share": 0.25}))

    async def second() -> None:
        kept = read_state(state)
        async with store.served(Path(kept["fake"]["stable"]).name, state=state) as served:
            served.deployer.restore(kept)
            models = done(await served.control.get("/admin/models"))["models"]["fake"]
            assert {role: Path(one["bundle"]).name for role, one in models.items()} == {
                "stable": "v2", "canary": "v3", "previous": "v1",
            }  # fmt: skip
            assert models["canary"]["share"] == 0.25
            done(await served.do("rollback"))
            done(await served.do("rollback"))
            assert await served.versions() == {"stable": "v1"}

    asyncio.run(first())
    asyncio.run(second())
    assert Path(read_state(state)["fake"]["stable"]).name == "v1"


def test_what_was_unloaded_stays_so_over_a_restart(tmp_path: Path):
    store, state = Store(tmp_path), tmp_path / "state.json"
    FakeBundle().save(tmp_path / "fake")

    async def unload() -> None:
        async with store.served(state=state) as served:
            done(await served.control.delete("/admin/models/fake"))

    async def again() -> None:
        app: Any = create_app([], Settings(state=state))
        deployer = Deployer(app.service, store.open, store.folder, state)
        deployer.restore(read_state(state))
        assert stable_folders([tmp_path / "fake"], read_state(state)) == []
        await deployer.load("fake", "v1", "stable", 0.0)
        app.service.close(5)

    asyncio.run(unload())
    assert stable_folders([tmp_path / "fake"], read_state(state)) == []
    asyncio.run(again())
    assert Path(read_state(state)["fake"]["stable"]).name == "v1"


def test_a_version_that_is_gone_does_not_stop_a_restart(tmp_path: Path):
    store, state = Store(tmp_path), tmp_path / "state.json"
    gone = {"stable": str(store.folder / "v1"), "shadow": str(store.folder / "nothing")}

    async def start() -> None:
        async with store.served(state=state) as served:
            served.deployer.restore({"fake": gone})
            assert await served.versions() == {"stable": "v1"}

    asyncio.run(start())


def test_the_folders_to_open_are_those_of_the_state(tmp_path: Path):
    for name in ("a", "b"):
        FakeBundle(name=name).save(tmp_path / name)
    state = {"b": {"stable": "b-2"}, "c": {"stable": "c-1"}}
    found = stable_folders([tmp_path / "a", tmp_path / "b"], state)
    assert found == [tmp_path / "a", Path("b-2"), Path("c-1")]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 9, "models": {}}'])
def test_a_state_that_cannot_be_read_is_told(tmp_path: Path, content: str):
    path = tmp_path / "state.json"
    assert read_state(path) == {}
    path.write_text(content)
    with pytest.raises(UserError, match="MW-604"):
        read_state(path)


def test_a_swap_leaves_the_metrics_of_what_is_served(tmp_path: Path):
    store = Store(tmp_path)

    async def swap() -> None:
        async with store.served() as served:
            for name in ("v1", "v1", "v2"):  # v1 again is another instance of the same version
                done(await served.load(name))
            done(await served.load("v2"))
            await served.deployer.settled()
            text = (await served.http.get("/metrics")).text
            ready = [line for line in text.splitlines() if line.startswith("modelwright_ready{")]
            assert len(ready) == 1
            assert store.version("v2") in ready[0]

    asyncio.run(swap())


def test_versions_that_were_replaced_long_ago_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_metrics, "REPLACED", 1)
    store = Store(tmp_path)

    async def swap() -> None:
        async with store.served() as served:
            for name in ("v2", "v3", "v2"):
                done(await served.ask())
                done(await served.load(name))
            done(await served.do("rollback"))
            done(await served.ask())
            await served.deployer.settled()
            text = (await served.http.get("/metrics")).text
            assert store.version("v1") not in text
            asked = [line for line in text.splitlines() if "_requests_total{" in line]
            assert any(store.version("v3") in line for line in asked)

    asyncio.run(swap())
