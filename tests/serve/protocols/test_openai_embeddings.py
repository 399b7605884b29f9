"""OpenAI's embeddings: its published messages, vectors that are right, errors its clients read."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from modelwright import plugs
from modelwright.serve import create_app
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import Answer, Message, PredictRequest
from modelwright.testing.doubles import DIMENSIONS, FakeBundle

PLUG = plugs.load("protocol", "openai-embeddings")
PROTOCOL = PLUG.cls(PLUG.config(max_items=3))
# the example of the API reference
PUBLISHED = {
    "input": "The food was delicious and the waiter...",
    "model": "text-embedding-ada-002",
    "encoding_format": "float",
}
ROUTE = "/v1/embeddings"


def parse(body: Any, kind: str = "application/json") -> PredictRequest:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return PROTOCOL.parse(Message(content, kind))


def rendered(vectors: list[list[float]], **context: Any) -> dict[str, Any]:
    found = [{"embedding": np.array(one, np.float32), "tokens": 4} for one in vectors]
    return json.loads(PROTOCOL.render(Answer("m", "v", found, "r", context)))


# -- messages -------------------------------------------------------------------------------------
def test_the_published_request_is_understood():
    request = parse(PUBLISHED)
    assert request.inputs == [PUBLISHED["input"]]
    assert (request.model, request.vectors) == (PUBLISHED["model"], True)
    assert parse({"input": ["a", "b"], "user": "u", "dimensions": 3}).parameters == {
        "dimensions": 3
    }


def test_the_answer_has_the_published_form():
    assert rendered([[0.5, -0.75], [1, 0]]) == {
        "object": "list",
        "model": "m",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -0.75]},
            {"object": "embedding", "index": 1, "embedding": [1.0, 0.0]},
        ],
    }


def test_base64_is_of_little_endian_float32():
    packed = rendered([[0.6, -0.8]], base64=True)["data"][0]["embedding"]
    assert np.frombuffer(base64.b64decode(packed), "<f4").tolist() == pytest.approx([0.6, -0.8])


@pytest.mark.parametrize(
    ("body", "code", "param", "says"),
    [
        ({}, "MW-702", "input", "required"),
        ({"input": []}, "MW-702", "input", "at least one"),
        ({"input": None}, "MW-702", "input", "a string"),
        ({"input": {"text": "a"}}, "MW-702", "input", "a string"),
        ({"input": [1, 2, 3]}, "MW-702", "input[0]", "texts"),
        ({"input": ["a", [1, 2]]}, "MW-702", "input[1]", "texts"),
        ({"input": ["a"] * 4}, "MW-704", "input", "several"),
        ({"input": "a", "model": 3}, "MW-702", "model", "a string"),
        ({"input": "a", "encoding_format": "int8"}, "MW-702", "encoding_format", "base64"),
        ({"input": "a", "dimensions": 0}, "MW-702", "dimensions", "from 1"),
        ({"input": "a", "dimensions": True}, "MW-702", "dimensions", "whole"),
        ({"input": "a", "inputs": ["a"]}, "MW-702", "inputs", "input"),
        ([], "MW-702", None, "not an object"),
        (b"{", "MW-701", None, "not JSON"),
    ],
)
def test_what_is_wrong_is_told_in_openais_form(body: Any, code: str, param: str, says: str):
    with pytest.raises(ServiceError) as caught:
        parse(body)
    told = json.loads(PROTOCOL.render_error(caught.value, "r1"))["error"]
    assert (told["code"], told["param"]) == (code, param)
    assert told["type"] == "invalid_request_error"
    assert says in told["message"]
    assert "r1" in told["message"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "authentication_error"), (429, "rate_limit_error"), (503, "server_error")],
)
def test_errors_have_the_type_of_their_status(status: int, kind: str):
    error = ServiceError("MW-706", "no", status=status)
    assert json.loads(PROTOCOL.render_error(error, "r"))["error"]["type"] == kind


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(["input", "model", "encoding_format", "dimensions", "user", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=4),
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_give_a_request_or_a_coded_refusal(body: bytes):
    try:
        request = parse(body)
    except ServiceError as error:
        json.loads(PROTOCOL.render_error(error, "r"))
    else:
        assert request.inputs
        assert all(isinstance(one, str) for one in request.inputs)


# -- the service ----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    tagger = FakeBundle(task="token-classification", name="tagger")
    fake = FakeBundle(fails=lambda text: "poison" in text)
    with TestClient(create_app([fake, tagger])) as opened:
        yield opened


def embed(client: TestClient, *texts: str, **more: Any) -> np.ndarray:
    response = client.post(ROUTE, json={"input": list(texts), **more})
    assert response.status_code == 200, response.text
    return np.array([one["embedding"] for one in response.json()["data"]])


def test_each_text_gets_its_own_vector_of_length_1(client: TestClient):
    texts = ["my card is lost", "refund", "银行卡"]
    found = embed(client, *texts)
    assert found.shape == (3, DIMENSIONS)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0)
    for text, vector in zip(texts, found, strict=True):
        assert embed(client, text)[0] == pytest.approx(vector, abs=1e-7)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_usage_counts_the_tokens_that_were_read(client: TestClient):
    told = client.post(ROUTE, json={"input": ["abc", "de"]}).json()
    assert told["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert told["model"] == "fake"


def test_refusals_name_the_place_as_it_was_sent(client: TestClient):
    for body, status, param in (
        ({"input": ["a", ""]}, 422, "input[1]"),
        ({"input": ["a", "poison"]}, 500, "input[1]"),
        ({"input": "a", "model": "text-embedding-3-small"}, 404, "model"),
        ({"input": "a", "dimensions": 3}, 422, "dimensions"),
        ({"input": "a", "model": "tagger"}, 422, "model"),
    ):
        response = client.post(ROUTE, json=body)
        assert response.status_code == status, response.text
        assert response.json()["error"]["param"] == param
    assert embed(client, "a", dimensions=DIMENSIONS).shape == (1, DIMENSIONS)
    for wrong in (client.get(ROUTE), client.post(ROUTE, content=b"a")):
        assert set(wrong.json()["error"]) == {"message", "type", "param", "code"}


def test_a_bundle_that_kept_no_vectors_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(FakeBundle, "dimensions", 0)
    with TestClient(create_app([FakeBundle()])) as opened:
        response = opened.post(ROUTE, json={"input": "a"})
        assert response.status_code == 422
        assert "mw run" in response.json()["error"]["message"]
        assert opened.post("/v1/predict", json={"inputs": ["a"]}).status_code == 200


def test_predictions_and_vectors_are_asked_at_once_and_never_mixed_up():
    bundle = FakeBundle(seconds=0.005)
    texts = [f"text number {number}" for number in range(12)]

    async def everybody() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app([bundle]))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            posts = []
            for text in texts:
                posts.append(http.post("/v1/predict", json={"inputs": [text]}))
                posts.append(http.post(ROUTE, json={"input": text}))
            return await asyncio.gather(*posts)

    answers = asyncio.run(everybody())
    alone = FakeBundle()
    for text, said, vector in zip(texts, answers[::2], answers[1::2], strict=True):
        assert said.json()["predictions"][0]["label"] == alone.predict([text])[0]["label"]
        expected = alone.vector_batch(alone.encode([text]))[0]
        found = vector.json()["data"][0]["embedding"]
        assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert max(bundle.calls) > 1


def test_vectors_are_no_answers_to_judge_or_to_record(tmp_path: Path):
    from modelwright.serve import Settings

    bundle = FakeBundle()
    bundle.manifest["serve"] = {"record": {"share": 1.0, "inputs": True}}
    with TestClient(create_app([bundle], Settings(traffic=tmp_path))) as opened:
        headers = {"x-request-id": "r1"}
        assert opened.post(ROUTE, json={"input": "a"}, headers=headers).status_code == 200
        told = opened.post("/v1/feedback", json={"request_id": "r1", "label": "refund"})
        assert told.json() == {"known": False}
    assert not list((tmp_path / "requests").glob("*.parquet"))


# -- a real bundle --------------------------------------------------------------------------------
@pytest.mark.slow
def test_every_variant_serves_the_vectors_of_the_trained_network(
    tiny_bundle: Path, checkpoint: Path
):
    from modelwright.engines import Bundle
    from modelwright.models.checkpoint import open_checkpoint

    texts = ["where is my refund", "close my account please", "a gift card"]
    model = open_checkpoint(checkpoint)
    expected = np.stack(model.vectors(model.task.encode(texts, model.encoder)))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    manifest = json.loads((tiny_bundle / "bundle.json").read_text())
    for entry in manifest["variants"]:
        assert entry["parity"]["dimensions"] == expected.shape[1]
        bundle = Bundle.open(tiny_bundle, entry["name"])
        assert bundle.embed(texts) == pytest.approx(expected, abs=5e-2)
        exact = entry["precision"] == "fp32"
        assert entry["parity"]["vectors_min_cosine"] >= (0.9999 if exact else 0.95)
        with TestClient(create_app([bundle])) as opened:
            assert embed(opened, *texts) == pytest.approx(bundle.embed(texts), abs=1e-5)
