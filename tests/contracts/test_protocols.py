"""What every protocol plug must do, whoever wrote it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright import plugs
from modelwright.serve.problems import STATUS, ServiceError
from modelwright.serve.protocols import Answer, Message, PredictRequest, Protocol

NAMES = plugs.names("protocol")


def protocol(name: str) -> Protocol:
    plug = plugs.load("protocol", name)
    return plug.cls(plug.config())


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str):
    plug = plugs.load("protocol", name)
    assert plugs.summary("protocol", name).endswith(".")
    assert plug.version >= 1
    assert plug.config.model_config.get("frozen")
    assert plug.cls.route.startswith("/")


def outcome(tested: Protocol, message: Message) -> PredictRequest | ServiceError:
    try:
        return tested.parse(message)
    except ServiceError as error:
        return error


def test_routes_are_told_apart():
    classes = [plugs.load("protocol", name).cls for name in NAMES]
    routes = [path for one in classes for path in (one.route, *one.also, *one.tells)]
    assert len(set(routes)) == len(routes)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, deadline=None)
@given(
    body=st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
    kind=st.sampled_from(["application/json", "multipart/form-data; boundary=X", "", "text/html"]),
)
def test_any_bytes_give_a_request_or_a_client_error(name: str, body: bytes, kind: str):
    found = outcome(protocol(name), Message(body, kind))
    if isinstance(found, PredictRequest):
        assert found.inputs
    else:
        assert 400 <= found.status < 500


@pytest.mark.parametrize("name", NAMES)
def test_every_error_is_rendered_with_its_request_id(name: str):
    for code in STATUS:
        body = protocol(name).render_error(ServiceError(code, "detail", field="inputs[0]"), "id-7")
        assert b"id-7" in body
        json.loads(body)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_rendered_in_order(name: str):
    predictions: list[dict[str, Any]] = [
        {"label": "a", "score": 0.5},
        {"label": "中", "score": 0.25},
    ]
    if name == "openai-embeddings":
        predictions = [{"embedding": np.array([one["score"]]), "tokens": 3} for one in predictions]
    text = protocol(name).render(Answer("m", "v", predictions, "id")).decode()
    assert text.index("0.5") < text.index("0.25")


@pytest.mark.parametrize("name", NAMES)
def test_it_needs_no_server_library(name: str):
    code = (
        "import sys; from modelwright import plugs; "
        f"plug = plugs.load('protocol', {name!r}); plug.cls(plug.config()); "
        "print([m for m in ('starlette', 'uvicorn', 'torch', 'numpy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
