"""True answers come back, live quality follows, and only what the recipe allows is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from modelwright.artifacts.traffic import read_traffic
from modelwright.serve import Settings, create_app
from modelwright.serve._recording import judge, sampled
from modelwright.testing.doubles import FakeBundle

TEXT = "Ada lost her secret card"


def ask(client: TestClient, *inputs: Any, request_id: str = "r") -> list[dict[str, Any]]:
    headers = {"x-request-id": request_id}
    return client.post("/v1/predict", json={"inputs": list(inputs)}, headers=headers).json()[
        "predictions"
    ]


def tell(client: TestClient, label: Any, index: int = 0, request_id: str = "r") -> Any:
    body = {"request_id": request_id, "index": index, "label": label}
    return client.post("/v1/feedback", json=body)


def quality(client: TestClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {
        line.split('metric="')[1].split('"')[0]: float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("modelwright_live_quality{")
    }


def test_feedback_becomes_live_quality():
    with TestClient(create_app([FakeBundle()])) as client:
        answers = ask(client, "a", "b", "c", "d")
        for index, answer in enumerate(answers):
            label = answer["label"] if index else "another"
            response = tell(client, label, index)
            assert (response.status_code, response.json()) == (202, {"known": True})
        for _ in range(3):
            assert tell(client, "another").json() == {"known": True}
        assert quality(client) == {"accuracy": 0.75}, "what is told again does not count again"


@pytest.mark.parametrize(
    ("bundle", "right", "metric", "value"),
    [
        (FakeBundle(task="text-regression"), lambda one: one["value"] + 2, "mae", 2.0),
        (FakeBundle(multi_label=True), lambda one: one["labels"][::-1], "exact_match", 1.0),
    ],
)
def test_other_answers_are_judged_as_they_can_be(
    bundle: FakeBundle, right: Any, metric: str, value: float
):
    with TestClient(create_app([bundle])) as client:
        [answer] = ask(client, "a")
        assert tell(client, right(answer)).json() == {"known": True}
        assert quality(client) == {metric: pytest.approx(value)}


def test_what_cannot_be_compared_is_taken_and_not_judged():
    assert judge("a", 3) is None
    assert judge(None, "a") is None
    with TestClient(create_app([FakeBundle()])) as client:
        ask(client, "a")
        assert tell(client, 3.5).json() == {"known": True}
        assert tell(client, "a", index=7).json() == {"known": False}
        assert tell(client, "a", request_id="never").json() == {"known": False}
        assert quality(client) == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"label": "a"}, "request_id"),
        ({"request_id": "r"}, "label"),
        ({"request_id": "r", "label": ""}, "label"),
        ({"request_id": "r", "label": None}, "label"),
        ({"request_id": "r", "label": ["a", 3]}, "label"),
        ({"request_id": "r", "label": "a", "index": -1}, "index"),
        ({"request_id": "r", "label": "a", "more": 1}, "more"),
        ([], ""),
    ],
)
def test_wrong_feedback_is_told(body: Any, field: str):
    with TestClient(create_app([FakeBundle()])) as client:
        response = client.post("/v1/feedback", json=body)
        told = response.json()
        assert (response.status_code, told["code"]) == (422, "MW-702")
        assert told.get("field", "").startswith(field)
        assert client.post("/v1/feedback", content=b"a").status_code == 415


def recorded(folder: Path, consent: dict[str, Any] | None, **fake: Any) -> list[dict[str, Any]]:
    bundle = FakeBundle(**fake)
    bundle.manifest["serve"] = {"record": consent}
    with TestClient(create_app([bundle], Settings(traffic=folder))) as client:
        for number in range(200):
            ask(client, TEXT, "b", request_id=f"r{number}")
        tell(client, "refund", 1, request_id="r7")
    return read_traffic(folder, "requests").to_pylist()


def test_nothing_is_recorded_that_the_recipe_does_not_allow(tmp_path: Path):
    assert recorded(tmp_path, None) == []
    [feedback] = read_traffic(tmp_path, "feedback").to_pylist()
    assert (feedback["request_id"], feedback["index"]) == ("r7", 1)
    assert (json.loads(feedback["label"]), feedback["model"]) == ("refund", "fake")


def test_answers_are_recorded_without_the_callers_words(tmp_path: Path):
    rows = recorded(tmp_path / "a", {"share": 1.0, "inputs": False})
    assert len(rows) == 400
    assert {row["input"] for row in rows} == {None}
    assert rows[0]["label"] == json.loads(rows[0]["prediction"])["label"]
    rows = recorded(tmp_path / "b", {"share": 1.0, "inputs": False}, task="token-classification")
    entities = [one for row in rows for one in json.loads(row["prediction"])["entities"]]
    assert entities
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert "secret" not in str(read_traffic(folder, "requests").to_pylist())
    assert not any("text" in entity for entity in entities)


def test_with_consent_the_words_are_recorded_too(tmp_path: Path):
    rows = recorded(tmp_path, {"share": 1.0, "inputs": True})
    assert json.loads(rows[0]["input"]) == TEXT


def test_a_sample_is_the_same_everywhere_and_of_its_size(tmp_path: Path):
    rows = recorded(tmp_path, {"share": 0.25, "inputs": False})
    kept = {row["request_id"] for row in rows}
    assert kept == {f"r{n}" for n in range(200) if sampled(f"r{n}", 0.25)}
    assert 25 < len(kept) < 75
    assert not sampled("x", 0.0)
    assert sampled("x", 1.0)


def test_memory_of_answers_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("modelwright.serve._recording.REMEMBERED", 10)
    with TestClient(create_app([FakeBundle()])) as client:
        for number in range(30):
            ask(client, "a", "b", request_id=f"r{number}")
        assert tell(client, "a", request_id="r29").json() == {"known": True}
        assert tell(client, "a", request_id="r3").json() == {"known": False}
        assert len(client.app.service.recorder._memory) <= 5
