"""Open Inference Protocol v2: published messages, what it refuses, and the live service."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from modelwright import plugs
from modelwright.serve import create_app
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import Answer, Message, PredictRequest, Reply
from modelwright.testing.doubles import FakeBundle, fake_image

PLUG = plugs.load("protocol", "open-inference")
PROTOCOL = PLUG.cls(PLUG.config())
PATH = {"name": "mymodel"}

# OpenVINO Model Server's documentation, "universal-sentence-encoder" demo
STRINGS = {
    "inputs": [
        {
            "name": "inputs",
            "shape": [3],
            "datatype": "BYTES",
            "data": ["dog", "Puppies are nice.", "I enjoy taking long walks along the beach."],
        }
    ]
}
# the protocol's own example (KServe, required_api.md)
NUMBERS = {
    "id": "42",
    "inputs": [
        {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]},
        {"name": "input1", "shape": [3], "datatype": "BOOL", "data": [True]},
    ],
    "outputs": [{"name": "output0"}],
}
TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype", "data"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"enum": ["BYTES", "FP64"]},
        "data": {"type": "array"},
        "parameters": {"additionalProperties": {"type": ["string", "number", "boolean"]}},
    },
    "additionalProperties": False,
}
RESPONSE = Draft202012Validator(  # the protocol's $inference_response
    {
        "type": "object",
        "required": ["model_name", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "outputs": {"type": "array", "items": TENSOR},
        },
        "additionalProperties": False,
    }
)


def parse(body: Any, **more: Any) -> PredictRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return PROTOCOL.parse(Message(data, more.pop("kind", "application/json"), PATH, more))


def refusal(body: Any, **more: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        parse(body, **more)
    return caught.value


def tensor(*data: Any, **more: Any) -> dict[str, Any]:
    base = {"name": "text", "shape": [len(data)], "datatype": "BYTES", "data": list(data)}
    return {key: value for key, value in {**base, **more}.items() if value is not None}


def one(**more: Any) -> dict[str, Any]:
    return {"inputs": [tensor("a", "b", **more)]}


def elements(*texts: str) -> bytes:
    """BYTES of the binary extension, as Triton's documentation has them."""
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)


def binary(value: dict[str, Any], *data: bytes) -> tuple[bytes, dict[str, str]]:
    head = json.dumps(value).encode()
    return head + b"".join(data), {"inference-header-content-length": str(len(head))}


# -- in -------------------------------------------------------------------------------------------
def test_a_published_request_of_strings_is_understood():
    request = parse(STRINGS)
    assert request.inputs == STRINGS["inputs"][0]["data"]
    assert (request.model, request.version) == ("mymodel", None)


def test_data_may_be_flat_or_nested_and_fields_may_be_tensors_of_their_own():
    for data, shape in ((["a", "b"], [2]), (["a", "b"], [2, 1]), ([["a"], ["b"]], [2, 1])):
        assert parse(one(data=data, shape=shape)).inputs == ["a", "b"]
    pair = {"inputs": [tensor("a", "b"), tensor("c", "d", name="text_pair")]}
    assert parse(pair).inputs == [
        {"text": "a", "text_pair": "c"},
        {"text": "b", "text_pair": "d"},
    ]


def test_options_come_from_parameters_and_from_the_outputs_asked_for():
    request = parse({**one(), "parameters": {"top_k": 2, "binary_data_output": False}})
    assert request.parameters == {"top_k": 2}
    assert parse({**one(), "outputs": [{"name": "scores"}]}).parameters == {"scores": True}


