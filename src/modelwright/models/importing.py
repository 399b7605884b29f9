"""Trained models from folders that users have: a bundle, a checkpoint, a classifier of transformers.

bundle.json  ─▶ its torch variant, with its own encoder and task
network.json ─▶ a checkpoint of ours
config.json  ─▶ a classifier as `save_pretrained` of transformers wrote it: backbone, the dense
                layer before its head where it has one, head, and labels (`id2label`)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from modelwright import plugs
from modelwright.artifacts.bundle import MANIFEST, read_bundle
from modelwright.encoders import open_encoder
from modelwright.encoders.image import ImageEncoder
from modelwright.encoders.text import TextEncoder, TextSettings
from modelwright.errors import UserError
from modelwright.models.bases import Base, resolve
from modelwright.models.checkpoint import TrainedModel, open_checkpoint, open_network
from modelwright.models.network import Network, NetworkSettings
from modelwright.models.preparing import (
    Shape,
    image_settings,
    longest_input,
    open_tokenizer,
    quiet,
    text_inputs,
)
from modelwright.runtime.files import read_json
from modelwright.tasks import Task, TaskSpec, restore_task


@dataclass(frozen=True)
class Head:
    """Where a classifier of transformers keeps what is above its backbone.

    Attributes:
        final: the last linear layer.
        dense: the layer before it, if any, and its activation.
    """

    final: str = "classifier"
    dense: str = ""
    activation: Literal["", "tanh", "relu", "gelu"] = ""


_ROBERTA = Head("classifier.out_proj", "classifier.dense", "tanh")
HEADS: dict[str, dict[str, Head]] = {
    "text-classification": {
        "BertForSequenceClassification": Head(dense="bert.pooler.dense", activation="tanh"),
        "RobertaForSequenceClassification": _ROBERTA,
        "XLMRobertaForSequenceClassification": _ROBERTA,
        "ElectraForSequenceClassification": Head(_ROBERTA.final, _ROBERTA.dense, "gelu"),
        "DistilBertForSequenceClassification": Head(dense="pre_classifier", activation="relu"),
    },
    "token-classification": {
        "BertForTokenClassification": Head(),
        "RobertaForTokenClassification": Head(),
        "XLMRobertaForTokenClassification": Head(),
        "ElectraForTokenClassification": Head(),
        "DistilBertForTokenClassification": Head(),
    },
    "image-classification": {
        "ViTForImageClassification": Head(),
        "DeiTForImageClassification": Head(),
        "ResNetForImageClassification": Head("classifier.1"),
    },
}
"""By task, then by the class that `architectures` of config.json names."""


def open_model(
    folder: Path, task: str, options: Mapping[str, Any]
) -> tuple[TrainedModel, dict[str, Any]]:
    """A trained model from a bundle, a checkpoint, or a classifier of transformers.

    Args:
        folder: the user's.
        task: the task's name.
        options: the task's, for a classifier of transformers.

    Returns:
        The model in evaluation mode, and its `training.json` ({} where there is none).

    Raises:
        UserError: MW-301 for another kind of folder, MW-302 for another task, MW-605 for a bundle
            without a torch variant; as `import_classifier`.
    """
    if (folder / MANIFEST).is_file():
        return _fitting(_from_bundle(folder), task, folder), {}
    if (folder / "network.json").is_file():
        path = folder / "training.json"
        training = read_json(path) if path.is_file() else {}
        return _fitting(open_checkpoint(folder), task, folder), training
    if (folder / "config.json").is_file():
        return import_classifier(folder, task, options), {}
    raise UserError(
        "MW-301",
        f"there is no model in {folder}",
        expected="a bundle, a checkpoint, or a folder as `save_pretrained` of transformers writes",
        fix="name the folder that holds bundle.json, network.json or config.json",
        file=str(folder),
    )


def _fitting(model: TrainedModel, task: str, folder: Path) -> TrainedModel:
    if model.task.name != task:
        raise UserError(
            "MW-302",
            f"the model was trained for {model.task.name}, the recipe's task is {task}",
            expected=f"task: {model.task.name}, or another model",
            fix=f"write `task: {model.task.name}`",
            file=str(folder),
        )
    return model


def _from_bundle(folder: Path) -> TrainedModel:
    manifest = read_bundle(folder)
    name = next((e["name"] for e in manifest["variants"] if e["engine"] == "torch"), None)
    if name is None:
        raise UserError(
            "MW-605",
            "the bundle has no torch variant, and other forms cannot be cut or taught",
            expected="a bundle packaged with the format torch",
            fix="package it again with `package: {formats: [torch]}`, or name the checkpoint",
            file=str(folder),
        )
    place, task = folder / "variants" / name, restore_task(manifest["task_spec"])
    shared = "processor" if task.modality == "image" else "tokenizer"
    own = place / shared
    encoder = open_encoder(own if own.is_dir() else folder / shared)
    return TrainedModel(task, encoder, open_network(place))


# -- transformers -----------------------------------------------------------------------------------
def import_classifier(folder: Path, task: str, options: Mapping[str, Any]) -> TrainedModel:
    """A classifier as transformers saved it; its logits stay what they are there.

    Args:
        folder: config.json, weights in safetensors, and tokenizer or image processor.
        task: the task's name.
        options: the task's.

    Raises:
        UserError: MW-302 when its class does not fit the task, MW-303 when files are damaged,
            MW-304 when it wants code of its own.
    """
    plug = plugs.load("task", task)
    base = resolve(str(folder.resolve()), plug.cls.modality, Path())
    name, head = _head(base, task)
    model = _load(base, name)
    config = model.config
    network = _network(model, head, plug.cls)
    labels = tuple(str(config.id2label[number]) for number in sorted(config.id2label))
    several = config.problem_type == "multi_label_classification"
    spec = TaskSpec(labels=labels, multi_label=several, options=dict(options))
    return TrainedModel(plug.cls(spec), _encoder(base, network), network.eval())


def _head(base: Base, task: str) -> tuple[str, Head]:
    """The class that the configuration names, and where its head is."""
    names, known = base.config.get("architectures") or [], HEADS.get(task, {})
    name = next((name for name in names if name in known), None)
    if name is not None and not _is_regression(base.config):
        return name, known[name]
    seen = "a regression" if name is not None else ", ".join(names) or "no architecture"
    raise UserError(
        "MW-302",
        f"its config.json names {seen}, from which no {task} model can be taken",
        expected=f"one of: {', '.join(known) or 'a task with labels'}",
        fix="train it with `base:` instead of `compress.model`; the backbone is then used",
        file=str(base.folder),
    )


def _is_regression(config: Mapping[str, Any]) -> bool:
    labels = config.get("id2label")
    return config.get("problem_type") == "regression" or (labels is not None and len(labels) == 1)


def _load(base: Base, name: str) -> Any:
    import transformers

    try:
        with quiet():
            model, report = getattr(transformers, name).from_pretrained(
                str(base.folder),
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # whatever the file's damage made the reader raise
        raise _damaged(base, str(error).splitlines()[0]) from error
    if absent := sorted(report["missing_keys"]):
        raise _damaged(base, f"{len(absent)} tensors are missing, first {absent[0]}")
    return model


def _damaged(base: Base, why: str) -> UserError:
    return UserError(
        "MW-303",
        f"the classifier's weights cannot be used: {why}",
        expected="the whole model with its head, as `save_pretrained` of transformers writes it",
        fix="save it again with `model.save_pretrained(FOLDER)`",
        file=str(base.folder),
    )


def _network(model: Any, head: Head, task: type[Task]) -> Network:
    """Our network of the model's own parts."""
    final = model.get_submodule(head.final)
    dense = model.get_submodule(head.dense) if head.dense else None
    backbone = model.base_model
    if getattr(backbone, "pooler", None) is not None and task.modality == "text":
        backbone.pooler = None
    first = task.modality == "text" or hasattr(backbone.config, "num_hidden_layers")
    settings = NetworkSettings(
        modality=task.modality,
        head=task.head,
        outputs=final.out_features,
        pooling="cls" if first else "mean",
        inputs=("pixel_values",) if task.modality == "image" else text_inputs(backbone),
        projection=head.activation,
    )
    network = Network(backbone, settings)
    network.head.load_state_dict(final.state_dict())
    if dense is not None:
        network.projection.load_state_dict(dense.state_dict())
    return network


def _encoder(base: Base, network: Network) -> TextEncoder | ImageEncoder:
    backbone: Any = network.backbone
    if network.settings.modality == "image":
        assert base.folder is not None, "a classifier has files"  # noqa: S101
        return ImageEncoder(image_settings(base.folder, backbone.config, Shape()))
    settings = TextSettings(
        max_tokens=longest_input(backbone) or Shape.max_tokens,
        pad_id=int(backbone.config.pad_token_id or 0),
        inputs=network.settings.inputs,
    )
    return TextEncoder(open_tokenizer(base), settings)
