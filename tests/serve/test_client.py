"""The client: what it sends, when it tries again, and that a list comes back whole and in order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modelwright
from modelwright.serve import Settings, client, create_app
from modelwright.serve._calling import Part, Policy, divided
from modelwright.serve._keys import new_key, write_keys
from modelwright.serve.problems import ServiceError
from modelwright.testing.doubles import FakeBundle

URL = "http://service"
Respond = Callable[[httpx.Request], httpx.Response]


class Peer:
    """A service of the test's own: keeps the requests, answers what it is told to."""

    def __init__(self, *answers: httpx.Response | Exception | Respond) -> None:
        self.answers, self.requests = list(answers), []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else echo
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):  # a fresh one: a client uses up what it is given
            return httpx.Response(
                answer.status_code, headers=answer.headers, content=answer.content
            )
        return answer(request)

    async def later(self, request: httpx.Request) -> httpx.Response:
        return self(request)


def echo(request: httpx.Request) -> httpx.Response:
    inputs = json.loads(request.content)["inputs"]
    return httpx.Response(200, json={"predictions": [{"label": one} for one in inputs]})


def problem(status: int, code: str, field: str = "", **headers: str) -> httpx.Response:
    detail = f"{field}: is wrong" if field else "is wrong"
    body = {"code": code, "detail": detail, "field": field, "request_id": "rid"}
    return httpx.Response(status, json=body, headers=headers)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the clients slept, without sleeping."""
    found: list[float] = []

    async def rest(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(client, "_sleep", lambda seconds, _: found.append(seconds))
    monkeypatch.setattr(client, "_rest", rest)
    return found


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`predict` of either client against a peer."""

    def sync(peer: Peer, inputs: Any, asked: dict[str, Any] | None = None, **given: Any) -> Any:
        transport = httpx.MockTransport(peer)
        with modelwright.Client(URL, transport=transport, **given) as opened:
            return opened.predict(inputs, **(asked or {}))

    def later(peer: Peer, inputs: Any, asked: dict[str, Any] | None = None, **given: Any) -> Any:
        async def run() -> Any:
            transport = httpx.MockTransport(peer.later)
            async with modelwright.AsyncClient(URL, transport=transport, **given) as opened:
                return await opened.predict(inputs, **(asked or {}))

        return asyncio.run(run())

    return sync if request.param == "sync" else later


Ask = Callable[..., Any]


def labels(predictions: list[dict[str, Any]]) -> list[str]:
    return [one["label"] for one in predictions]


# -- what is sent ---------------------------------------------------------------------------------
def test_it_sends_what_was_asked(ask: Ask):
    peer = Peer()
    asked = {"scores": True, "top_k": 2, "deadline": 5.0}
    assert labels(ask(peer, ["é中", "b"], asked, key="mw_k", model="m")) == ["é中", "b"]
    [request] = peer.requests
    assert json.loads(request.content) == {
        "inputs": ["é中", "b"], "model": "m", "parameters": {"scores": True, "top_k": 2},
    }  # fmt: skip
    assert request.headers["authorization"] == "Bearer mw_k"
    assert 4000 < int(request.headers["x-deadline-ms"]) <= 5000


def test_it_sends_nothing_that_was_not_asked(ask: Ask):
    peer = Peer()
    ask(peer, [{"text": "a"}])
    [request] = peer.requests
    assert json.loads(request.content) == {"inputs": [{"text": "a"}]}
    assert "x-deadline-ms" not in request.headers
    assert "authorization" not in request.headers
    assert ask(peer, []) == []


def test_a_single_text_is_not_taken_for_a_list(ask: Ask):
    with pytest.raises(TypeError, match=r"\[text\]"):
        ask(Peer(), "hello")


# -- long lists -----------------------------------------------------------------------------------
def test_a_long_list_is_several_requests_and_one_answer_in_order(ask: Ask):
    texts = [f"text {n}" for n in range(1000)]

    def slow_at_first(request: httpx.Request) -> httpx.Response:
        time.sleep(0.05)
        return echo(request)

    peer = Peer(slow_at_first)
    assert labels(ask(peer, texts, policy=Policy(most_inputs=100))) == texts
    assert len(peer.requests) == 10


