"""The service over HTTP, in one process: answers, refusals, failures, probes, metrics."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from modelwright.errors import UserError
from modelwright.serve import Settings, create_app
from modelwright.testing.doubles import FakeBundle, fake_image

TASKS = ["text-classification", "token-classification", "text-regression", "image-classification"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    bundle = FakeBundle(fails=lambda text: "poison" in text).save(tmp_path_factory.mktemp("bundle"))
    with TestClient(create_app([bundle])) as opened:
        yield opened


def ask(client: TestClient, *inputs: Any, **more: Any) -> httpx.Response:
    return client.post("/v1/predict", json={"inputs": list(inputs), **more})


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["request_id"] == response.headers["x-request-id"]
    return document


# -- answers --------------------------------------------------------------------------------------
def test_each_input_gets_its_prediction_in_order(client: TestClient):
    texts = ["my card is lost", {"text": "hello"}, "银行卡丢了"]
    response = ask(client, *texts)
    body = response.json()
    assert response.status_code == 200
    assert (body["model"], body["request_id"]) == ("fake", response.headers["x-request-id"])
    expected = FakeBundle().predict(texts)
    assert [one["label"] for one in body["predictions"]] == [one["label"] for one in expected]
    assert set(body["predictions"][0]) == {"label", "score"}


def test_scores_come_when_asked_for(client: TestClient):
    every = ask(client, "hi", parameters={"scores": True}).json()["predictions"][0]
    assert set(every["scores"]) == {"card_lost", "refund", "greeting"}
    best = ask(client, "hi", parameters={"top_k": 2}).json()["predictions"][0]["scores"]
    assert list(best.values()) == sorted(every["scores"].values(), reverse=True)[:2]


def test_a_sane_request_id_is_kept_and_a_strange_one_replaced(client: TestClient):
    for given_id, kept in (("trace-7/a.b", True), ("a b", False), ("x" * 200, False), ("é", False)):
        headers = {"x-request-id": given_id.encode()}
        response = client.post("/v1/predict", json={"inputs": ["a"]}, headers=headers)
        assert (response.json()["request_id"] == given_id) is kept


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_served_typed_and_described(task: str, tmp_path: Path):
    from jsonschema import Draft202012Validator
    from openapi_spec_validator import validate

    bundle = FakeBundle(task=task).save(tmp_path)
    with TestClient(create_app([bundle])) as opened:
        document = opened.get("/openapi.json").json()
        validate(document)
        response = ask(opened, *bundle.examples())
        assert response.status_code == 200
        for prediction in response.json()["predictions"]:
            Draft202012Validator(bundle.manifest["output"]).validate(prediction)
        sample = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
        example = sample["application/json"]["examples"]["fake"]["value"]
        assert opened.post("/v1/predict", json=example).status_code == 200
        assert opened.get("/").status_code == 200


def test_one_of_several_models_is_named_and_the_first_is_the_default(tmp_path: Path):
    first = FakeBundle(name="first").save(tmp_path / "a")
    second = FakeBundle(("x", "y"), name="second").save(tmp_path / "b")
    with TestClient(create_app([first, second])) as opened:
        assert ask(opened, "a").json()["model"] == "first"
        assert ask(opened, "a", model="second").json()["predictions"][0]["label"] in ("x", "y")
        assert "`second`" in problem(ask(opened, "a", model="secnd"), 404, "MW-703")["fix"]
        assert [one["id"] for one in opened.get("/v1/models").json()["data"]] == ["first", "second"]


def test_two_bundles_of_one_name_are_refused():
    with pytest.raises(UserError, match="MW-805"):
        create_app([FakeBundle(), FakeBundle()])
    with pytest.raises(UserError, match="MW-805"):
        create_app([])


# -- images ---------------------------------------------------------------------------------------
def test_images_come_as_base64_or_as_files_with_equal_answers(tmp_path: Path):
    bundle = FakeBundle(task="image-classification").save(tmp_path)
    with TestClient(create_app([bundle])) as opened:
        image = fake_image(40)
        data = base64.b64decode(image)
        plain = ask(opened, image, {"image": image}).json()["predictions"]
        form = opened.post(
            "/v1/predict", files=[("file", ("a.png", data)), ("file", ("b.png", data))]
        )
        assert form.json()["predictions"] == plain
        for broken in ("!!!", base64.b64encode(b"no image").decode(), image[: len(image) // 8 * 4]):
            said = problem(ask(opened, image, broken), 422, "MW-702")
            assert said["field"] == "inputs[1]"
        assert ask(opened, image).status_code == 200


def test_files_for_a_text_model_are_415(client: TestClient):
    problem(client.post("/v1/predict", files={"file": ("a.txt", b"hi")}), 415, "MW-705")


# -- refusals -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        (["ok", 3], "inputs[1]"),
        (["ok", "ok", ""], "inputs[2]"),
        (["x" * 200_001], "inputs[0]"),
        ([{"txt": "a"}], "inputs[0].text"),
        ([{"text": "a", "more": 1}], "inputs[0].more"),
        ([{"text": None}], "inputs[0].text"),
        ([["a"]], "inputs[0]"),
    ],
)
def test_a_wrong_item_is_named_and_nothing_reaches_the_model(
    inputs: list[Any], field: str, tmp_path: Path
):
    bundle = FakeBundle().save(tmp_path)
    with TestClient(create_app([bundle])) as opened:
        before = len(bundle.calls)
        assert problem(ask(opened, *inputs), 422, "MW-702")["field"] == field
        assert len(bundle.calls) == before


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"topk": 3}, "parameters.topk"),
        ({"top_k": 0}, "parameters.top_k"),
        ({"top_k": "3"}, "parameters.top_k"),
        ({"scores": 1}, "parameters.scores"),
    ],
)
def test_a_wrong_parameter_is_named(client: TestClient, parameters: dict[str, Any], field: str):
    assert problem(ask(client, "a", parameters=parameters), 422, "MW-702")["field"] == field


def test_a_body_beyond_the_limit_is_413_with_and_without_a_declared_length():
    with TestClient(create_app([FakeBundle()], Settings(max_body_bytes=1000))) as opened:
        kind = {"content-type": "application/json"}
        problem(opened.post("/v1/predict", content=b"x" * 2000, headers=kind), 413, "MW-704")
        chunks = (b"x" * 600 for _ in range(3))
        problem(opened.post("/v1/predict", content=chunks, headers=kind), 413, "MW-704")


def test_routes_and_methods_that_are_not_there(client: TestClient):
    problem(client.get("/nothing"), 404, "MW-703")
    problem(client.get("/v1/predict/"), 404, "MW-703")
    for response in (client.get("/v1/predict"), client.request("PURGE", "/v1/predict")):
        assert problem(response, 405, "MW-703")["title"] == "Method not allowed"
        assert response.headers["allow"] == "OPTIONS, POST"
    assert client.post("/metrics").headers["allow"] == "GET, HEAD, OPTIONS"
    options = client.options("/v1/predict")
    assert (options.status_code, options.headers["allow"]) == (204, "OPTIONS, POST")
    assert client.head("/health/live").status_code == 200


# -- failures -------------------------------------------------------------------------------------
def test_a_failing_model_is_a_500_without_internals_and_the_service_stays(client: TestClient):
    said = problem(ask(client, "poison"), 500, "MW-709")
    assert "fake" not in json.dumps(said)
    assert ask(client, "fine").status_code == 200


def test_a_poisoned_request_fails_alone_among_those_that_share_its_batch():
    bundle = FakeBundle(seconds=0.05, fails=lambda text: "poison" in text)

    async def everybody() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app([bundle]))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            texts = ["first", *(f"poison {n}" if n == 3 else f"a text {n}" for n in range(8))]
            posts = (http.post("/v1/predict", json={"inputs": [text]}) for text in texts)
            return await asyncio.gather(*posts)

    statuses = [response.status_code for response in asyncio.run(everybody())]
    assert statuses == [200] * 4 + [500] + [200] * 4
    assert max(bundle.calls) > 1


def test_a_full_queue_is_503_with_retry_after_and_empties_again():
    bundle = FakeBundle(seconds=0.2)
    limits = Settings(max_queue_items=4, max_batch=2)

    async def everybody() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app([bundle], limits))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            posts = [http.post("/v1/predict", json={"inputs": [f"text {n}"]}) for n in range(20)]
            first = await asyncio.gather(*posts)
            return [*first, await http.post("/v1/predict", json={"inputs": ["later"]})]

    *first, later = asyncio.run(everybody())
    refused = [response for response in first if response.status_code == 503]
    assert 0 < len(refused) < 20
    for response in refused:
        assert problem(response, 503, "MW-706")
        assert int(response.headers["retry-after"]) >= 1
    assert later.status_code == 200


class Gate:
    """A fake model that answers when the test lets it; `reached` tells that it was called."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.open, self.reached, self.asked = threading.Event(), threading.Event(), []
        self.open.set()
        self.bundle = FakeBundle(fails=self._call, seconds=seconds)

    def _call(self, text: str) -> bool:
        self.asked.append(text)
        self.reached.set()
        self.open.wait()
        return "poison" in text

    def shut(self) -> None:
        self.open.clear()
        self.reached.clear()
        self.asked.clear()


