"""A base and a task to an untrained network with its encoder."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from modelwright import plugs
from modelwright.encoders.image import ImageEncoder, ImageSettings
from modelwright.encoders.text import CASING_TYPES, TextEncoder, TextSettings
from modelwright.errors import UserError
from modelwright.models.bases import Base, scratch_sizes
from modelwright.models.checkpoint import TrainedModel
from modelwright.models.network import Network, NetworkSettings, build_backbone, hidden_size
from modelwright.runtime.files import read_json
from modelwright.tasks import Task

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class Shape:
    """What recipe and data decide of a network.

    Attributes:
        max_tokens: longest sequence.
        dropout: None keeps the base's own rates.
        pooling: None keeps the base's own.
        image_size: side in pixels for images; 0 keeps the base's own.
        channels: 1 or 3 for images from scratch.
        vocabulary: pieces of a tokenizer learnt from scratch.
    """

    max_tokens: int = 256
    dropout: float | None = None
    pooling: Literal["mean", "cls"] | None = None
    image_size: int = 0
    channels: int = 3
    vocabulary: int = 8000


def prepare(base: Base, task: Task, shape: Shape, texts: Iterable[str] = ()) -> TrainedModel:
    """Build the network to be trained.

    Args:
        base: where the backbone comes from.
        task: decides the head.
        shape: see `Shape`.
        texts: training texts, read only when a tokenizer must be learnt.
    """
    if task.modality == "image":
        return _prepare_image(base, task, shape)
    tokenizer = _tokenizer(base) if base.folder else learn_tokenizer(texts, shape.vocabulary)
    casing = task.head == "token" and _lower_cases(tokenizer)
    backbone = _text_backbone(base, shape, tokenizer, casing=casing)
    inputs = _text_inputs(backbone)
    limit = int(getattr(backbone.config, "max_position_embeddings", shape.max_tokens) or 512)
    settings = TextSettings(
        max_tokens=min(shape.max_tokens, limit),
        pad_id=int(backbone.config.pad_token_id or 0),
        inputs=inputs,
        casing=casing and "token_type_ids" in inputs,
    )
    network = _network(backbone, base, task, shape, inputs)
    return TrainedModel(task, TextEncoder(tokenizer, settings), network)


def _network(
    backbone: Any, base: Base, task: Task, shape: Shape, inputs: tuple[str, ...]
) -> Network:
    settings = NetworkSettings(
        modality=task.modality,
        head=task.head,
        outputs=task.outputs,
        pooling=shape.pooling or base.pooling,
        dropout=0.1 if shape.dropout is None else shape.dropout,
        inputs=inputs,
    )
    return Network(backbone, settings)


def _text_inputs(backbone: Any) -> tuple[str, ...]:
    import inspect

    accepted = inspect.signature(backbone.forward).parameters
    names = ["input_ids", "attention_mask"]
    types = int(getattr(backbone.config, "type_vocab_size", 0) or 0)
    if "token_type_ids" in accepted and types > 1:
        names.append("token_type_ids")
    return tuple(names)


def _lower_cases(tokenizer: Any) -> bool:
    return tokenizer.encode("Aa", add_special_tokens=False).tokens == tokenizer.encode(
        "aa", add_special_tokens=False
    ).tokens


def _tokenizer(base: Base) -> Any:
    from tokenizers import Tokenizer

    assert_folder = base.folder or Path()
    path = assert_folder / "tokenizer.json"
    if path.is_file():
        return Tokenizer.from_file(str(path))
    from transformers import AutoTokenizer

    try:
        slow = AutoTokenizer.from_pretrained(str(assert_folder), trust_remote_code=False)
        return slow.backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            "MW-302",
            f"the base `{base.id}` has no tokenizer that can be used: {error}",
            expected="a tokenizer.json, or files that transformers converts into one",
            fix="save it with a fast tokenizer of transformers",
        ) from error


def learn_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A WordPiece-style tokenizer from texts: lower-cased words, Chinese by learnt multi-character
    pieces down to single characters.

    Args:
        texts: training texts.
        vocabulary: most pieces.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import UnigramTrainer

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    trainer = UnigramTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        unk_token="[UNK]",
        show_progress=False,
        max_piece_length=8,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.decoder = decoders.Fuse()
    pair = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=pair
    )
    return tokenizer


def _text_backbone(base: Base, shape: Shape, tokenizer: Any, *, casing: bool) -> Any:
    if base.folder is None:
        family = plugs.load("family", scratch_sizes("text")[base.size]).cls
        config = family.config(
            base.size,
            vocab_size=tokenizer.get_vocab_size(),
            pad_token_id=tokenizer.token_to_id("[PAD]"),
        )
        if shape.dropout is not None:
            family.set_dropout(config, shape.dropout)
        backbone: Any = family.build(config)
    else:
        backbone = load_backbone(base.folder, shape.dropout)
    kind = backbone.config.model_type
    if casing and plugs.exists("family", kind):
        family = plugs.load("family", kind).cls
        if family.type_embeddings(backbone) is not None:
            family.grow_types(backbone, CASING_TYPES)
    return backbone


def load_backbone(folder: Path, dropout: float | None) -> Any:
    """A pretrained backbone; weights of heads that are not used are passed over in silence.

    Attention dropout is switched off: with it torch leaves its fast attention kernel.
    """
    from safetensors.torch import load_file
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    if dropout is not None and plugs.exists("family", config.model_type):
        plugs.load("family", config.model_type).cls.set_dropout(config, dropout)
    if hasattr(config, "attention_probs_dropout_prob"):
        config.attention_probs_dropout_prob = 0.0
    backbone = build_backbone(config)
    files = sorted(folder.glob("*.safetensors"))
    state: dict[str, torch.Tensor] = {}
    for path in files:
        state.update(load_file(str(path)))
    _load_matching(backbone, state, str(folder))
    return backbone.float()


def _load_matching(backbone: Any, state: dict[str, torch.Tensor], folder: str) -> None:
    """Load the backbone's weights whatever prefix (`bert.`, `model.`, ...) they were saved under."""
    wanted = backbone.state_dict()
    prefixes = ["", f"{backbone.base_model_prefix}."]
    best: dict[str, torch.Tensor] = {}
    for prefix in prefixes:
        found = {
            name: state[prefix + name]
            for name in wanted
            if prefix + name in state and state[prefix + name].shape == wanted[name].shape
        }
        best = found if len(found) > len(best) else best
    absent = [name for name in wanted if name not in best and "position_ids" not in name]
    if len(absent) > len(wanted) // 10:
        raise UserError(
            "MW-303",
            f"the weights hold only {len(best)} of the backbone's {len(wanted)} tensors",
            expected=f"all of them; first missing: {absent[0]}",
            fix="check that config.json and the weights belong together",
            file=folder,
        )
    for name in absent:
        logging.getLogger(__name__).info("new weights: %s", name)
    backbone.load_state_dict(best, strict=False)