def test_a_service_that_takes_less_gets_less(ask: Ask):
    def small(request: httpx.Request) -> httpx.Response:
        inputs = json.loads(request.content)["inputs"]
        return echo(request) if len(inputs) <= 4 else problem(413, "MW-704", "inputs")

    texts = [str(n) for n in range(30)]
    assert labels(ask(Peer(*[small] * 99), texts)) == texts
    with pytest.raises(modelwright.ServiceError, match="MW-704"):
        ask(Peer(problem(413, "MW-704")), ["one"])


def test_the_place_of_a_fault_is_that_in_the_whole_list(ask: Ask):
    def third(request: httpx.Request) -> httpx.Response:
        inputs = json.loads(request.content)["inputs"]
        return problem(422, "MW-702", "inputs[3].text") if "15" in inputs else echo(request)

    texts = [str(n) for n in range(40)]
    with pytest.raises(modelwright.ServiceError) as caught:
        ask(Peer(*[third] * 99), texts, policy=Policy(most_inputs=12))
    error = caught.value
    assert (error.code, error.status, error.field) == ("MW-702", 422, "inputs[15].text")
    assert error.request_id == "rid"
    assert str(error).count("inputs[15].text") == 1


@settings(max_examples=200, deadline=None)
@given(
    inputs=st.lists(
        st.text(max_size=20) | st.dictionaries(st.text(max_size=3), st.text(max_size=3))
    ),
    most=st.integers(1, 10),
    size=st.integers(1, 60),
)
def test_any_list_is_divided_without_loss(inputs: list[Any], most: int, size: int):
    parts = divided(inputs, Policy(most_inputs=most, most_bytes=size))
    rejoined = [one for part in parts for one in json.loads(part.body({}))["inputs"]]
    assert rejoined == inputs
    assert [part.start for part in parts] == [
        sum(len(one.texts) for one in parts[:place]) for place in range(len(parts))
    ]
    for part in parts:
        assert len(part.texts) <= most
        assert len(part.texts) == 1 or sum(map(len, part.texts)) <= size


def test_halves_are_the_whole():
    first, second = Part(10, ["1", "2", "3"]).halves()
    assert (first, second) == (Part(10, ["1"]), Part(11, ["2", "3"]))


# -- trying again ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "refused",
    [
        problem(503, "MW-706", **{"retry-after": "2"}),
        problem(429, "MW-711", **{"retry-after": "2"}),
        httpx.Response(502, text="<html>bad gateway</html>", headers={"retry-after": "2"}),
    ],
)
def test_what_may_pass_is_tried_again_after_the_time_that_was_told(
    refused: httpx.Response, ask: Ask, naps: list[float]
):
    peer = Peer(refused, refused)
    assert labels(ask(peer, ["a"])) == ["a"]
    assert naps == [2.0, 2.0]


def test_without_a_time_the_pauses_grow_and_are_never_alike(ask: Ask, naps: list[float]):
    peer = Peer(httpx.ConnectError("refused"), *[problem(503, "MW-706")] * 3)
    assert labels(ask(peer, ["a"])) == ["a"]
    assert len(naps) == 4
    for number, seconds in enumerate(naps, start=1):
        assert 0.05 * 2**number <= seconds <= 0.1 * 2**number


def test_it_gives_up_after_some_tries_with_the_last_reason(ask: Ask, naps: list[float]):
    peer = Peer(*[problem(503, "MW-706", **{"retry-after": "1"})] * 9)
    with pytest.raises(modelwright.ServiceError, match="MW-706"):
        ask(peer, ["a"], policy=Policy(retries=3))
    assert (len(peer.requests), naps) == (4, [1.0] * 3)
    with pytest.raises(modelwright.ServiceError, match="no answer from http://service"):
        ask(Peer(*[httpx.ConnectError("refused")] * 9), ["a"], policy=Policy(retries=0))


@pytest.mark.parametrize(
    "refused",
    [
        problem(400, "MW-701"),
        problem(401, "MW-708"),
        problem(403, "MW-708"),
        problem(404, "MW-703", "model"),
        problem(422, "MW-702", "inputs[0]"),
        problem(500, "MW-709"),
        problem(504, "MW-707"),
    ],
)
def test_what_will_not_pass_is_told_at_once(refused: httpx.Response, ask: Ask, naps: list[float]):
    peer = Peer(refused)
    with pytest.raises(modelwright.ServiceError) as caught:
        ask(peer, ["a"])
    assert caught.value.status == refused.status_code
    assert (len(peer.requests), naps) == (1, [])


