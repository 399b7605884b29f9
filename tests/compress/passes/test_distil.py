"""A student comes closer to its teacher, with labels or without, and goes on where it was cut off."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from modelwright import plugs
from modelwright.compress import classroom
from modelwright.compress.passes import Material, Piece
from modelwright.compress.teaching import IGNORED, Lesson, Weights
from modelwright.models.checkpoint import TrainedModel
from modelwright.runtime.device import StopFlag
from modelwright.train.stage import settings_like


def load(name: str, **options: Any) -> Any:
    plug = plugs.load("pass", name)
    return plug.cls(plug.config(**options))


def distance(model: TrainedModel, material: Material) -> float:
    """Mean divergence of the answers from the teacher's, on the training rows."""
    task, teacher = model.task, material.teacher
    features = task.encode([task.example(row) for row in material.rows], model.encoder)
    ours = torch.tensor(np.stack(model.logits(features)))
    theirs = torch.tensor(np.stack(teacher.logits(features)))
    wanted = torch.log_softmax(theirs, -1)
    return float((wanted.exp() * (wanted - torch.log_softmax(ours, -1))).sum(-1).mean())


@pytest.fixture
def student(teacher: TrainedModel, material: Material) -> Piece:
    return load("layers").apply(Piece(teacher), {"kept": [1]}, material)


@pytest.mark.slow
def test_a_student_comes_closer_to_its_teacher(student: Piece, material: Material) -> None:
    before = distance(student.model, material)
    weights = {name: value.clone() for name, value in student.model.network.state_dict().items()}
    taught = load("distil").apply(student, {"epochs": 6, "layers": [1], "rate": 1e-3}, material)
    assert distance(taught.model, material) < 0.5 * before
    for name, value in student.model.network.state_dict().items():
        assert torch.equal(value, weights[name]), f"{name} of the piece that was given changed"
    assert len(taught.facts["scores"]) == 6


@pytest.mark.slow
def test_rows_without_labels_teach_too(student: Piece, material: Material) -> None:
    alone = replace(material, rows=material.rows[:8], unlabelled=[])
    inputs = [row["text"] for row in material.rows[8:]]
    more = replace(alone, unlabelled=inputs, folder=material.folder / "more")
    more.folder.mkdir()
    choice = {"epochs": 4, "layers": [1], "rate": 1e-3}
    few = load("distil", labels=0.0).apply(student, choice, alone)
    many = load("distil", labels=0.0).apply(student, choice, more)
    assert distance(many.model, material) < distance(few.model, material)


