"""A base and a task to an untrained network with its encoder."""

from __future__ import annotations

import inspect
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch

from modelwright import plugs
from modelwright.encoders.image import ImageEncoder, ImageSettings
from modelwright.encoders.text import CASING_TYPES, TextEncoder, TextSettings
from modelwright.errors import UserError
from modelwright.models.bases import Base, scratch_sizes
from modelwright.models.checkpoint import TrainedModel
from modelwright.models.heads import take_over_head
from modelwright.models.network import (
    Network,
    NetworkSettings,
    backbone_class,
    hidden_size,
    without_pooler,
)
from modelwright.runtime.files import read_json
from modelwright.tasks import Task

MOST_TEXTS = 500_000
"""A tokenizer is learnt from no more texts than these."""
VOCABULARY_FILES = ("vocab.txt", "vocab.json", "tokenizer_config.json", "*.model")
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
        normal: normalisation of whole texts, as the training rows had it.
    """

    max_tokens: int = 256
    dropout: float | None = None
    pooling: Literal["mean", "cls"] | None = None
    image_size: int = 0
    channels: int = 3
    vocabulary: int = 8000
    normal: dict[str, bool] | None = None


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
    tokenizer = open_tokenizer(base) if base.folder else learn_tokenizer(texts, shape.vocabulary)
    backbone = _text_backbone(base, shape, tokenizer)
    casing = task.head == "token" and _lower_cases(tokenizer) and _grow_types(backbone)
    inputs = text_inputs(backbone)
    settings = TextSettings(
        max_tokens=min(shape.max_tokens, longest_input(backbone) or shape.max_tokens),
        pad_id=int(backbone.config.pad_token_id or 0),
        inputs=inputs,
        casing=casing,
        normal=shape.normal,
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
    network = Network(backbone, settings)
    if base.folder is not None:
        take_over_head(base.folder, network.head, task.spec.labels)
    return network


def longest_input(backbone: Any) -> int:
    """Tokens that the positions reach; 0 where there is no such limit.

    Some families (RoBERTa and its kin) count positions from behind the padding's, so that of 514
    positions 512 can be used.
    """
    positions = int(getattr(backbone.config, "max_position_embeddings", 0) or 0)
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return positions if padding is None else positions - padding - 1


def text_inputs(backbone: Any) -> tuple[str, ...]:
    """Names of the inputs that a backbone reads of a text."""
    accepted = inspect.signature(backbone.forward).parameters
    names = ["input_ids", "attention_mask"]
    types = int(getattr(backbone.config, "type_vocab_size", 0) or 0)
    if "token_type_ids" in accepted and types > 1:
        names.append("token_type_ids")
    return tuple(names)


def _lower_cases(tokenizer: Any) -> bool:
    return (
        tokenizer.encode("Aa", add_special_tokens=False).tokens
        == tokenizer.encode("aa", add_special_tokens=False).tokens
    )


def open_tokenizer(base: Base) -> Any:
    """The tokenizer of a base with files.

    Raises:
        UserError: MW-302 when it has none that can be used, MW-303 when it is damaged.
    """
    from tokenizers import Tokenizer

    folder = base.folder or Path()
    path = folder / "tokenizer.json"
    if path.is_file():
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise _damaged(base.id, f"tokenizer.json cannot be read: {error}", path) from error
    from transformers import AutoTokenizer

    try:
        if not any(list(folder.glob(name)) for name in VOCABULARY_FILES):
            raise ValueError("its folder holds no vocabulary")
        with quiet():
            slow = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        return slow.backend_tokenizer
    except (OSError, ValueError, AttributeError, ImportError) as error:
        raise UserError(
            "MW-302",
            f"the base `{base.id}` has no tokenizer that can be used: {error}",
            expected="a tokenizer.json, or files that transformers converts into one",
            fix="save it with a fast tokenizer of transformers",
        ) from error


def learn_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A tokenizer from texts, the same one every time: lower-cased words in learnt pieces, Chinese
    by pieces of several characters down to single ones.

    Args:
        texts: training texts, of which the first `MOST_TEXTS` are read.
        vocabulary: most pieces; more where the texts hold more different characters.
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
    sample = list(islice(texts, MOST_TEXTS))
    letters = {letter for text in sample for letter in tokenizer.normalizer.normalize_str(text)}
    trainer = UnigramTrainer(
        vocab_size=max(vocabulary, len(letters) + len(SPECIAL) + 1),
        special_tokens=list(SPECIAL),
        unk_token="[UNK]",
        show_progress=False,
        max_piece_length=8,
    )
    tokenizer.train_from_iterator(sample, trainer)
    _settle(tokenizer, sample)
    tokenizer.decoder = decoders.Fuse()
    pair = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=pair
    )
    return tokenizer


def _settle(tokenizer: Any, texts: list[str]) -> None:
    """Give the learnt pieces one order and one score, in place.

    The trainer sums in the random order of its hash tables: pieces get other ids in every process
    and scores differ in the last digits. So pieces are sorted, and each is scored by how often the
    best cut under the rounded scores uses it.
    """
    from tokenizers.models import Unigram

    learnt = {
        piece: round(score, 2)
        for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]
        if piece not in SPECIAL
    }
    pieces = [*SPECIAL, *sorted(learnt)]
    unknown = SPECIAL.index("[UNK]")
    tokenizer.model = Unigram([(piece, learnt.get(piece, 0.0)) for piece in pieces], unknown)
    used: Counter[int] = Counter()
    for start in range(0, len(texts), 10_000):
        for encoding in tokenizer.encode_batch_fast(texts[start : start + 10_000]):
            used.update(encoding.ids)
    total = max(1, used.total())
    scores = [math.log(max(used[number], 0.5) / total) for number in range(len(pieces))]
    scores[: len(SPECIAL)] = [0.0] * len(SPECIAL)
    tokenizer.model = Unigram(list(zip(pieces, scores, strict=True)), unknown)


def _text_backbone(base: Base, shape: Shape, tokenizer: Any) -> Any:
    if base.folder is None:
        family = plugs.load("family", scratch_sizes("text")[base.size]).cls
        config = family.config(
            base.size,
            vocab_size=tokenizer.get_vocab_size(),
            pad_token_id=tokenizer.token_to_id("[PAD]"),
        )
        if shape.dropout is not None:
            family.set_dropout(config, shape.dropout)
        return family.build(config)
    return load_backbone(base.folder, shape.dropout)


def _grow_types(backbone: Any) -> bool:
    """Make room for word shapes among the token types, in place, where the family knows how."""
    kind = backbone.config.model_type
    if not plugs.exists("family", kind):
        return False
    family = plugs.load("family", kind).cls
    if family.type_embeddings(backbone) is None:
        return False
    family.grow_types(backbone, CASING_TYPES)
    return True


def load_backbone(folder: Path, dropout: float | None) -> Any:
    """A pretrained backbone; weights of heads that are not used are passed over in silence.

    transformers reads the weights, since it knows the older names of tensors and the prefixes
    (`bert.`, `model.`, ...) under which they were saved. Attention dropout is switched off: with
    it torch leaves its fast attention kernel.

    Raises:
        UserError: MW-302 for an unknown architecture, MW-303 for damaged or foreign weights.
    """
    config = _config(folder)
    if dropout is not None and plugs.exists("family", config.model_type):
        plugs.load("family", config.model_type).cls.set_dropout(config, dropout)
    for name in ("attention_probs_dropout_prob", "attention_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    kind = backbone_class(config)
    try:
        with quiet():
            backbone, report = kind.from_pretrained(
                str(folder),
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **without_pooler(kind),
            )
    except Exception as error:  # whatever the file's damage made the reader raise
        raise _damaged(str(folder), f"the weights cannot be read: {error}", folder) from error
    absent, wanted = sorted(report["missing_keys"]), len(backbone.state_dict())
    if len(absent) > wanted // 10:
        why = f"{len(absent)} of the backbone's {wanted} tensors are missing, first {absent[0]}"
        raise _damaged(str(folder), why, folder)
    return backbone


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        with quiet():
            return AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "MW-302",
            f"transformers does not know what config.json describes: {str(error).splitlines()[0]}",
            expected="an architecture of the installed transformers",
            fix="choose another base, or upgrade transformers",
            file=str(folder / "config.json"),
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing bars and load reports; problems are raised, not printed."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _damaged(name: str, why: str, path: Path) -> UserError:
    return UserError(
        "MW-303",
        f"the base `{name}` is damaged: {why}",
        expected="config.json, tokenizer and whole .safetensors weights that belong together",
        fix="fetch or save the base again",
        file=str(path),
    )


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
        settings = image_settings(base.folder, backbone.config, shape)
        _check_side(base, backbone.config, settings.size[0])
    network = _network(backbone, base, task, shape, ("pixel_values",))
    return TrainedModel(task, ImageEncoder(settings), network)


def _check_side(base: Base, config: Any, side: int) -> None:
    """Patches have learnt positions: their number is fixed. Convolutions take any size."""
    own = getattr(config, "image_size", None)
    if getattr(config, "patch_size", None) and isinstance(own, int) and own != side:
        raise UserError(
            "MW-302",
            f"the base `{base.id}` reads images of {own} x {own} pixels, not {side} x {side}",
            expected=f"finetune.image_size: {own}, or a convolutional base",
            fix=f"--set finetune.image_size={own}",
        )


def _image_side(family: Any, side: int) -> dict[str, int]:
    return {"image_size": side} if family.patches else {}


def image_settings(folder: Path, config: Any, shape: Shape) -> ImageSettings:
    """How a base in a folder reads images."""
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


__all__ = [
    "Shape", "hidden_size", "image_settings", "learn_tokenizer", "load_backbone", "open_tokenizer",
    "prepare", "quiet", "text_inputs",
]  # fmt: skip
