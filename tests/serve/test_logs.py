"""Logs are lines that machines read, with request ids, and never what callers sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from modelwright.cli import main as cli
from modelwright.serve import Settings, create_app
from modelwright.serve._logs import ACCESS, log_to_stderr
from modelwright.testing.doubles import FakeBundle

SECRET = "my card 4111 is lost"


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    """Loggers as they were, whatever a test sets up."""
    found = [
        logging.getLogger(name)
        for name in ("modelwright.serve", "modelwright.traffic", "opentelemetry")
    ]
    before = [(one, one.handlers, one.level, one.propagate) for one in found]
    yield
    for one, handlers, level, propagate in before:
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)
    ACCESS.disabled = False


def talk(form: Any, capsys: pytest.CaptureFixture[str], *, access: bool = True) -> str:
    bundle = FakeBundle(fails=lambda text: "poison" in text)
    log_to_stderr(form, access=access)
    with TestClient(create_app([bundle], Settings(access_log=access))) as client:
        for number, text in enumerate((SECRET, f"poison {SECRET}", 3)):
            headers = {"x-request-id": f"r{number}"}
            client.post("/v1/predict", json={"inputs": [text]}, headers=headers)
        client.get(f"/{SECRET}")
    return capsys.readouterr().err


def test_every_request_is_a_json_object_of_a_line(capsys: pytest.CaptureFixture[str]):
    lines = [json.loads(line) for line in talk("json", capsys).splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    assert [(one["status"], one["route"]) for one in requests] == [
        (200, "/v1/predict"), (500, "/v1/predict"), (422, "/v1/predict"), (404, "other"),
    ]  # fmt: skip
    assert [one["request_id"] for one in requests[:3]] == ["r0", "r1", "r2"]
    assert requests[0]["model"] == "fake"
    assert 0 < requests[0]["seconds"] < 60
    [failure] = [line for line in lines if line["level"] == "error"]
    assert failure["request_id"] == "r1"
    assert "the fake model was told to fail" in failure["error"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_callers_sent_is_in_no_line(form: str, capsys: pytest.CaptureFixture[str]):
    said = talk(form, capsys)
    assert "r1" in said
    assert "4111" not in said


def test_without_the_access_log_only_failures_are_said(capsys: pytest.CaptureFixture[str]):
    said = talk("text", capsys, access=False)
    assert "a model failed" in said
    assert "r0" not in said


def test_another_form_is_told(capsys: pytest.CaptureFixture[str]):
    assert cli.run(["serve", "b", "--log", "jsn"]) == 2
    assert "json" in capsys.readouterr().err
