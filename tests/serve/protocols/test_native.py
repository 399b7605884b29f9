"""The native protocol: what it understands, and what it says of anything else."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright import plugs
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import Answer, Message, PredictRequest

PLUG = plugs.load("protocol", "native")
PROTOCOL = PLUG.cls(PLUG.config())
JSON = "application/json"


def parse(body: bytes | str | object, content_type: str = JSON) -> PredictRequest:
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    return PROTOCOL.parse(Message(data, content_type))


def refusal(body: bytes | str | object, content_type: str = JSON) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        parse(body, content_type)
    return caught.value


def form(*parts: tuple[str, str, bytes], boundary: str = "XX") -> tuple[bytes, str]:
    body = b""
    for name, filename, data in parts:
        file = f'; filename="{filename}"' if filename else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def test_a_request_names_inputs_and_may_name_a_model_and_parameters():
    assert parse({"inputs": ["a"]}) == PredictRequest(["a"], None, {})
    full = {"inputs": ["a", {"text": "b"}], "model": "m", "parameters": {"top_k": 2}}
    assert parse(full) == PredictRequest(["a", {"text": "b"}], "m", {"top_k": 2})
    assert parse({"inputs": ["é中😀"]}, "Application/JSON; charset=UTF-8").inputs == ["é中😀"]


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"", "MW-701", "empty"),
        (b"  \n", "MW-701", "empty"),
        (b"{", "MW-701", "line 1, column 2"),
        (b'{"inputs": ["\xff"]}', "MW-701", "byte 13"),
        (b'{"inputs": [NaN]}', "MW-701", "NaN"),
        (b'{"inputs": [1e999]}', "MW-701", "finite"),
        (b'{"inputs": [' + b"9" * 5000 + b"]}", "MW-701", "digits"),
        (b'{"inputs": ["a"], "inputs": ["b"]}', "MW-701", "twice"),
        (b'{"inputs": ["\\ud800"]}', "MW-701", "surrogate"),
        (b'{"inputs": [{"\\udc00": 1}]}', "MW-701", "surrogate"),
        (b"[" * 100_000, "MW-701", "deeper"),
        (b'{"inputs": ' + b"[" * 30 + b"]" * 30 + b"}", "MW-701", "deeper"),
    ],
)  # fmt: skip
def test_a_malformed_body_is_told_what_is_wrong(body: bytes, code: str, says: str):
    error = refusal(body)
    assert (error.code, error.status) == (code, 400)
    assert says in error.detail


def test_a_body_of_too_many_values_is_not_read():
    error = refusal(b'{"inputs": [' + b"[]," * 600_000 + b"1]}")
    assert (error.code, error.status) == ("MW-704", 413)
    assert parse({"inputs": ["a, b" * 600_000]}).inputs


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ([1], "", "a list"),
        ({}, "inputs", "missing"),
        ({"inputs": "a"}, "inputs", "a string"),
        ({"inputs": []}, "inputs", "no input"),
        ({"inputs": ["a"], "model": 3}, "model", "a number"),
        ({"inputs": ["a"], "parameters": [1]}, "parameters", "a list"),
        ({"input": ["a"]}, "input", "known key"),
    ],
)
def test_a_wrong_shape_names_the_field(body: object, field: str, says: str):
    error = refusal(body)
    assert (error.code, error.status, error.field) == ("MW-702", 422, field)
    assert says in error.detail


def test_a_misspelt_key_is_answered_with_the_right_one():
    assert "`inputs`" in refusal({"inptus": ["a"]}).fix


def test_more_inputs_than_allowed_are_413():
    error = refusal({"inputs": ["a"] * 1025})
    assert (error.code, error.status, error.field) == ("MW-704", 413, "inputs")


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/xml", "application/json; charset=gbk"]
)
def test_other_content_types_are_415(kind: str):
    error = refusal({"inputs": ["a"]}, kind)
    assert (error.code, error.status) == ("MW-705", 415)


def test_files_of_a_form_become_base64_inputs_in_order():
    body, kind = form(
        ("model", "", b"pictures"),
        ("file", "a.png", b"\x89PNG\r\n\r\n--X"),
        ("parameters", "", b'{"scores": true}'),
        ("file", "b.png", b""),
    )
    request = parse(body, kind)
    assert [base64.b64decode(item) for item in request.inputs] == [b"\x89PNG\r\n\r\n--X", b""]
    assert (request.model, request.parameters, request.uploaded) == (
        "pictures",
        {"scores": True},
        True,
    )


def test_a_broken_form_is_malformed_and_a_strange_field_is_named():
    body, kind = form(("file", "a.png", b"abc"))
    assert refusal(body[:-6], kind).code == "MW-701"
    assert refusal(body, "multipart/form-data").code == "MW-701"
    assert refusal(b"abc", kind).code == "MW-701"
    assert refusal(*form(("picture", "", b"abc"))).field == "picture"
    assert refusal(*form(*[("file", "a", b"")] * 1030)).code == "MW-704"
    assert refusal(*form(("model", "", b"m"))).field == "inputs"


def test_an_answer_and_an_error_are_rendered_as_the_contract_has_them():
    answer = Answer("m", "v", [{"label": "标签", "score": 0.5}], "id")
    assert json.loads(PROTOCOL.render(answer)) == {
        "model": "m",
        "version": "v",
        "predictions": [{"label": "标签", "score": 0.5}],
        "request_id": "id",
    }
    error = ServiceError("MW-702", "is empty", field="inputs[3].text", fix="write something")
    assert json.loads(PROTOCOL.render_error(error, "id")) == {
        "type": "urn:modelwright:error:MW-702",
        "title": "The request has the wrong shape",
        "status": 422,
        "code": "MW-702",
        "detail": "inputs[3].text: is empty",
        "field": "inputs[3].text",
        "fix": "write something",
        "request_id": "id",
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
BODIES = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("inputs", "model", "parameters"), VALUES))
    .map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=200).map(lambda data: b"--XX\r\n" + data + b"\r\n--XX--"),
)  # fmt: skip
KINDS = st.sampled_from(
    [JSON, "application/json;charset=utf-8", "multipart/form-data; boundary=XX",
     "multipart/form-data",
     "text/plain", "", ";;;", 'multipart/form-data; boundary="', "application/json; charset*=x'y'z"]
) | st.text(max_size=40)  # fmt: skip


def outcome(message: Message) -> PredictRequest | ServiceError:
    try:
        return PROTOCOL.parse(message)
    except ServiceError as error:
        return error


@settings(max_examples=400, deadline=None)
@given(body=BODIES, kind=KINDS)
def test_any_bytes_give_a_request_or_a_coded_refusal(body: bytes, kind: str):
    found = outcome(Message(body, kind))
    if isinstance(found, PredictRequest):
        assert found.inputs
        return
    assert 400 <= found.status < 500
    assert json.loads(PROTOCOL.render_error(found, "id"))["code"].startswith("MW-7")