@pytest.mark.slow
def test_a_lesson_that_was_cut_off_ends_with_the_same_weights(
    student: Piece, material: Material, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    choice = {"epochs": 3, "layers": [1]}
    whole = load("distil").apply(student, choice, material)
    again = replace(material, folder=tmp_path / "again")
    again.folder.mkdir()
    steps = 0

    class Stops(StopFlag):
        """Raised after some steps, as a signal would."""

        @property
        def raised(self) -> bool:
            nonlocal steps
            steps += 1
            return steps == 9

        @raised.setter
        def raised(self, value: bool) -> None:
            """Nothing sets it but the steps."""

    class Requests:
        def __enter__(self) -> StopFlag:
            return Stops()

        def __exit__(self, *_: object) -> None:
            """Nothing to undo."""

    with monkeypatch.context() as patch:
        patch.setattr(classroom, "stop_requests", Requests)
        with pytest.raises(KeyboardInterrupt):
            load("distil").apply(student, choice, again)
    resumed = load("distil").apply(student, choice, again)
    states = whole.model.network.state_dict()
    for name, value in resumed.model.network.state_dict().items():
        assert torch.equal(value, states[name]), name


@pytest.mark.slow
def test_a_lesson_without_time_ends_with_its_epoch(student: Piece, material: Material) -> None:
    late = replace(material, deadline=0.0)
    taught = load("distil").apply(student, {"epochs": 3, "layers": [1]}, late)
    assert taught.facts["epochs"] == 1.0
    assert len(taught.facts["scores"]) == 1


def test_a_teacher_that_was_trained_with_weighted_classes_is_followed_with_them(
    teacher: TrainedModel, material: Material
) -> None:
    balanced = replace(material.settings, class_weights="balanced")
    rows = [row for row in material.rows if row["label"] == teacher.task.spec.labels[0]]
    uneven = replace(material, settings=balanced, rows=[*material.rows, *rows])
    weights = classroom.lesson_of(teacher, {}, {}, uneven).loss.class_weights
    assert weights is not None
    assert weights[0] < weights[1]


@pytest.mark.parametrize("method", ["head", {"lora": {"rank": 8}}])
def test_a_lesson_does_not_take_the_rate_of_a_few_weights_for_all(
    teacher: TrainedModel, tiny_training: dict[str, Any], method: Any
) -> None:
    known = {**tiny_training["settings"], "learning_rate": 1e-2, "class_weights": "balanced"}
    found = settings_like({"method": method, "settings": known}, teacher, 120, 0)
    assert found.learning_rate < 5e-3
    assert found.class_weights == "balanced"


def lesson(teacher: TrainedModel, **weights: float) -> Lesson:
    return Lesson(teacher.network, teacher.task, (0, 1), Weights(**weights), special=(0, 1, 2, 3))


def batch(teacher: TrainedModel) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    task = teacher.task
    encoded = task.encode(["where is my parcel", "refund please"], teacher.encoder)
    arrays = teacher.collate(encoded)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, torch.tensor([0, 1])


def test_a_student_that_is_its_teacher_has_only_the_labels_to_learn(teacher: TrainedModel) -> None:
    inputs, targets = batch(teacher)
    same = copy.deepcopy(teacher.network).eval()
    every = lesson(teacher, labels=0.0, hidden=1.0, relation=1.0, mixed=0.0, varied=0.0)
    assert every(same, inputs, targets).item() == pytest.approx(0.0, abs=1e-5)
    labels = lesson(teacher, labels=1.0, hidden=0.0, mixed=0.0, varied=0.0)
    assert labels(same, inputs, targets).item() > 0


def test_rows_without_a_target_count_for_the_answers_alone(teacher: TrainedModel) -> None:
    inputs, _ = batch(teacher)
    same = copy.deepcopy(teacher.network).eval()
    found = lesson(teacher, labels=1.0, mixed=0.0, varied=0.0)(
        same, inputs, torch.tensor([IGNORED] * 2)
    )
    assert found.item() == pytest.approx(0.0, abs=1e-5)


def test_varied_rows_keep_their_ends_and_their_padding(teacher: TrainedModel) -> None:
    inputs, _ = batch(teacher)
    torch.manual_seed(0)
    special = tuple(sorted(teacher.encoder.tokenizer.get_added_tokens_decoder()))  # type: ignore[union-attr]
    every = Lesson(
        teacher.network, teacher.task, (), Weights(varied=1.0, replaced=1.0), special=special
    )
    changed, whole = every._varied(inputs)
    ids, before = changed["input_ids"], inputs["input_ids"]
    fixed = torch.isin(before, torch.tensor(special))
    assert torch.equal(ids[fixed], before[fixed])
    assert not whole.any()
    assert not torch.equal(ids, before)


def test_relations_of_fewer_heads_are_compared_in_groups_that_both_have(
    teacher: TrainedModel, material: Material
) -> None:
    inputs, targets = batch(teacher)
    kept = {"kept": [[0, 1, 2], [1, 3]]}
    fewer = load("heads").apply(Piece(teacher), kept, material).model.network.eval()
    found = lesson(teacher, labels=0.0, hidden=0.0, relation=1.0, varied=0.0)
    assert found(fewer, inputs, targets).item() > 0


def test_a_mixed_row_ends_as_another_one(teacher: TrainedModel) -> None:
    torch.manual_seed(0)
    ids = torch.tensor([[1, 10, 11, 12, 2, 0], [1, 20, 21, 22, 23, 2], [1, 30, 2, 0, 0, 0]])
    inputs = {"input_ids": ids, "attention_mask": (ids > 0).long()}
    lesson = Lesson(teacher.network, teacher.task, (), Weights(mixed=1.0))
    mixed, whole = lesson._mixed(inputs)
    assert not whole.any()
    for row, other in enumerate(torch.roll(torch.arange(3), 1)):
        found, mask = mixed["input_ids"][row], mixed["attention_mask"][row]
        cut = next(k for k in range(1, 6) if torch.equal(found[k:], ids[other][k:]))
        assert torch.equal(found[:cut], ids[row][:cut])
        assert found[0] == 1
        assert (found > 0).long().tolist() == mask.tolist()
        assert (found == 2).sum() == 1
    kept, whole = Lesson(teacher.network, teacher.task, (), Weights(mixed=0.0))._mixed(inputs)
    assert whole.all()
    assert torch.equal(kept["input_ids"], ids)