def test_a_pause_beyond_the_deadline_is_not_begun(ask: Ask, naps: list[float]):
    peer = Peer(problem(503, "MW-706", **{"retry-after": "60"}))
    with pytest.raises(modelwright.ServiceError, match="MW-706"):
        ask(peer, ["a"], {"deadline": 5.0})
    assert naps == []


def test_an_answer_that_does_not_come_is_late(ask: Ask, naps: list[float]):
    def silent(request: httpx.Request) -> httpx.Response:
        time.sleep(0.06)
        raise httpx.ReadTimeout("timed out", request=request)

    with pytest.raises(modelwright.ServiceError, match="MW-707"):
        ask(Peer(silent), ["a"], deadline=0.05)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="hello"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"predictions": []}),
    ],
)
def test_an_answer_of_something_else_is_told(answer: httpx.Response, ask: Ask, naps: list[float]):
    with pytest.raises(modelwright.ServiceError, match="not one of a Modelwright"):
        ask(Peer(*[answer] * 9), ["a"])


# -- live -----------------------------------------------------------------------------------------
def test_it_asks_the_real_service_with_key_and_deadline(tmp_path: Any):
    text, key = new_key("alice", ["predict"], 0.0, "")
    write_keys(tmp_path / "keys.json", [key])
    app = create_app([FakeBundle()], Settings(keys=tmp_path / "keys.json", max_items=100))
    texts = [f"text {n}" for n in range(700)]

    async def run() -> None:
        transport = httpx.ASGITransport(app)
        async with modelwright.AsyncClient(URL, key=text, transport=transport) as opened:
            assert await opened.ready()
            assert [one["id"] for one in await opened.models()] == ["fake"]
            answered = await opened.predict(texts, scores=True, deadline=60.0)
            assert answered == FakeBundle().predict(texts)
            with pytest.raises(modelwright.ServiceError) as caught:
                await opened.predict(["fine", 3])
            assert caught.value.field == "inputs[1]"
        async with modelwright.AsyncClient(URL, key="mw_x", transport=transport) as opened:
            with pytest.raises(modelwright.ServiceError, match="MW-708"):
                await opened.models()

    asyncio.run(run())


def test_the_true_answer_finds_the_prediction_it_speaks_of():
    app = create_app([FakeBundle()], Settings(max_items=100))
    texts = [f"text {n}" for n in range(250)]

    async def run() -> None:
        transport = httpx.ASGITransport(app)
        policy = Policy(most_inputs=100)
        async with modelwright.AsyncClient(URL, policy=policy, transport=transport) as opened:
            answers = await opened.predict(texts)
            assert [place for _, place in answers.asked] == [n % 100 for n in range(250)]
            assert len({request_id for request_id, _ in answers.asked}) == 3
            for asked, answer in zip(answers.asked[::60], answers[::60], strict=True):
                assert await opened.feedback(*asked, answer["label"])
            assert not await opened.feedback("unheard-of", 0, "a")
            with pytest.raises(modelwright.ServiceError, match="MW-702"):
                await opened.feedback(*answers.asked[0], None)

    asyncio.run(run())
    [quality] = app.service.recorder._quality.values()
    assert list(quality) == [1.0] * 5


def test_nobody_there_is_not_ready():
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with modelwright.Client(URL, transport=httpx.MockTransport(refuse)) as opened:
        assert not opened.ready()
        with pytest.raises(modelwright.ServiceError, match="MW-706"):
            opened.feedback("rid", 0, "a")


def test_the_first_refusal_ends_the_pauses_of_the_others():
    def answer(request: httpx.Request) -> httpx.Response:
        if "wrong" in request.content.decode():
            return problem(422, "MW-702")
        return problem(503, "MW-706", **{"Retry-After": "60"})

    policy = Policy(most_inputs=1)
    with (
        modelwright.Client(URL, transport=httpx.MockTransport(answer), policy=policy) as opened,
        pytest.raises(ServiceError, match="MW-702"),
    ):
        opened.predict(["a", "b", "wrong"])


def test_a_url_without_a_scheme_is_told_at_once():
    with pytest.raises(ValueError, match="http://"):
        modelwright.Client("localhost:8000")


def test_nobody_there_has_no_models():
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with (
        modelwright.Client(URL, transport=httpx.MockTransport(nobody)) as opened,
        pytest.raises(ServiceError, match="MW-706"),
    ):
        opened.models()
