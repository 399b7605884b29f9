"""Tiny bases in folders, as transformers saves them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 64,
}
ROBERTA: dict[str, Any] = {
    "type_vocab_size": 1,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
PIXELS: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "image_size": 16, "patch_size": 4,
}  # fmt: skip
SHORT: dict[str, Any] = {**SHAPE, "max_position_embeddings": 34}
DISTILLED: dict[str, Any] = {
    "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "vocab_size": 64,
    "max_position_embeddings": 32,
}  # fmt: skip
MODERN: dict[str, Any] = {
    **SHAPE, "pad_token_id": 63, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2,
    "sep_token_id": 3,
}  # fmt: skip
CONVOLUTIONS: dict[str, Any] = {
    "embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic",
}  # fmt: skip
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertForMaskedLM", "BertConfig", SHAPE),
    "bert-bare": ("BertModel", "BertConfig", SHAPE),
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", {**SHORT, **ROBERTA}),
    "xlm-roberta": ("XLMRobertaForMaskedLM", "XLMRobertaConfig", {**SHORT, **ROBERTA}),
    "mpnet": ("MPNetForMaskedLM", "MPNetConfig", {**SHORT, "pad_token_id": 1}),
    "distilbert": ("DistilBertForMaskedLM", "DistilBertConfig", DISTILLED),
    "electra": ("ElectraForMaskedLM", "ElectraConfig", {**SHAPE, "embedding_size": 16}),
    "albert": ("AlbertForMaskedLM", "AlbertConfig", {**SHAPE, "embedding_size": 16}),
    "modernbert": ("ModernBertForMaskedLM", "ModernBertConfig", MODERN),
    "vit": ("ViTForImageClassification", "ViTConfig", PIXELS),
    "resnet": ("ResNetForImageClassification", "ResNetConfig", CONVOLUTIONS),
}
TEXT_KINDS = [name for name in KINDS if name not in {"vit", "resnet"}]


def tiny_tokenizer(
    special: tuple[str, str, str, str] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
) -> Tokenizer:
    words = ["my", "card", "is", "lost", "where", "refund", "please", "i", "want", "money", "back"]
    vocabulary = {name: number for number, name in enumerate([*special, *words, *"abcde"])}
    tokenizer: Any = Tokenizer(models.WordPiece(vocabulary, unk_token=special[1]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{special[2]} $A {special[3]}",
        pair=f"{special[2]} $A {special[3]} $B:1 {special[3]}:1",
        special_tokens=[(special[2], 2), (special[3], 3)],
    )
    return tokenizer


def save_base(kind: str, folder: Path) -> Any:
    """Save a tiny base of a kind with its tokenizer; the model itself."""
    import torch
    import transformers

    model_name, config_name, values = KINDS[kind]
    torch.manual_seed(0)
    model = getattr(transformers, model_name)(getattr(transformers, config_name)(**values)).eval()
    logging = transformers.utils.logging
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    if kind in TEXT_KINDS:
        tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return model


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str], tuple[Path, Any]]:
    """Save a tiny base of a kind: its folder and the model as transformers has it."""

    def make(kind: str) -> tuple[Path, Any]:
        folder = tmp_path / kind
        return folder, save_base(kind, folder)

    return make


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT, saved once; copy it before changing anything in it."""
    folder = tmp_path_factory.mktemp("bases") / "bert"
    save_base("bert", folder)
    return folder


CLASSIFIERS: dict[str, dict[str, Any]] = {
    "Bert": SHAPE,
    "Roberta": {**SHORT, **ROBERTA},
    "XLMRoberta": {**SHORT, **ROBERTA},
    "Electra": {**SHAPE, "embedding_size": 16},
    "DistilBert": DISTILLED,
    "ViT": PIXELS,
    "DeiT": PIXELS,
    "ResNet": CONVOLUTIONS,
}


@pytest.fixture
def save_classifier() -> Callable[..., Any]:
    """Save a random classifier of transformers with what reads its inputs; the model itself."""
    import torch
    import transformers

    def make(name: str, folder: Path, labels: tuple[str, ...], **values: Any) -> Any:
        kind = name.split("For", maxsplit=1)[0]
        config = getattr(transformers, f"{kind}Config")(
            **CLASSIFIERS[kind],
            id2label=dict(enumerate(labels)),
            label2id={label: number for number, label in enumerate(labels)},
            **values,
        )
        torch.manual_seed(0)
        model = getattr(transformers, name)(config).eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.05 * torch.randn_like(weight))
        transformers.utils.logging.disable_progress_bar()
        model.save_pretrained(folder)
        if "pixel" in model.main_input_name:
            settings = {"size": {"height": 16, "width": 16}, "image_mean": [0.5] * 3}
            (folder / "preprocessor_config.json").write_text(json.dumps(settings))
        else:
            roberta = ("<s>", "<pad>", "</s>", "<unk>")
            special = roberta if "Roberta" in kind else ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
            tiny_tokenizer(special).save(str(folder / "tokenizer.json"))
        return model

    return make