def test_the_binary_extension_is_read():
    data = elements("my card", "é中😀", "")
    sized = tensor(shape=[3], data=None, parameters={"binary_data_size": len(data)})
    body, headers = binary({"inputs": [sized]}, data)
    for kind in ("application/octet-stream", "application/json", ""):
        assert parse(body, kind=kind, **headers).inputs == ["my card", "é中😀", ""]


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        (NUMBERS, "inputs[0].datatype", "BYTES"),
        ([], "", "a list"),
        ({}, "inputs", "required"),
        ({"inputs": []}, "inputs", "at least one"),
        ({"inputs": ["a"]}, "inputs[0]", "a string"),
        ({"inputs": [tensor()]}, "inputs", "no input"),
        (one(name=None), "inputs[0].name", "required"),
        (one(datatype=None), "inputs[0].datatype", "required"),
        (one(datatype="TEXT"), "inputs[0].datatype", "datatype"),
        (one(shape=None), "inputs[0].shape", "required"),
        (one(shape=[-1]), "inputs[0].shape", "whole"),
        (one(shape=[True]), "inputs[0].shape", "whole"),
        (one(shape=[1, 2]), "inputs[0].shape", "[N]"),
        (one(shape=[1_000_000]), "inputs[0].data", "1,000,000"),
        (one(shape=[10**30]), "inputs[0].data", "got 2"),
        (one(data=None), "inputs[0].data", "missing"),
        (one(data="ab"), "inputs[0].data", "a list"),
        (one(shape=[2, 1], data=[["a"], ["b", "c"]]), "inputs[0].data[1]", "1 value"),
        ({"inputs": [tensor("a"), tensor("b")]}, "inputs[1].name", "twice"),
        ({"inputs": [tensor("a"), tensor("b", "c", name="x")]}, "inputs", "unlike"),
        ({**one(), "id": 7}, "id", "string"),
        ({**one(), "parameters": 7}, "parameters", "object"),
        ({**one(), "outputs": {}}, "outputs", "list"),
        ({**one(), "outputs": [{}]}, "outputs[0].name", "required"),
        (one(data=None, parameters={"binary_data_size": 4}), "inputs[0].parameters", "size"),
        (one(data=None, parameters={"binary_data_size": -1}), "inputs[0].parameters", "size"),
        (one(data=None, parameters={"binary_data_size": "4"}), "inputs[0].parameters", "size"),
    ],
)  # fmt: skip
def test_a_wrong_request_names_the_member(body: Any, field: str, says: str):
    error = refusal(body)
    assert (error.code, error.status) == ("MW-702", 422)
    assert error.field.startswith(field)
    assert says in error.detail


def test_binary_data_must_fit_what_is_said_of_it():
    def sized(size: int, shape: list[int]) -> dict[str, Any]:
        return {"inputs": [tensor(shape=shape, data=None, parameters={"binary_data_size": size})]}

    data = elements("ab")
    for value, sent in (
        (sized(6, [1]), data + b"more"),
        (sized(6, [2]), data),
        (sized(5, [1]), data[:5]),
        (sized(6, [1]), b"\xff\xff\xff\xff\x00\x00"),
        (sized(5, [1]), b"\x01\x00\x00\x00\xff"),
        (sized(2, [1]), b"\x00\x00"),
    ):
        body, headers = binary(value, sent)
        assert refusal(body, **headers).code == "MW-702"
    body, _ = binary(sized(6, [1]), data)
    for given_length in ("0", "-1", "x", "9" * 11):
        error = refusal(body, **{"inference-header-content-length": given_length})
        assert error.field == "Inference-Header-Content-Length"


def test_too_many_inputs_are_413_and_other_content_types_415():
    assert refusal({"inputs": [tensor(*["a"] * 1025)]}).code == "MW-704"
    assert refusal({"inputs": [tensor("a", name=str(n)) for n in range(1025)]}).code == "MW-704"
    assert refusal(STRINGS, kind="text/plain").code == "MW-705"


# -- out ------------------------------------------------------------------------------------------
PREDICTIONS = [
    {"label": "card_lost", "score": 0.75, "scores": {"card_lost": 0.75, "中": 0.25}},
    {"label": "中", "score": 0.5, "scores": {"card_lost": 0.5, "中": 0.5}},
]


def reply(predictions: list[Any], request: PredictRequest) -> Reply:
    return PROTOCOL.reply(Answer("m", "v", predictions, "rid", request.context))


def test_fields_of_predictions_are_tensors_and_the_id_comes_back():
    body = json.loads(reply(PREDICTIONS, parse({**one(), "id": "42"})).body)
    RESPONSE.validate(body)
    assert (body["model_name"], body["model_version"], body["id"]) == ("m", "v", "42")
    label, score, scores = body["outputs"]
    assert label == {
        "name": "label", "datatype": "BYTES", "shape": [2], "data": ["card_lost", "中"],
    }  # fmt: skip
    assert score == {"name": "score", "datatype": "FP64", "shape": [2], "data": [0.75, 0.5]}
    assert (scores["shape"], scores["data"]) == ([2, 2], [0.75, 0.25, 0.5, 0.5])
    assert json.loads(scores["parameters"]["labels"]) == ["card_lost", "中"]
    assert "id" not in json.loads(reply(PREDICTIONS, parse(one())).body)


