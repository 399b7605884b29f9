"""What every pass that cuts a network promises, on every family that it can cut."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelwright import plugs
from modelwright.artifacts.hashing import digest_json
from modelwright.compress.passes import Material, Piece
from modelwright.compress.proof import mask_equals_cut, vocabulary_exact
from modelwright.models.bases import resolve
from modelwright.models.checkpoint import TrainedModel, open_checkpoint
from modelwright.models.network import total
from modelwright.models.preparing import Shape, prepare
from modelwright.tasks import LossSettings, TaskSpec
from modelwright.train.settings import Settings

SIDE = 16
SETTINGS = Settings(1, 1e-3, 32, 1024, 0.1, 0.0, 0.0, "none", 0, 0.0, "fp32", 0)
CUTTING = [
    name
    for name in plugs.names("pass")
    if not plugs.load("pass", name).cls.writes_form and name != "distil"
]
FAMILIES = plugs.names("family")
PAIRS = [
    (family, name)
    for family in FAMILIES
    for name in CUTTING
    if name in plugs.load("family", family).cls.cuts
]


@dataclass(frozen=True)
class Case:
    """A small random network of a family with rows of its task."""

    model: TrainedModel
    rows: list[dict[str, Any]]

    def features(self, model: TrainedModel) -> list[dict[str, Any]]:
        return model.task.encode([model.task.example(row) for row in self.rows], model.encoder)


def rows_of(modality: str) -> list[dict[str, Any]]:
    from PIL import Image

    draw = np.random.default_rng(0)
    words = [
        "apple",
        "pear",
        "plum",
        "bus",
        "truck",
        "van",
        "cat",
        "dog",
        "the",
        "a",
        "red",
        "old",
        "my",
        "银行",
        "café",
    ]
    rows: list[dict[str, Any]] = []
    for number in range(24):
        label = "abc"[number % 3]
        if modality == "text":
            text = " ".join(draw.choice(words, number % 9 + 1))
            rows.append({"text": text, "label": label})
            continue
        file = BytesIO()
        Image.fromarray(draw.integers(0, 255, (SIDE, SIDE), dtype=np.uint8)).save(file, "PNG")
        rows.append({"image": file.getvalue(), "label": label})
    return rows


def made(name: str) -> Case:
    family = plugs.load("family", name).cls
    rows = rows_of(family.modality)
    torch.manual_seed(0)
    base = resolve(f"scratch:{next(iter(family.sizes))}", family.modality, Path())
    task = plugs.load("task", f"{family.modality}-classification").cls(
        TaskSpec(labels=("a", "b", "c"))
    )
    shape = Shape(max_tokens=24, vocabulary=120, image_size=SIDE, channels=1, dropout=0.0)
    model = prepare(base, task, shape, [row["text"] for row in rows if "text" in row])
    with torch.no_grad():  # a head that says something, and biases that are not zero
        for weight in model.network.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    model.network.eval()
    return Case(model, rows)


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {name: made(name) for name in FAMILIES if plugs.load("family", name).cls.cuts}


def choice_of(name: str, model: TrainedModel) -> dict[str, Any]:
    """A choice that leaves layers uneven."""
    backbone: Any = model.network.backbone
    blocks = plugs.load("family", backbone.config.model_type).cls.blocks(backbone)
    if name == "vocabulary":
        return {"common": 3}
    if name == "layers":
        return {"kept": [len(blocks) - 1]}
    if name == "heads":
        return {"kept": [[0], *([1, 2] for _ in blocks[1:])]}
    return {
        "kept": [list(range(layer, block.neurons, 2 + layer)) for layer, block in enumerate(blocks)]
    }


def material_of(case: Case, folder: Path) -> Material:
    """The first rows alone, so that some pieces are never seen."""
    return Material(case.model, case.rows[:6], folder, 0, SETTINGS, tuning=case.rows)


def cut(case: Case, name: str, folder: Path, **more: Any) -> Piece:
    plug = plugs.load("pass", name)
    one = plug.cls(plug.config())
    assert one.misfit(case.model) == ""
    choice = {**choice_of(name, case.model), **more}
    return one.apply(Piece(case.model), choice, material_of(case, folder))


def digest(model: TrainedModel) -> str:
    weights = {
        key: value.numpy().tobytes().hex() for key, value in model.network.state_dict().items()
    }
    config: Any = model.network.backbone.config
    tokenizer = getattr(model.encoder, "tokenizer", None)
    if tokenizer is not None:
        tokenizer.no_truncation()  # encoding switches it on
    told = tokenizer.to_str() if tokenizer is not None else ""
    return digest_json([weights, config.to_dict(), repr(model.encoder.settings), told])


@pytest.mark.parametrize(("family", "name"), PAIRS)
def test_what_a_pass_is_given_stays_as_it_was(
    cases: dict[str, Case], family: str, name: str, tmp_path: Path
) -> None:
    case = cases[family]
    before = digest(case.model)
    piece = cut(case, name, tmp_path)
    assert digest(case.model) == before
    assert digest(piece.model) != before
    assert digest(cut(case, name, tmp_path).model) == digest(piece.model)


@pytest.mark.parametrize(("family", "name"), PAIRS)
def test_a_network_is_smaller_by_what_the_pass_says(
    cases: dict[str, Case], family: str, name: str, tmp_path: Path
) -> None:
    case = cases[family]
    piece = cut(case, name, tmp_path)
    cls = plugs.load("family", family).cls
    before, after = (
        cls.blocks(case.model.network.backbone),
        cls.blocks(piece.model.network.backbone),
    )
    kept = piece.facts["kept"]
    counts = {
        "vocabulary": lambda: cls.word_embeddings(piece.model.network.backbone).num_embeddings,
        "layers": lambda: len(after),
        "heads": lambda: sum(block.heads for block in after),
        "ffn": lambda: sum(block.neurons for block in after),
    }
    assert counts[name]() == kept
    width = before[0].up.in_features
    size = {
        "heads": 4 * before[0].head_size * width + 3 * before[0].head_size,
        "ffn": 2 * width + 1,
    }
    gone = total(case.model.network) - total(piece.model.network)
    if name == "heads":
        biases = sum(
            part.bias is not None for part in (before[0].query, before[0].key, before[0].value)
        )
        each = 4 * before[0].head_size * width + biases * before[0].head_size
        assert gone == (sum(block.heads for block in before) - kept) * each
    elif name == "ffn":
        assert gone == (sum(block.neurons for block in before) - kept) * size["ffn"]
    assert gone > 0


@pytest.mark.parametrize(("family", "name"), PAIRS)
def test_a_cut_network_answers_as_the_masked_one(
    cases: dict[str, Case], family: str, name: str, tmp_path: Path
) -> None:
    case = cases[family]
    made = cut(case, name, tmp_path).model
    if name == "vocabulary":
        stage = vocabulary_exact(case.model, made, case.rows)
        assert stage["rows"] >= 6
        assert stage["holds"]
        assert stage["max_abs_diff"] == 0.0
        return
    kept = {name: choice_of(name, case.model)["kept"]}
    parts = [kept.get(part) for part in ("layers", "heads", "ffn")]
    features = case.features(case.model)
    stage = mask_equals_cut(case.model, *parts, features)
    assert stage["holds"]
    assert stage["max_abs_diff"] < 1e-5
    apart = np.abs(np.stack(made.logits(features)) - np.stack(case.model.logits(features)))
    assert apart.max() > 1e-3


@pytest.mark.parametrize(("family", "name"), PAIRS)
def test_a_cut_network_comes_back_from_disk(
    cases: dict[str, Case], family: str, name: str, tmp_path: Path
) -> None:
    piece = cut(cases[family], name, tmp_path)
    piece.model.save(tmp_path / "saved")
    again = open_checkpoint(tmp_path / "saved")
    features = cases[family].features(piece.model)
    for one, other in zip(cases[family].features(again), features, strict=True):
        assert all(np.array_equal(one[key], other[key]) for key in one)
    assert all(map(np.array_equal, again.logits(features), piece.model.logits(features)))
    assert total(again.network) == total(piece.model.network)


@pytest.mark.parametrize(("family", "name"), PAIRS)
def test_a_cut_network_learns_with_every_weight(
    cases: dict[str, Case], family: str, name: str, tmp_path: Path
) -> None:
    case = cases[family]
    model = cut(case, name, tmp_path).model
    features = case.features(model)
    inputs = {key: torch.from_numpy(array) for key, array in model.collate(features).items()}
    targets = torch.tensor(
        [model.task.target(row, one) for row, one in zip(case.rows, features, strict=True)]
    )
    optimizer = torch.optim.AdamW(model.network.train().parameters(), lr=1e-4)
    losses = []
    for _ in range(4):
        loss = model.task.loss(model.network(**inputs), targets, LossSettings())
        loss.backward()
        assert all(weight.grad is not None for weight in model.network.parameters())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert min(losses) < losses[0]
    states = model.network.states(**inputs)[1]
    assert len(states) == len(list(_layers(model))) + 1


def _layers(model: TrainedModel) -> Any:
    backbone: Any = model.network.backbone
    return plugs.load("family", backbone.config.model_type).cls.layers(backbone)


@pytest.mark.parametrize(
    "family", [name for name in FAMILIES if "heads" in plugs.load("family", name).cls.cuts]
)
def test_cuts_follow_each_other(cases: dict[str, Case], family: str, tmp_path: Path) -> None:
    case = cases[family]
    material = material_of(case, tmp_path)
    piece = Piece(case.model)
    for name in sorted(CUTTING, key=lambda name: plugs.load("pass", name).cls.order):
        plug = plugs.load("pass", name)
        if name in plugs.load("family", family).cls.cuts:
            piece = plug.cls(plug.config()).apply(piece, choice_of(name, piece.model), material)
    piece.model.save(tmp_path / "saved")
    again = open_checkpoint(tmp_path / "saved")
    features = case.features(again)
    assert all(map(np.array_equal, again.logits(features), piece.model.logits(features)))
    assert total(again.network) < 0.5 * total(case.model.network)


@pytest.mark.parametrize(("family", "name"), [(f, n) for f, n in PAIRS if n in ("heads", "ffn")])
def test_refitting_brings_the_states_closer_to_what_they_were(
    cases: dict[str, Case], family: str, name: str, tmp_path: Path
) -> None:
    case = cases[family]
    case = Case(case.model, case.rows)
    inputs = {
        key: torch.from_numpy(array)
        for key, array in case.model.collate(case.features(case.model)).items()
    }
    material = Material(case.model, case.rows, tmp_path, 0, SETTINGS)
    plug, choice = plugs.load("pass", name), choice_of(name, case.model)

    def apart(reconstruct: bool) -> float:
        one = plug.cls(plug.config())
        piece = one.apply(Piece(case.model), {**choice, "reconstruct": reconstruct}, material)
        with torch.inference_mode():
            own = piece.model.network.eval().states(**inputs)[1][-1]
            whole = case.model.network.states(**inputs)[1][-1]
        mask = inputs.get("attention_mask", torch.ones(own.shape[:2])).bool()
        return float((own - whole)[mask].square().mean())

    assert apart(True) < 0.9 * apart(False)


@pytest.mark.parametrize("name", CUTTING)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_pass_that_does_not_fit_says_why(family: str, name: str) -> None:
    if name in plugs.load("family", family).cls.cuts:
        pytest.skip("it fits")
    plug = plugs.load("pass", name)
    assert len(plug.cls(plug.config()).misfit(made(family).model).split()) > 2


def test_a_family_without_a_file_cannot_be_cut(cases: dict[str, Case]) -> None:
    model = copy.deepcopy(cases["bert"].model)
    config: Any = model.network.backbone.config
    config.model_type = "unheard-of"
    for name in CUTTING:
        plug = plugs.load("pass", name)
        assert "unheard-of" in plug.cls(plug.config()).misfit(model)