async def behind(gate: Gate, http: httpx.AsyncClient, **headers: str) -> asyncio.Task[Any]:
    """A request that the gate holds."""
    gate.shut()
    task = asyncio.create_task(http.post("/v1/predict", json={"inputs": ["held"]}, headers=headers))
    await asyncio.to_thread(gate.reached.wait)
    return task


def within(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def test_retry_after_is_the_time_that_the_queue_takes():
    gate = Gate(seconds=0.05)

    async def overload() -> httpx.Response:
        app = create_app([gate.bundle], Settings(max_queue_items=41))
        async with within(app) as http:
            held = await behind(gate, http)
            texts = [f"text {n}" for n in range(40)]
            waiting = asyncio.create_task(http.post("/v1/predict", json={"inputs": texts}))
            await taken_on(app, 41)
            refused = await http.post("/v1/predict", json={"inputs": ["more"]})
            gate.open.set()
            assert [(await one).status_code for one in (held, waiting)] == [200, 200]
            return refused

    refused = asyncio.run(overload())
    assert "too many inputs" in problem(refused, 503, "MW-706")["detail"]
    assert int(refused.headers["retry-after"]) in (2, 3)  # 40 rows of 0.05 s


async def taken_on(app: Any, inputs: int) -> None:
    """Until the model has taken on so many inputs."""
    while app.service.models["fake"].admission.items != inputs:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Settings(max_queue_items=1), "inputs"),
        (Settings(max_queue_tokens=10), "tokens"),
        (Settings(max_queue_bytes=100), "bytes"),
    ],
)
def test_lists_and_single_inputs_meet_the_same_bounds(limits: Settings, says: str):
    gate = Gate()

    async def overload() -> None:
        async with within(create_app([gate.bundle], limits)) as http:
            held = await behind(gate, http)
            many = await http.post("/v1/predict", json={"inputs": ["some words"] * 9})
            one = await http.post("/v1/predict", json={"inputs": ["word " * 18]})
            for refused in (many, one):
                assert says in problem(refused, 503, "MW-706")["detail"]
            gate.open.set()
            assert (await held).status_code == 200

    asyncio.run(overload())


