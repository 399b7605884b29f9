"""OpenAI's own client, unchanged, at the service's embeddings."""

from __future__ import annotations

import asyncio
import math

import openai
from _checks import KEY, MODEL, PORT, TEXTS, check, raises, tell

URL = f"http://127.0.0.1:{PORT}/v1"
client = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0)


@check
def vectors_in_its_own_way() -> None:
    found = client.embeddings.create(model=MODEL, input=TEXTS)  # it asks for base64
    assert [one.index for one in found.data] == list(range(len(TEXTS)))
    assert found.model == MODEL
    assert found.usage.prompt_tokens == found.usage.total_tokens > 0
    for one in found.data:
        assert math.isclose(math.sqrt(sum(x * x for x in one.embedding)), 1.0, rel_tol=1e-4)


@check
def floats_and_base64_are_the_same() -> None:
    packed = client.embeddings.create(model=MODEL, input=TEXTS)
    plain = client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        assert max(abs(a - b) for a, b in zip(one.embedding, other.embedding, strict=True)) < 1e-6


@check
def one_text_and_dimensions() -> None:
    one = client.embeddings.create(model=MODEL, input=TEXTS[0], encoding_format="float")
    width = len(one.data[0].embedding)
    client.embeddings.create(model=MODEL, input=TEXTS[0], dimensions=width, user="somebody")
    error = raises(
        openai.UnprocessableEntityError,
        lambda: client.embeddings.create(model=MODEL, input=TEXTS[0], dimensions=width + 1),
    )
    assert error.param == "dimensions", error.param


@check
def a_model_that_is_not_there() -> None:
    error = raises(
        openai.NotFoundError, lambda: client.embeddings.create(model="nobody", input="a")
    )
    assert (error.code, error.param) == ("MW-703", "model")


@check
def numbers_of_tokens_are_refused_with_the_reason() -> None:
    error = raises(
        openai.UnprocessableEntityError,
        lambda: client.embeddings.create(model=MODEL, input=[[1, 2, 3]]),
    )
    assert "texts" in error.message


@check
def a_wrong_key() -> None:
    other = openai.OpenAI(base_url=URL, api_key="mw_a_b", max_retries=0)
    error = raises(
        openai.AuthenticationError, lambda: other.embeddings.create(model=MODEL, input="a")
    )
    assert error.type == "authentication_error"


@check
def the_models() -> None:
    assert MODEL in [one.id for one in client.models.list()]


@check
def many_at_once_without_blocking() -> None:
    async def ask() -> None:
        async with openai.AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0) as other:
            asked = (other.embeddings.create(model=MODEL, input=text) for text in TEXTS * 8)
            found = await asyncio.gather(*asked)
            assert len(found) == 8 * len(TEXTS)

    asyncio.run(ask())


tell("openai")
