"""Triton's HTTP client, unchanged, at the service's Open Inference Protocol."""

from __future__ import annotations

import numpy as np
import tritonclient.http as triton
from _checks import EXPECTED, KEY, MODEL, PORT, TEXTS, check, raises, tell
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(url=f"127.0.0.1:{PORT}", concurrency=4)
LABELS = [one["label"] for one in EXPECTED]


def keyed() -> dict[str, str]:
    """A new one for each call: the client writes its own headers into what it is given."""
    return {"Authorization": f"Bearer {KEY}"}


def asked(*, binary: bool) -> list[triton.InferInput]:
    one = triton.InferInput("text", [len(TEXTS)], "BYTES")
    values = np.array([text.encode() for text in TEXTS], dtype=np.object_)
    one.set_data_from_numpy(values, binary_data=binary)
    return [one]


def labels(result: triton.InferResult) -> list[str]:
    found = result.as_numpy("label").reshape(-1).tolist()
    return [one.decode() if isinstance(one, bytes) else one for one in found]


@check
def live_and_ready() -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL, headers=keyed())
    assert not client.is_model_ready("nobody", headers=keyed())


@check
def metadata() -> None:
    assert client.get_server_metadata(headers=keyed())["name"] == "modelwright"
    told = client.get_model_metadata(MODEL, headers=keyed())
    assert told["name"] == MODEL
    assert told["inputs"][0]["datatype"] == "BYTES"


@check
def binary_in_and_out() -> None:
    result = client.infer(MODEL, asked(binary=True), headers=keyed(), request_id="7")
    assert labels(result) == LABELS
    assert result.get_response()["id"] == "7"
    scores = result.as_numpy("score").reshape(-1)
    assert np.allclose(scores, [one["score"] for one in EXPECTED], atol=1e-4)


@check
def json_in_and_out() -> None:
    outputs = [triton.InferRequestedOutput("label", binary_data=False)]
    result = client.infer(MODEL, asked(binary=False), outputs=outputs, headers=keyed())
    assert labels(result) == LABELS


@check
def outputs_each_in_its_own_way() -> None:
    outputs = [
        triton.InferRequestedOutput("label", binary_data=True),
        triton.InferRequestedOutput("score", binary_data=False),
    ]
    result = client.infer(MODEL, asked(binary=True), outputs=outputs, headers=keyed())
    assert labels(result) == LABELS
    assert len(result.as_numpy("score").reshape(-1)) == len(TEXTS)


@check
def packed_in_and_out() -> None:
    result = client.infer(
        MODEL, asked(binary=True), headers=keyed(),
        request_compression_algorithm="gzip", response_compression_algorithm="gzip",
    )  # fmt: skip
    assert labels(result) == LABELS


@check
def many_at_once() -> None:
    running = [client.async_infer(MODEL, asked(binary=True), headers=keyed()) for _ in range(16)]
    for one in running:
        assert labels(one.get_result()) == LABELS


@check
def refusals_are_its_own_errors() -> None:
    error = raises(
        InferenceServerException,
        lambda: client.infer("nobody", asked(binary=True), headers=keyed()),
    )
    assert "nobody" in str(error)
    raises(InferenceServerException, lambda: client.infer(MODEL, asked(binary=True)))  # no key


tell("tritonclient")
