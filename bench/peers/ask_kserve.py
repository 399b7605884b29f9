"""KServe's REST client, unchanged, at the service's Open Inference Protocol."""

from __future__ import annotations

import asyncio

import httpx
from _checks import EXPECTED, KEY, MODEL, PORT, TEXTS, check, raises, tell
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

URL = f"http://127.0.0.1:{PORT}"
HEADERS = {"Authorization": f"Bearer {KEY}"}
LABELS = [one["label"] for one in EXPECTED]


def client() -> InferenceRESTClient:
    return InferenceRESTClient(RESTConfig(protocol="v2", retries=0))


def request(name: str = MODEL) -> InferRequest:
    inputs = [InferInput(name="text", shape=[len(TEXTS)], datatype="BYTES", data=TEXTS)]
    return InferRequest(model_name=name, infer_inputs=inputs)


def labels(response: object) -> list[str]:
    [found] = [one for one in response.outputs if one.name == "label"]  # type: ignore[attr-defined]
    values = found.as_numpy().reshape(-1).tolist()
    return [one.decode() if isinstance(one, bytes) else one for one in values]


@check
def live_and_ready() -> None:
    async def ask() -> None:
        assert await client().is_server_live(URL)
        assert await client().is_server_ready(URL)
        assert await client().is_model_ready(URL, MODEL, headers=HEADERS)

    asyncio.run(ask())


@check
def answers() -> None:
    async def ask() -> None:
        found = await client().infer(URL, request(), model_name=MODEL, headers=HEADERS)
        assert labels(found) == LABELS
        assert found.model_name == MODEL

    asyncio.run(ask())


@check
def a_model_that_is_not_there() -> None:
    async def ask() -> None:
        await client().infer(URL, request("nobody"), model_name="nobody", headers=HEADERS)

    raises(httpx.HTTPStatusError, lambda: asyncio.run(ask()))


tell("kserve")
