"""What every fine-tuning method promises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modelwright import plugs
from modelwright.models.bases import resolve
from modelwright.models.checkpoint import TrainedModel
from modelwright.models.network import total, trainable
from modelwright.models.preparing import Shape, prepare
from modelwright.tasks import LossSettings, TaskSpec

TEXTS = ["a red apple", "a green pear", "the red car", "a green bus"] * 2
LABELS = [0, 1, 0, 1] * 2


def _model() -> TrainedModel:
    torch.manual_seed(0)
    task = plugs.load("task", "text-classification").cls(TaskSpec(labels=("red", "green")))
    return prepare(resolve("scratch:tiny", "text", Path()), task, Shape(vocabulary=200), TEXTS)


def _loss(model: TrainedModel) -> torch.Tensor:
    features = model.task.encode(TEXTS, model.encoder)
    inputs = {k: torch.from_numpy(v) for k, v in model.collate(features).items()}
    return model.task.loss(model.network(**inputs), torch.tensor(LABELS), LossSettings())


def _quiet_loss(model: TrainedModel) -> torch.Tensor:
    model.network.eval()
    return _loss(model)


def _learn(model: TrainedModel, rate: float) -> tuple[float, float]:
    """Loss without dropout before and after 30 steps."""
    weights = [weight for weight in model.network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate)
    before = float(_quiet_loss(model).detach())
    model.network.train()
    for _ in range(30):
        _loss(model).backward()
        optimizer.step()
        optimizer.zero_grad()
    return before, float(_quiet_loss(model).detach())


@pytest.mark.parametrize("name", plugs.names("method"))
def test_a_method_learns_and_leaves_a_plain_network_with_the_same_answers(name):
    plug = plugs.load("method", name)
    assert plug.module.__doc__
    assert plug.version >= 1
    model = _model()
    names = set(model.network.state_dict())
    method = plug.cls(plug.config())
    method.prepare(model.network)
    before, after = _learn(model, plug.cls.learning_rate)
    assert after < before
    answers = model.predict(TEXTS)
    method.finish(model.network)
    assert set(model.network.state_dict()) == names
    finished = model.predict(TEXTS)
    assert [a["label"] for a in finished] == [a["label"] for a in answers]
    assert all(abs(a["score"] - b["score"]) < 1e-4 for a, b in zip(answers, finished, strict=True))
    assert trainable(model.network) == total(model.network)


@pytest.mark.parametrize("name", plugs.names("method"))
def test_a_method_trains_the_head_whatever_else_it_trains(name):
    plug = plugs.load("method", name)
    model = _model()
    plug.cls(plug.config()).prepare(model.network)
    assert model.network.head.weight.requires_grad
