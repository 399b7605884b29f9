"""Models from folders that users have: the same answers as where they came from."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelwright.errors import UserError
from modelwright.models.checkpoint import TrainedModel, open_checkpoint
from modelwright.models.importing import HEADS, import_classifier, open_model
from modelwright.models.network import total

TEXT, TOKENS, IMAGES = "text-classification", "token-classification", "image-classification"
CLASSES = ("refund", "lost_card", "greeting")
TAGS = ("O", "B-LOC", "I-LOC")
SENTENCES = ["my card is lost", "where is my refund please", "abc", "i want money back " * 3]


def answers(model: Any, imported: TrainedModel, feature: dict[str, Any]) -> np.ndarray:
    """What transformers' own model says to a feature."""
    arrays = imported.collate([feature])
    with torch.inference_mode():
        return model(**{k: torch.from_numpy(v) for k, v in arrays.items()}).logits[0].numpy()


def inputs_of(task: str) -> list[Any]:
    if task != IMAGES:
        return list(SENTENCES)
    from PIL import Image

    found = []
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 16, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        found.append(file.getvalue())
    return found


@pytest.mark.parametrize(("task", "name"), [(t, n) for t, names in HEADS.items() for n in names])
def test_a_classifier_answers_as_transformers_does(
    save_classifier: Callable[..., Any], task: str, name: str, tmp_path: Path
) -> None:
    labels = TAGS if task == TOKENS else CLASSES
    theirs = save_classifier(name, tmp_path / "theirs", labels)
    ours = import_classifier(tmp_path / "theirs", task, {})
    assert ours.task.name == task
    assert ours.task.spec.labels == labels
    features = ours.task.encode(inputs_of(task), ours.encoder)
    for feature, logits in zip(features, ours.logits(features), strict=True):
        assert np.abs(logits - answers(theirs, ours, feature)).max() < 1e-5
    ours.save(tmp_path / "ours")
    again = open_checkpoint(tmp_path / "ours")
    assert all(map(np.array_equal, again.logits(features), ours.logits(features)))
    assert total(again.network) <= total(theirs)


def test_of_a_base_without_projection_nothing_changes(
    save_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    save_classifier("BertForTokenClassification", tmp_path, TAGS)
    network = import_classifier(tmp_path, TOKENS, {}).network
    assert not any("projection" in name for name in network.state_dict())
    assert network.settings.projection == ""


def test_several_labels_a_row_are_told_by_the_configuration(
    save_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    save_classifier(
        "BertForSequenceClassification",
        tmp_path,
        CLASSES,
        problem_type="multi_label_classification",
    )
    assert import_classifier(tmp_path, TEXT, {}).task.spec.multi_label


def test_a_projection_learns_with_the_head(
    save_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    save_classifier("RobertaForSequenceClassification", tmp_path, CLASSES)
    network = import_classifier(tmp_path, TEXT, {}).network.train()
    ids = torch.tensor([[0, 5, 6, 2]])
    network(input_ids=ids, attention_mask=torch.ones_like(ids)).square().sum().backward()
    assert network.projection.weight.grad is not None
    assert bool(network.projection.weight.grad.abs().sum() > 0)


@pytest.mark.parametrize(
    ("name", "task", "code", "said"),
    [
        ("BertForTokenClassification", TEXT, "MW-302", "names BertForTokenClassification"),
        ("BertForMaskedLM", TEXT, "MW-302", "BertForSequenceClassification"),
        ("ViTForImageClassification", TEXT, "MW-302", "reads images"),
    ],
)
def test_another_kind_of_model_is_refused_with_what_would_do(
    save_classifier: Callable[..., Any], name: str, task: str, code: str, said: str, tmp_path: Path
) -> None:
    save_classifier(name, tmp_path, CLASSES)
    with pytest.raises(UserError) as caught:
        import_classifier(tmp_path, task, {})
    assert caught.value.problem.code == code
    assert said in str(caught.value)


def test_a_regression_is_refused(save_classifier: Callable[..., Any], tmp_path: Path) -> None:
    save_classifier("BertForSequenceClassification", tmp_path, ("score",))
    with pytest.raises(UserError, match=r"MW-302.*regression"):
        import_classifier(tmp_path, TEXT, {})


def test_a_classifier_without_its_head_is_refused(
    save_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    save_classifier("BertForSequenceClassification", tmp_path, CLASSES)
    path = tmp_path / "model.safetensors"
    weights = {k: v for k, v in load_file(str(path)).items() if not k.startswith("classifier")}
    save_file(weights, str(path), metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"MW-303.*classifier\.bias"):
        import_classifier(tmp_path, TEXT, {})


def test_damaged_weights_are_refused(save_classifier: Callable[..., Any], tmp_path: Path) -> None:
    save_classifier("BertForSequenceClassification", tmp_path, CLASSES)
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(UserError, match=r"MW-303"):
        import_classifier(tmp_path, TEXT, {})


# -- any of a user's folders ------------------------------------------------------------------------
def test_a_bundle_a_checkpoint_and_a_classifier_open_alike(
    save_classifier: Callable[..., Any],
    tiny_bundle: Path,
    checkpoint: Path,
    trained: TrainedModel,
    tmp_path: Path,
) -> None:
    from_bundle, no_training = open_model(tiny_bundle, TEXT, {})
    from_checkpoint, training = open_model(checkpoint, TEXT, {})
    features = trained.task.encode(SENTENCES, trained.encoder)
    for found in (from_bundle, from_checkpoint):
        assert found.task.encode(SENTENCES, found.encoder) == features
        assert all(map(np.array_equal, found.logits(features), trained.logits(features)))
    assert "settings" in training
    assert no_training == {}
    save_classifier("BertForSequenceClassification", tmp_path, CLASSES)
    assert open_model(tmp_path, TEXT, {})[0].task.spec.labels == CLASSES


def test_a_variants_own_tokenizer_goes_before_the_bundles(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, copy)
    own = copy / "variants" / "torch-fp32" / "tokenizer"
    shutil.copytree(copy / "tokenizer", own)
    values = json.loads((own / "encoder.json").read_text())
    (own / "encoder.json").write_text(json.dumps({**values, "max_tokens": 7}))
    assert open_model(copy, TEXT, {})[0].encoder.settings.max_tokens == 7  # type: ignore[union-attr]


def test_a_bundle_without_torch_cannot_be_taught(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, copy)
    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["variants"] = [v for v in manifest["variants"] if v["engine"] != "torch"]
    (copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"(?s)MW-605.*formats: \[torch\]") as caught:
        open_model(copy, TEXT, {})
    assert caught.value.exit_code == 2


def test_a_model_for_another_task_is_refused(checkpoint: Path) -> None:
    with pytest.raises(UserError, match=r"MW-302.*trained for text-classification"):
        open_model(checkpoint, TOKENS, {})


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"MW-301.*there is no model"):
        open_model(tmp_path, TEXT, {})
