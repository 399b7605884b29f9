"""Our side of bench/serving.py, one step a process; prints one JSON object.

hand     a bundle's int8 graph and its fine-tuned encoder as folders that peers can serve
rate     rows a second that the engine answers in this process, all texts in one call
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

from modelwright.artifacts.bundle import read_bundle
from modelwright.engines import Bundle
from modelwright.models.checkpoint import open_network

ROUNDS = 3
INT8 = "onnx-int8"


def main() -> None:
    """Parse and do one thing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("kind", choices=["hand", "rate"])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--variant", help="the default when not given")
    parser.add_argument("--to", type=Path)
    parser.add_argument("--texts", type=Path, help="JSON list")
    options = parser.parse_args()
    print(json.dumps({"hand": hand, "rate": rate}[options.kind](options)))


def hand(options: argparse.Namespace) -> dict[str, str]:
    """Write `model/` (the int8 file) and `plain/` (a folder as transformers saves it)."""
    bundle, folder = options.bundle, options.to
    variants = {one["name"]: one for one in read_bundle(bundle)["variants"]}
    model, plain = folder / "model", folder / "plain"
    model.mkdir(parents=True, exist_ok=True)
    shutil.copy(bundle / "variants" / options.variant / "model.onnx", model)
    shutil.copy(bundle / "tokenizer" / "tokenizer.json", model)
    opened = Bundle.open(bundle, options.variant)
    labels = list(opened.task.spec.labels)
    opened.close()
    (model / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    torch = next(name for name, one in variants.items() if one["engine"] == "torch")
    _plain(bundle, torch, labels, plain)
    return {"model": str(model), "plain": str(plain)}


def _plain(bundle: Path, variant: str, labels: list[str], folder: Path) -> None:
    """The encoder's weights under transformers' classification head (its pooler is new)."""
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    network: Any = open_network(bundle / "variants" / variant)
    encoder: Any = Bundle.open(bundle, INT8).encoder
    names = dict(enumerate(labels))
    network.backbone.config.id2label = names
    network.backbone.config.label2id = {label: number for number, label in names.items()}
    whole: Any = AutoModelForSequenceClassification.from_config(network.backbone.config)
    whole.base_model.load_state_dict(network.backbone.state_dict(), strict=False)
    whole.classifier.load_state_dict(network.head.state_dict())
    whole.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=encoder.tokenizer, pad_token="[PAD]", unk_token="[UNK]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"  # a name that releases before 5 know, too
    told = json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(told))


def rate(options: argparse.Namespace) -> dict[str, Any]:
    """Rows a second, the best of a few rounds, and what was run."""
    texts = json.loads(options.texts.read_text(encoding="utf-8"))
    bundle = Bundle.open(options.bundle, options.variant)
    bundle.predict(texts)
    best = 0.0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        bundle.predict(texts)
        best = max(best, len(texts) / (time.perf_counter() - started))
    found = {"per_second": best, "variant": bundle.variant["name"]}
    bundle.close()
    return found


if __name__ == "__main__":
    main()