def test_a_deadline_is_kept_while_it_waits_and_while_it_runs():
    gate = Gate()

    async def late() -> None:
        async with within(create_app([gate.bundle])) as http:
            held = await behind(gate, http, **{"x-deadline-ms": "60"})
            headers = {"x-deadline-ms": "50"}
            queued = await http.post("/v1/predict", json={"inputs": ["queued"]}, headers=headers)
            assert "0.05 s" in problem(queued, 504, "MW-707")["detail"]
            problem(await held, 504, "MW-707")
            gate.open.set()
            assert (await http.post("/v1/predict", json={"inputs": ["later"]})).status_code == 200

    asyncio.run(late())
    assert "queued" not in gate.asked, "what is late is not run"


def test_the_recipe_and_the_service_set_the_deadline_too():
    for limits, manifest in ((Settings(deadline_s=0.05), {}), (Settings(), {"deadline_ms": 50.0})):
        gate = Gate()
        gate.bundle.manifest["serve"] = manifest

        async def late(gate: Gate = gate, limits: Settings = limits) -> httpx.Response:
            async with within(create_app([gate.bundle], limits)) as http:
                held = await behind(gate, http)
                response = await held
                gate.open.set()
                return response

        problem(asyncio.run(late()), 504, "MW-707")


@pytest.mark.parametrize("given", ["0", "-1", "1e3", "soon", "", "9" * 12])
def test_a_deadline_that_is_no_number_is_told(client: TestClient, given: str):
    headers = {"x-deadline-ms": given}
    response = client.post("/v1/predict", json={"inputs": ["a"]}, headers=headers)
    assert problem(response, 422, "MW-702")["field"] == "X-Deadline-Ms"