def test_structures_are_json_in_bytes():
    entity = {"text": "Ada", "label": "PER", "start": 0, "end": 3, "score": 0.5}
    body = json.loads(reply([{"entities": [entity]}, {"entities": []}], parse(one())).body)
    RESPONSE.validate(body)
    [output] = body["outputs"]
    assert output["parameters"] == {"content_type": "json"}
    assert [json.loads(text) for text in output["data"]] == [[entity], []]


def test_only_the_outputs_asked_for_are_sent_and_unknown_ones_told():
    request = parse({**one(), "outputs": [{"name": "score"}]})
    assert [o["name"] for o in json.loads(reply(PREDICTIONS, request).body)["outputs"]] == ["score"]
    with pytest.raises(ServiceError, match="MW-702"):
        reply(PREDICTIONS, parse({**one(), "outputs": [{"name": "logits"}]}))


def test_outputs_in_binary_follow_the_json_in_their_order():
    asked = [
        {"name": "label", "parameters": {"binary_data": True}},
        {"name": "score", "parameters": {"binary_data": False}},
        {"name": "scores"},
    ]
    request = parse({**one(), "outputs": asked, "parameters": {"binary_data_output": True}})
    answer = reply(PREDICTIONS, request)
    assert answer.media_type == "application/octet-stream"
    size = int(answer.headers["Inference-Header-Content-Length"])
    head, data = json.loads(answer.body[:size]), answer.body[size:]
    label, score, scores = head["outputs"]
    assert score["data"] == [0.75, 0.5]
    assert "data" not in label
    first = label["parameters"]["binary_data_size"]
    assert data[:first] == elements("card_lost", "中")
    assert struct.unpack("<4d", data[first:]) == (0.75, 0.25, 0.5, 0.5)
    assert scores["parameters"]["binary_data_size"] == 32


def test_an_error_is_one_string_as_the_protocol_says():
    error = json.loads(PROTOCOL.render_error(refusal(NUMBERS), "rid"))
    assert list(error) == ["error"]
    assert error["error"].startswith("MW-702 inputs[0].datatype")
    assert "rid" in error["error"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["text", "", 3]),
        "shape": st.lists(st.integers(-1, 3), max_size=3),
        "datatype": st.sampled_from(["BYTES", "FP32", "x"]),
        "data": st.lists(st.text(max_size=2) | VALUES, max_size=3),
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data_size": VALUES | st.integers(0, 20)}
        ),
    },
)


@settings(max_examples=300, deadline=None)
@given(
    inputs=st.lists(LIKELY | VALUES, max_size=3) | VALUES,
    outputs=st.none() | VALUES,
    more=VALUES,
    tail=st.binary(max_size=20),
    length=st.none() | st.integers(-2, 300) | st.text(max_size=4),
)
def test_any_request_is_understood_or_refused(
    inputs: Any, outputs: Any, more: Any, tail: bytes, length: Any
):
    value = {"inputs": inputs, "parameters": more, "id": more}
    if outputs is not None:
        value["outputs"] = outputs
    body, headers = binary(value, tail)
    if length is not None:
        headers = {"inference-header-content-length": str(length)}
    try:
        found = parse(body, **headers)
    except ServiceError as error:
        assert 400 <= error.status < 500
    else:
        assert found.inputs


# -- live -----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    bundles = [
        FakeBundle(name="intents").save(tmp_path_factory.mktemp("a")),
        FakeBundle(task="token-classification", name="tagger"),
        FakeBundle(task="image-classification", name="pictures"),
        FakeBundle(pair=True, name="pairs"),
        FakeBundle(fails=lambda text: True, name="broken"),
    ]
    with TestClient(create_app(bundles)) as opened:
        yield opened


def infer(client: TestClient, name: str, *tensors: Any, **more: Any) -> Any:
    return client.post(f"/v2/models/{name}/infer", json={"inputs": list(tensors), **more})