def _prepare_image(base: Base, task: Task, shape: Shape) -> TrainedModel:
    if base.folder is None:
        family = plugs.load("family", scratch_sizes("image")[base.size]).cls
        side = shape.image_size or 64
        config = family.config(base.size, num_channels=shape.channels, **_image_side(family, side))
        backbone = family.build(config)
        middle = (0.5,) * shape.channels
        settings = ImageSettings((side, side), shape.channels, middle, (0.25,) * shape.channels)
    else:
        backbone = load_backbone(base.folder, shape.dropout)
        settings = _processor(base.folder, backbone.config, shape)
    network = _network(backbone, base, task, shape, ("pixel_values",))
    return TrainedModel(task, ImageEncoder(settings), network)


def _image_side(family: Any, side: int) -> dict[str, int]:
    return {"image_size": side} if family.__name__ == "ViT" else {}


def _processor(folder: Path, config: Any, shape: Shape) -> ImageSettings:
    path = folder / "preprocessor_config.json"
    values = read_json(path) if path.is_file() else {}
    size = values.get("size", getattr(config, "image_size", 224))
    if isinstance(size, dict):
        size = size.get("height", size.get("shortest_edge", 224))
    side = shape.image_size or int(size)
    channels = int(getattr(config, "num_channels", 3))
    default = ImageSettings()
    return ImageSettings(
        size=(side, side),
        channels=channels,
        mean=tuple(values.get("image_mean", default.mean))[:channels],
        std=tuple(values.get("image_std", default.std))[:channels],
    )


__all__ = ["Shape", "hidden_size", "learn_tokenizer", "load_backbone", "prepare"]
