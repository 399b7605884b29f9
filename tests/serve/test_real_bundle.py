"""A packaged model answers through the service as it does offline, whoever asks beside it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from modelwright.engines import Bundle
from modelwright.serve import create_app

TEXTS = [
    "please close my account",
    "where is my parcel? it was due on Monday and I have heard nothing from anybody since",
    "gift card",
    "refund? " * 40,
]


@pytest.mark.slow
def test_served_answers_are_the_offline_ones_for_every_variant(tiny_bundle: Path):
    names = [one["name"] for one in Bundle.open(tiny_bundle).manifest["variants"]]
    assert len(names) > 1
    for name in names:
        bundle = Bundle.open(tiny_bundle, variant=name, threads=1)
        expected = [bundle.predict([text])[0] for text in TEXTS]

        async def ask(bundle: Bundle = bundle) -> list[httpx.Response]:
            transport = httpx.ASGITransport(create_app([bundle]))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
                lists = [TEXTS[place:] for place in range(len(TEXTS))] * 6
                asked = {"parameters": {"scores": True}}
                posts = [http.post("/v1/predict", json={"inputs": one, **asked}) for one in lists]
                return await asyncio.gather(*posts)

        for place, response in enumerate(asyncio.run(ask())):
            for given, alone in zip(
                response.json()["predictions"], expected[place % len(TEXTS) :], strict=True
            ):
                assert given["label"] == alone["label"]
                assert given["scores"] == pytest.approx(alone["scores"], abs=1e-4)
