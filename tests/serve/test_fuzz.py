"""A few hundred of the requests of bench/fuzz.py, at services of every kind of input."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from modelwright.serve import create_app
from modelwright.testing.doubles import FakeBundle

pytest.importorskip("schemathesis")
WORKER = Path(__file__).parents[2] / "bench" / "_fuzzing.py"
CASES = 150


@pytest.fixture
def fuzzing(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("bench_fuzzing", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")  # of schemathesis and of what it brings
@pytest.mark.parametrize(
    "task", ["text-classification", "token-classification", "image-classification"]
)
def test_nothing_that_the_schema_allows_or_forbids_makes_the_service_fail(fuzzing: Any, task: str):
    app = create_app([FakeBundle(task=task)])
    with TestClient(app, base_url="http://127.0.0.1") as client:

        def send(sent: Any) -> Any:
            try:
                response = client.request(
                    sent.method, sent.path, headers=dict(sent.headers), content=sent.body
                )
            except (httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError) as error:
                raise fuzzing.UnsendableError from error
            return fuzzing.Got(response.status_code, response.headers, response.content)

        tally = fuzzing.fuzz(client.get("/openapi.json").json(), send, CASES)
        assert tally.faults == []
        assert tally.cases >= CASES * 0.8
        assert {200, 202} & set(tally.statuses)  # an image that can be decoded is a rare find
        assert 422 in tally.statuses
        assert app.service.models["fake"].admission.items == 0


def test_what_is_wrong_with_an_answer_is_seen(fuzzing: Any):
    sent = fuzzing.Sent("POST", "/v1/predict", {}, b"")
    hurried = fuzzing.Sent("POST", "/v1/predict", {"X-Deadline-Ms": "1"}, b"")
    headers, coded = {"x-request-id": "a"}, b'{"code": "MW-702"}'
    assert fuzzing.fault(sent, fuzzing.Got(422, headers, coded)) == ""
    assert fuzzing.fault(hurried, fuzzing.Got(504, headers, coded)) == ""
    for wrong in (
        fuzzing.Got(0, {}, b"", "ReadTimeout"),
        fuzzing.Got(500, headers, coded),
        fuzzing.Got(504, headers, coded),
        fuzzing.Got(422, {}, coded),
        fuzzing.Got(422, headers, b"oops"),
        fuzzing.Got(422, headers, b"{}"),
    ):
        assert fuzzing.fault(sent, wrong)
