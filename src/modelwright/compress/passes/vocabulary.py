"""Vocabulary: pieces that the data never uses leave the tokenizer and the embedding table.

Kept are the pieces of the training rows and of further inputs, special tokens, every single
character (or byte), and as many of the most common other pieces as asked for. Text whose pieces are
all kept gets the very logits that it got before; other text is cut into smaller pieces. Learnt
positions beyond the longest input that the encoder lets through go, too.

    compress: {passes: [{vocabulary: {positions: false}}, quantize]}
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from modelwright.compress.passes import Material, Pass, Piece

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel

VERSION = 1
REQUIRES = {"torch": "train", "tokenizers": "train"}
CHUNK = 4096


class Config(BaseModel):
    """Options of the pass."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    positions: bool = Field(
        True, description="Also cut positions that no input reaches, by the longest one allowed."
    )


@final
class Vocabulary(Pass):
    """See the module."""

    group: ClassVar[str] = "vocabulary"
    order: ClassVar[int] = 10

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._read: tuple[TrainedModel, Material, set[int]] | None = None

    def misfit(self, model: TrainedModel) -> str:
        from modelwright.compress.cutting import uncuttable
        from modelwright.compress.vocabulary import MODELS, model_type

        encoder: Any = model.encoder
        if model.task.modality != "text":
            return "it reads images"
        kind = model_type(encoder.tokenizer)
        if kind not in MODELS:
            return (
                f"its tokenizer is of the type {kind}, which has no smaller pieces to fall back on"
            )
        return uncuttable(model, "vocabulary")

    def apply(self, piece: Piece, choice: Mapping[str, Any], material: Material) -> Piece:
        """Keep what is used, and the `common` first of the other pieces."""
        from modelwright.compress.gates import family_of
        from modelwright.compress.vocabulary import kept_ids, rewritten
        from modelwright.encoders.text import TextEncoder
        from modelwright.models.checkpoint import TrainedModel

        model = piece.model
        encoder: Any = model.encoder
        network = copy.deepcopy(model.network)
        family = family_of(network.backbone)
        rows = family.word_embeddings(network.backbone).num_embeddings
        below = family.first_position(network.backbone)
        seen = self._seen(model, material) | {encoder.settings.pad_id}
        common = int(choice.get("common", 0))
        kept = [n for n in kept_ids(encoder.tokenizer, seen, common, below) if n < rows]
        family.keep_ids(network.backbone, kept)
        if self.config.positions:
            family.keep_positions(network.backbone, encoder.settings.max_tokens)
        settings = replace(encoder.settings, pad_id=kept.index(encoder.settings.pad_id))
        tokenizer = rewritten(encoder.tokenizer, kept)
        made = TrainedModel(model.task, TextEncoder(tokenizer, settings), network)
        facts = {"kept": len(kept), "before": rows, **_coverage(model, made, material)}
        return Piece(made, facts=facts)

    def _seen(self, model: TrainedModel, material: Material) -> set[int]:
        """Ids of the rows; read once for several choices on one model."""
        if self._read is None or self._read[0] is not model or self._read[1] is not material:
            self._read = model, material, _ids_of_rows(model, material)
        return self._read[2]


def _ids_of_rows(model: TrainedModel, material: Material) -> set[int]:
    """Ids of the training rows and of the further inputs."""
    task, found = model.task, set()
    rows, further = material.rows, material.unlabelled
    for start in range(0, len(rows), CHUNK):
        inputs = [task.example(row) for row in rows[start : start + CHUNK]]
        found.update(_ids(task.encode(inputs, model.encoder)))
    for start in range(0, len(further), CHUNK):
        found.update(_ids(task.encode(further[start : start + CHUNK], model.encoder)))
    return found


def _ids(features: Any) -> set[int]:
    return {int(number) for feature in features for number in feature["input_ids"]}


def _coverage(model: TrainedModel, made: TrainedModel, material: Material) -> dict[str, Any]:
    """The share of the tuning rows that are read as before."""
    from modelwright.compress.proof import coverage

    if not len(material.tuning):
        return {}
    return {"coverage": coverage(model, made, material.tuning)["share"]}