def test_what_would_come_too_late_is_refused_at_once():
    gate = Gate(seconds=0.05)

    async def overload() -> httpx.Response:
        app = create_app([gate.bundle])
        async with within(app) as http:
            held = await behind(gate, http)
            body = {"inputs": [f"text {n}" for n in range(40)]}
            waiting = asyncio.create_task(http.post("/v1/predict", json=body))
            await taken_on(app, 41)
            headers = {"x-deadline-ms": "500"}
            refused = await http.post("/v1/predict", json={"inputs": ["a"]}, headers=headers)
            gate.open.set()
            await asyncio.gather(held, waiting)
            return refused

    assert "deadline" in problem(asyncio.run(overload()), 503, "MW-706")["detail"]


def test_the_work_of_a_caller_who_left_is_not_done():
    gate = Gate()

    async def leave() -> None:
        app = create_app([gate.bundle])
        async with within(app) as http:
            held = await behind(gate, http)
            left, body = asyncio.Event(), b'{"inputs": ["abandoned"]}'
            events = iter([{"type": "http.request", "body": body}])

            async def receive() -> dict[str, Any]:
                for event in events:
                    return event
                await left.wait()
                return {"type": "http.disconnect"}

            async def send(event: Any) -> None:
                raise AssertionError(event)

            headers = [(b"content-type", b"application/json")]
            scope = {
                "type": "http", "method": "POST", "path": "/v1/predict", "headers": headers,
                "query_string": b"", "client": ("192.0.2.7", 1), "scheme": "http",
            }  # fmt: skip
            asking = asyncio.create_task(app(scope, receive, send))
            await taken_on(app, 2)
            left.set()
            await asking
            gate.open.set()
            assert (await held).status_code == 200
            assert 'code="499"' in (await http.get("/metrics")).text
            assert app.service.models["fake"].admission.items == 0

    asyncio.run(leave())
    assert "abandoned" not in gate.asked


def test_one_item_that_makes_the_model_fail_is_named_and_spoils_no_other_request():
    gate = Gate()

    async def everybody() -> list[httpx.Response]:
        app = create_app([gate.bundle])
        async with within(app) as http:
            held = await behind(gate, http)
            lists = [["a", "b"], ["c", "poison", "d"], ["e"], ["f", "g", "h"]]
            posts = [http.post("/v1/predict", json={"inputs": one}) for one in lists]
            waiting = asyncio.gather(*posts)
            await taken_on(app, 10)
            gate.open.set()
            await held
            return await waiting

    responses = asyncio.run(everybody())
    assert [one.status_code for one in responses] == [200, 500, 200, 200]
    assert problem(responses[1], 500, "MW-709")["field"] == "inputs[1]"


