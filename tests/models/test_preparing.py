"""From base files and a task to a network: weights found, limits kept, damage told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from modelwright import plugs
from modelwright.errors import UserError
from modelwright.models.bases import resolve
from modelwright.models.checkpoint import TrainedModel, open_checkpoint
from modelwright.models.network import Network, NetworkSettings
from modelwright.models.preparing import (
    Shape,
    learn_tokenizer,
    load_backbone,
    longest_input,
    prepare,
)
from modelwright.tasks import LossSettings, Task, TaskSpec

TEXT_KINDS = [
    "bert", "bert-bare", "roberta", "xlm-roberta", "mpnet", "distilbert", "electra", "albert",
    "modernbert",
]  # fmt: skip
Save = Callable[[str], tuple[Path, Any]]
TEXTS = ["my card is lost", "where is my refund", "hello"]


def a_task(name: str = "text-classification") -> Task:
    labels = ("O", "B-X", "I-X") if name == "token-classification" else ("a", "b", "c")
    return plugs.load("task", name).cls(TaskSpec(labels=labels))


def prepared(folder: Path, task: Task, **shape: Any) -> TrainedModel:
    return prepare(resolve(str(folder), task.modality, Path()), task, Shape(**shape), TEXTS)


def states(backbone: Any, **inputs: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return backbone.eval()(**inputs).last_hidden_state


@pytest.mark.parametrize("kind", [*TEXT_KINDS, "vit", "resnet"])
def test_a_backbone_answers_as_the_model_it_was_saved_from(save: Save, kind: str) -> None:
    folder, model = save(kind)
    backbone = load_backbone(folder, dropout=None)
    if kind in {"vit", "resnet"}:
        inputs = {"pixel_values": torch.randn(2, 3, 16, 16)}
    else:
        ids = torch.randint(4, 20, (2, 9))
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    assert torch.allclose(states(backbone, **inputs), states(model.base_model, **inputs), atol=1e-5)


@pytest.mark.parametrize("change", ["bare", "prefixed", "old names"])
def test_weights_load_equally_under_every_name_they_were_saved_with(
    bert_folder: Path, tmp_path: Path, change: str
) -> None:
    expected = load_backbone(bert_folder, None).state_dict()
    folder = tmp_path / "changed"
    shutil.copytree(bert_folder, folder)
    weights = {
        name: value
        for name, value in load_file(folder / "model.safetensors").items()
        if name.startswith("bert.")
    }
    if change == "bare":
        weights = {name.removeprefix("bert."): value for name, value in weights.items()}
    elif change == "old names":
        weights = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): value
            for name, value in weights.items()
        }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    found = load_backbone(folder, None).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_weights_in_several_files_are_joined(save: Save, tmp_path: Path) -> None:
    folder, model = save("bert")
    shards = tmp_path / "shards"
    model.save_pretrained(shards, max_shard_size="40KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    whole, joined = (load_backbone(place, None).state_dict() for place in (folder, shards))
    assert all(torch.equal(whole[name], joined[name]) for name in whole)


def test_loading_says_nothing(save: Save, capfd: pytest.CaptureFixture[str]) -> None:
    folder, _ = save("roberta")
    capfd.readouterr()
    prepared(folder, a_task())
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err == ""


@pytest.mark.parametrize("kind", TEXT_KINDS)
@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_every_family_trains_a_step_and_opens_again(
    save: Save, kind: str, task: str, tmp_path: Path
) -> None:
    folder, _ = save(kind)
    torch.manual_seed(0)
    model = prepared(folder, a_task(task), max_tokens=514)
    limit = model.encoder.settings.max_tokens  # type: ignore[union-attr]
    long = "My card is lost " * 500
    features = model.task.encode([long, "A"], model.encoder)
    assert max(len(feature["input_ids"]) for feature in features) == limit
    arrays = model.collate(features[-2:])
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    width = arrays["input_ids"].shape[1]
    targets = (
        torch.zeros(2, width, dtype=torch.int64) if task[:5] == "token" else torch.tensor([0, 1])
    )
    before = model.network.head.weight.detach().clone()
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=1e-3)
    loss = model.task.loss(model.network.train()(**inputs), targets, LossSettings())
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    assert not torch.equal(before, model.network.head.weight)
    model.save(tmp_path / "saved")
    again = open_checkpoint(tmp_path / "saved").logits(features)
    for one, two in zip(model.logits(features), again, strict=True):
        assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [("roberta", 32), ("xlm-roberta", 32), ("mpnet", 32), ("bert", 512), ("distilbert", 32)],
)
def test_positions_that_padding_takes_are_not_counted(save: Save, kind: str, tokens: int) -> None:
    folder, _ = save(kind)
    assert longest_input(load_backbone(folder, None)) == tokens
    model = prepared(folder, a_task(), max_tokens=tokens + 2)
    assert model.encoder.settings.max_tokens == tokens  # type: ignore[union-attr]
    assert model.predict(["lost card " * 600])[0]["label"] in "abc"


def test_a_lower_limit_of_the_recipe_wins(bert_folder: Path) -> None:
    model = prepared(bert_folder, a_task(), max_tokens=16)
    assert model.encoder.settings.max_tokens == 16  # type: ignore[union-attr]


def test_the_padding_of_a_row_never_changes_its_answer(save: Save) -> None:
    for kind in ("bert", "roberta", "modernbert"):
        model = prepared(save(kind)[0], a_task())
        short, _ = together = model.predict(["lost", "where is my refund please " * 4])
        assert model.predict(["lost"])[0]["score"] == pytest.approx(short["score"], abs=1e-5)
        assert len(together) == 2


# -- casing ---------------------------------------------------------------------------------------
def casing(folder: Path, task: str = "token-classification") -> tuple[bool, int]:
    model = prepared(folder, a_task(task))
    types = int(getattr(model.network.backbone.config, "type_vocab_size", 0))
    return model.encoder.settings.casing, types  # type: ignore[union-attr]


def test_a_lower_casing_bert_that_tags_gets_the_shapes_of_words(bert_folder: Path) -> None:
    assert casing(bert_folder) == (True, 6)
    assert casing(bert_folder, "text-classification") == (False, 2)


@pytest.mark.parametrize("kind", ["albert", "roberta", "distilbert"])
def test_families_without_token_types_or_a_file_go_without(save: Save, kind: str) -> None:
    assert not casing(save(kind)[0])[0]


def test_a_cased_tokenizer_needs_no_shapes(bert_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cased"
    shutil.copytree(bert_folder, folder)
    values = json.loads((folder / "tokenizer.json").read_text())
    values["normalizer"]["lowercase"] = False
    values["model"]["vocab"]["Aa"] = 40
    (folder / "tokenizer.json").write_text(json.dumps(values))
    assert casing(folder) == (False, 2)


def test_the_shape_of_a_word_reaches_the_network(bert_folder: Path) -> None:
    model = prepared(bert_folder, a_task("token-classification"))
    table = model.network.backbone.embeddings.token_type_embeddings
    with torch.no_grad():
        table.weight[3] += torch.randn(32)
    small, capital = (
        model.logits(model.task.encode([t], model.encoder))[0] for t in ("card", "CARD")
    )
    assert np.abs(small - capital).max() > 1e-3


# -- damage ---------------------------------------------------------------------------------------
@pytest.fixture
def copy(bert_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert_folder, tmp_path / "copy"))


def refused(folder: Path, task: Task | None = None, **shape: Any) -> str:
    with pytest.raises(UserError) as caught:
        prepared(folder, task or a_task(), **shape)
    problem = caught.value.problem
    assert problem.fix
    assert problem.expected
    return f"{problem.code} {problem.seen}"


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, 0.999])
def test_weights_cut_short_are_damaged(copy: Path, kept: float) -> None:
    path = copy / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if kept < 1 else int(kept)])
    assert refused(copy).startswith("MW-303")


def test_weights_of_another_architecture_are_damaged(copy: Path) -> None:
    save_file({"something": torch.zeros(3)}, copy / "model.safetensors")
    assert "tensors are missing" in refused(copy)


def test_weights_of_another_width_are_damaged(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))
    assert refused(copy).startswith("MW-303")


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_config_that_is_no_object_is_damaged(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text)
    assert refused(copy).startswith("MW-303")


def test_an_unknown_architecture_is_told(copy: Path) -> None:
    (copy / "config.json").write_text('{"model_type": "notyetinvented"}')
    assert refused(copy).startswith("MW-302")


def test_a_damaged_tokenizer_is_told(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{}")
    assert refused(copy).startswith("MW-303 the base")


def test_a_base_without_any_tokenizer_is_told(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    assert "tokenizer" in refused(copy)


def test_a_vocabulary_file_is_made_into_a_tokenizer(copy: Path) -> None:
    vocabulary = json.loads((copy / "tokenizer.json").read_text())["model"]["vocab"]
    (copy / "tokenizer.json").unlink()
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    (copy / "vocab.txt").write_text("\n".join([*words, "[MASK]"]) + "\n")
    (feature,) = prepared(copy, a_task()).task.encode(["My card"], prepared(copy, a_task()).encoder)
    assert feature["input_ids"] == [2, vocabulary["my"], vocabulary["card"], 3]


# -- head and pooling -----------------------------------------------------------------------------
def test_pooling_is_the_bases_own_unless_the_recipe_names_one(copy: Path) -> None:
    assert prepared(copy, a_task()).network.settings.pooling == "mean"
    (copy / "1_Pooling").mkdir()
    (copy / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert prepared(copy, a_task()).network.settings.pooling == "cls"
    assert prepared(copy, a_task(), pooling="mean").network.settings.pooling == "mean"


def test_pooling_reads_the_first_token_or_the_mean_of_what_is_no_padding(bert_folder: Path) -> None:
    ids = torch.tensor([[2, 5, 6, 3, 0, 0]])
    mask = (ids > 0).long()
    for pooling in ("mean", "cls"):
        backbone = load_backbone(bert_folder, None)
        settings = NetworkSettings(
            "text", "sequence", 3, pooling, 0.0, ("input_ids", "attention_mask")
        )
        network = Network(backbone, settings).eval()
        with torch.inference_mode():
            hidden = backbone(input_ids=ids, attention_mask=mask).last_hidden_state[0]
            vector = network.embed(input_ids=ids, attention_mask=mask)[0]
        wanted = hidden[0] if pooling == "cls" else hidden[:4].mean(dim=0)
        assert torch.allclose(vector, wanted, atol=1e-6)


def test_dropout_of_the_recipe_reaches_backbone_and_head(bert_folder: Path) -> None:
    model = prepared(bert_folder, a_task(), dropout=0.37)
    assert model.network.settings.dropout == 0.37
    assert model.network.backbone.config.hidden_dropout_prob == 0.37


# -- images ---------------------------------------------------------------------------------------
def test_an_image_base_brings_its_size_and_colours(save: Save) -> None:
    folder, _ = save("vit")
    values = {
        "size": {"height": 16, "width": 16},
        "image_mean": [0.1, 0.2, 0.3],
        "image_std": [1, 1, 1],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    settings = prepared(folder, a_task("image-classification")).encoder.settings
    assert settings.size == (16, 16)  # type: ignore[union-attr]
    assert settings.mean == (0.1, 0.2, 0.3)  # type: ignore[union-attr]


def test_patches_of_a_fixed_number_refuse_another_image_size(save: Save) -> None:
    said = refused(save("vit")[0], a_task("image-classification"), image_size=32)
    assert "16 x 16" in said


def test_convolutions_take_any_image_size(save: Save) -> None:
    model = prepared(save("resnet")[0], a_task("image-classification"), image_size=24)
    features = [{"pixels": np.zeros((24, 24, 3), np.uint8)}]
    assert model.logits(features)[0].shape == (3,)


# -- learnt tokenizers ----------------------------------------------------------------------------
def test_a_learnt_tokenizer_reads_its_own_texts_without_unknown_pieces() -> None:
    texts = ["My card is lost", "订单在哪里？", "Ｆｕｌｌ width ４２", "naïve café"] * 5
    tokenizer = learn_tokenizer(texts, 200)
    for text in texts:
        assert tokenizer.token_to_id("[UNK]") not in tokenizer.encode(text).ids
    assert tokenizer.encode("MY CARD").ids == tokenizer.encode("my card").ids
    assert tokenizer.encode("a", "b").type_ids == [0, 0, 0, 1, 1]
    assert tokenizer.get_vocab_size() <= 200


def test_a_vocabulary_smaller_than_the_alphabet_grows_to_hold_it() -> None:
    texts = [
        "".join(chr(0x4E00 + place + step) for step in range(10)) for place in range(0, 900, 10)
    ]
    tokenizer = learn_tokenizer(texts, 50)
    assert 900 < tokenizer.get_vocab_size() < 1000
    assert tokenizer.token_to_id("[UNK]") not in tokenizer.encode(texts[7]).ids


@pytest.mark.parametrize("texts", [[], [""], ["a"], ["\u200b"], ["😀"]])
def test_hardly_any_text_still_gives_a_tokenizer(texts: list[str]) -> None:
    tokenizer = learn_tokenizer(texts, 100)
    assert tokenizer.encode("my card 😀").ids[0] == tokenizer.token_to_id("[CLS]")


def test_a_learnt_tokenizer_is_the_same_every_time() -> None:
    texts = ["my card is lost", "where is my refund", "订单在哪里", "我的订单在哪里呢"] * 4
    assert len({learn_tokenizer(iter(texts), 100).to_str() for _ in range(5)}) == 1