def test_the_service_answers_as_by_its_own_protocol(client: TestClient):
    body = infer(client, "intents", tensor("my card is lost", "hi"), id="7").json()
    RESPONSE.validate(body)
    native = client.post("/v1/predict", json={"inputs": ["my card is lost", "hi"]}).json()
    labels = [prediction["label"] for prediction in native["predictions"]]
    assert body["outputs"][0]["data"] == labels
    assert body["model_version"] == native["version"]
    for name, *tensors in (
        ("tagger", tensor("Ada flew to Paris")),
        ("pictures", tensor(fake_image(), name="image")),
        ("pairs", tensor("a"), tensor("b", name="text_pair")),
    ):
        RESPONSE.validate(infer(client, name, *tensors).json())


def test_a_model_describes_itself_so_that_it_can_be_asked(client: TestClient):
    for name in ("intents", "tagger", "pictures", "pairs"):
        told = client.get(f"/v2/models/{name}").json()
        assert told["name"] == name
        assert {"platform", "versions", "inputs", "outputs"} <= set(told)
        for one_tensor in (*told["inputs"], *told["outputs"]):
            assert set(one_tensor) == {"name", "datatype", "shape"}
    told = client.get("/v2/models/pairs").json()
    assert [one_tensor["name"] for one_tensor in told["inputs"]] == ["text", "text_pair"]
    asked = {"outputs": [{"name": one["name"]} for one in told["outputs"]]}
    tensors = [tensor("a", name=one["name"]) for one in told["inputs"]]
    answered = infer(client, "pairs", *tensors, **asked).json()["outputs"]
    assert [one["name"] for one in answered] == [one["name"] for one in told["outputs"]]
    for one_tensor, said in zip(answered, told["outputs"], strict=True):
        assert one_tensor["datatype"] == said["datatype"]
        assert one_tensor["shape"][1:] == said["shape"][1:]


def test_versions_are_kept_apart(client: TestClient):
    [version] = client.get("/v2/models/intents").json()["versions"]
    path = f"/v2/models/intents/versions/{version}"
    assert client.get(path).status_code == client.get(f"{path}/ready").status_code == 200
    assert client.post(f"{path}/infer", json={"inputs": [tensor("a")]}).status_code == 200
    for other in ("/v2/models/intents/versions/1", "/v2/models/nobody"):
        for response in (
            client.get(other),
            client.get(f"{other}/ready"),
            client.post(f"{other}/infer", json={"inputs": [tensor("a")]}),
        ):
            assert response.status_code == 404
            assert list(response.json()) == ["error"]


def test_health_is_a_status_and_the_same_in_json(client: TestClient):
    for path, status, body in (
        ("/v2/health/live", 200, {"live": True}),
        ("/v2/health/ready", 400, {"ready": False}),  # one model is broken
        ("/v2/models/intents/ready", 200, {"name": "intents", "ready": True}),
        ("/v2/models/broken/ready", 400, {"name": "broken", "ready": False}),
    ):
        response = client.get(path)
        assert (response.status_code, response.json()) == (status, body)
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]


def test_every_refusal_has_the_protocols_form(client: TestClient):
    for response, status in (
        (infer(client, "intents", tensor(3)), 422),
        (infer(client, "intents", tensor("")), 422),
        (infer(client, "intents", tensor("a"), parameters={"topk": 1}), 422),
        (infer(client, "intents", tensor("a"), outputs=[{"name": "x"}]), 422),
        (infer(client, "broken", tensor("a")), 503),
        (client.post("/v2/models/intents/infer", content=b"{"), 400),
        (client.get("/v2/models/intents/infer"), 405),
        (client.post("/v2"), 405),
    ):
        assert response.status_code == status, response.text
        assert list(response.json()) == ["error"]
        assert response.headers["content-type"] == "application/json"


def test_the_routes_are_in_the_schema(client: TestClient):
    from openapi_spec_validator import validate

    document = client.get("/openapi.json").json()
    validate(document)
    assert "/v2/models/{name}/infer" in document["paths"]


def test_its_reader_of_bytes_is_the_writers_inverse():
    from modelwright.serve.protocols._tensors import _unpack, to_binary, write_tensor

    @given(st.lists(st.text(), min_size=1, max_size=20))
    def check(texts: list[str]) -> None:
        whole = [text.encode("utf-8", "replace").decode() for text in texts]
        assert _unpack(to_binary(write_tensor("x", whole)), "x") == whole

    check()