def test_a_model_that_makes_no_progress_is_not_ready_and_then_not_live():
    gate = Gate()

    async def until(http: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
        while (response := await http.get(path)).status_code != status:
            pass
        return response

    async def stuck() -> None:
        async with within(create_app([gate.bundle], Settings(stall_s=0.1))) as http:
            assert (await http.get("/health/ready")).status_code == 200
            held = await behind(gate, http)
            assert (await http.get("/health/live")).status_code == 200
            ready = await until(http, "/health/ready", 503)
            assert "has been running" in ready.json()["reasons"]["fake"]
            await until(http, "/health/live", 503)
            gate.open.set()
            await held
            await until(http, "/health/live", 200)
            await until(http, "/health/ready", 200)

    asyncio.run(stuck())


def test_a_request_larger_than_the_queue_is_taken_when_it_is_alone():
    with TestClient(create_app([FakeBundle()], Settings(max_queue_items=4))) as opened:
        assert len(ask(opened, *["a"] * 100).json()["predictions"]) == 100


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.binary(max_size=100)
    | st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["inputs", "text", "model", "parameters", "x"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_body_at_all_makes_the_service_fail(client: TestClient, body: bytes):
    response = client.post(
        "/v1/predict", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 200 or 400 <= response.status_code < 500
    if response.status_code != 200:
        assert response.json()["code"].startswith("MW-7")


# -- probes and metrics ---------------------------------------------------------------------------
def test_ready_follows_the_golden_rows(tmp_path: Path):
    good = FakeBundle().save(tmp_path / "good")
    with TestClient(create_app([good])) as opened:
        assert opened.get("/health/ready").json()["ready"] is True
    other = FakeBundle(("a", "b", "c"), name="other").save(tmp_path / "other")
    rows = (tmp_path / "good" / "golden.jsonl").read_text()
    (tmp_path / "other" / "golden.jsonl").write_text(rows)
    with TestClient(create_app([other])) as opened:
        assert opened.get("/health/live").status_code == 200
        response = opened.get("/health/ready")
        assert (response.status_code, response.json()["ready"]) == (503, False)
        assert "MW-603" in response.json()["reasons"]["other"]
        problem(ask(opened, "a"), 503, "MW-706")


def test_a_model_that_fails_its_self_test_is_not_ready():
    with TestClient(create_app([FakeBundle(fails=lambda text: True)])) as opened:
        assert opened.get("/health/ready").status_code == 503


def test_after_shutdown_it_is_not_ready_and_the_bundle_is_closed():
    bundle = FakeBundle()
    app = create_app([bundle])
    with TestClient(app) as opened:
        ask(opened, "a")
    assert bundle.closed
    assert TestClient(app).get("/health/ready").json()["status"] == "draining"
    problem(ask(TestClient(app), "a"), 503, "MW-706")


def series(client: TestClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in lines
        if not line.startswith("#")
    }


def test_metrics_count_requests_batches_tokens_and_labels(tmp_path: Path):
    bundle = FakeBundle().save(tmp_path)
    with TestClient(create_app([bundle])) as opened:
        ask(opened, "abc", "de")
        ask(opened, "")
        opened.get("/nothing")
        found = series(opened)
    key = f'model="fake",version="{bundle.manifest["version"]}"'
    assert (
        found[f'modelwright_requests_total{{code="200",{key[:12]},route="/v1/predict",{key[13:]}}}']
        == 1
    )
    assert any('code="422"' in name for name in found)
    assert any('route="other"' in name and 'code="404"' in name for name in found)
    assert found[f"modelwright_tokens_total{{{key}}}"] == 5
    assert found[f"modelwright_batch_size_count{{{key}}}"] == 1
    assert found[f"modelwright_queue_seconds_count{{{key}}}"] == 1
    assert found[f"modelwright_queue_depth{{{key}}}"] == 0
    assert found[f"modelwright_confidence_count{{{key}}}"] == 2
    counted = sum(value for name, value in found.items() if "predictions_total" in name)
    assert counted == 2, "the self-test is not counted"
    assert any(name.startswith("modelwright_model_info") for name in found)


def test_nothing_that_callers_send_becomes_a_series(client: TestClient):
    before = len(series(client))
    for number in range(30):
        client.get(f"/nothing/{number}")
        ask(client, f"text {number}", model=f"model-{number}")
    assert len(series(client)) - before < 40


def test_answers_go_to_who_asked_however_many_ask():
    bundle = FakeBundle(seconds=0.002)
    texts = [f"text number {number}" for number in range(50)]
    alone = {text: FakeBundle().predict([text])[0] for text in texts}
    with TestClient(create_app([bundle])) as opened:
        got: dict[str, Any] = {}

        def one(text: str) -> None:
            got[text] = ask(opened, text, parameters={"scores": True}).json()["predictions"][0]

        threads = [threading.Thread(target=one, args=(text,)) for text in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == alone


@pytest.mark.parametrize("leaves", [False, True])
def test_nobody_waits_for_what_takes_long_to_encode(leaves: bool):
    begun, go = threading.Event(), threading.Event()
    bundle = FakeBundle()

    def encode(inputs: Any) -> Any:
        begun.set()
        go.wait(10)
        raise AssertionError

    sent: list[Any] = []

    async def ask() -> None:
        app: Any = create_app([bundle])
        bundle.encode = encode  # type: ignore[method-assign]
        body = json.dumps({"inputs": ["word " * 2000]}).encode()
        events = iter([{"type": "http.request", "body": body}])

        async def receive() -> dict[str, Any]:
            for event in events:
                return event
            await (asyncio.to_thread(begun.wait, 10) if leaves else asyncio.Event().wait())
            return {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            sent.append(event)

        deadline = b"60000" if leaves else b"50"
        headers = [(b"content-type", b"application/json"), (b"x-deadline-ms", deadline)]
        scope = {
            "type": "http", "method": "POST", "path": "/v1/predict", "headers": headers,
            "query_string": b"", "client": ("192.0.2.7", 1), "scheme": "http",
        }  # fmt: skip
        await app(scope, receive, send)
        assert app.service.models["fake"].admission.items == 0
        go.set()
        app.service.close(5)

    asyncio.run(ask())
    assert not sent if leaves else sent[0]["status"] == 504
