"""What every numeric pass promises, on every family's smallest size from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelwright import plugs
from modelwright.compress.passes import Form, Material, Piece
from modelwright.engines._bundle import open_variant
from modelwright.models.bases import resolve
from modelwright.models.checkpoint import TrainedModel
from modelwright.models.preparing import Shape, prepare
from modelwright.runtime.machine import kernels
from modelwright.tasks import LossSettings, TaskSpec
from modelwright.train.settings import Settings

NUMERIC = [name for name in plugs.names("pass") if plugs.load("pass", name).cls.writes_form]
AGREEMENT = {
    "fp32": 1.0, "bf16": 0.95, "fp16": 0.98, "int8-static": 0.9, "int8-dynamic": 0.9,
    "int8-weights": 0.95, "int4-weights": 0.85, "int4-embeddings": 0.85,
}  # fmt: skip
"""The least share of rows for which a form must answer as the network does in fp32."""
SIDE = 16
SETTINGS = Settings(1, 1e-3, 32, 1024, 0.1, 0.0, 0.0, "none", 0, 0.0, "fp32", 0)


@dataclass(frozen=True)
class Case:
    model: TrainedModel
    rows: list[dict[str, Any]]

    @property
    def inputs(self) -> list[Any]:
        return [self.model.task.example(row) for row in self.rows]


def picture(label: int, draw: np.random.Generator) -> bytes:
    """A bright half, left or right or above, on noise."""
    from io import BytesIO

    from PIL import Image

    pixels = draw.integers(0, 90, (SIDE, SIDE), dtype=np.uint8)
    half = (slice(None), slice(0, 8)), (slice(None), slice(8, None)), (slice(0, 8), slice(None))
    pixels[half[label]] += 120
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def text_rows() -> list[dict[str, Any]]:
    words = {"fruit": ["apple", "pear", "plum"], "car": ["bus", "truck", "van"], "pet": ["cat"]}
    draw = np.random.default_rng(0)
    rows = []
    for index in range(96):
        label = list(words)[index % 3]
        filler = " ".join(draw.choice(["a", "the", "red", "old", "my"], index % 9 + 1))
        rows.append({"text": f"{filler} {draw.choice(words[label])}", "label": label})
    return rows


def image_rows() -> list[dict[str, Any]]:
    draw = np.random.default_rng(0)
    return [{"image": picture(i % 3, draw), "label": "abc"[i % 3]} for i in range(96)]


def learn(case: Case) -> None:
    model = case.model
    features = model.task.encode(case.inputs, model.encoder)
    inputs = {name: torch.from_numpy(array) for name, array in model.collate(features).items()}
    targets = torch.tensor(
        [model.task.target(row, one) for row, one in zip(case.rows, features, strict=True)]
    )
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=1e-3)
    model.network.train()
    for _ in range(40 if model.task.modality == "text" else 80):
        model.task.loss(model.network(**inputs), targets, LossSettings()).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.network.eval()


@pytest.fixture(scope="module", params=plugs.names("family"))
def case(request: pytest.FixtureRequest) -> Case:
    """A tiny model of the family that has learnt three classes."""
    torch.manual_seed(0)
    family = plugs.load("family", request.param).cls
    base = resolve(f"scratch:{next(iter(family.sizes))}", family.modality, Path())
    rows = text_rows() if family.modality == "text" else image_rows()
    labels = tuple(dict.fromkeys(row["label"] for row in rows))
    task = plugs.load("task", f"{family.modality}-classification").cls(TaskSpec(labels=labels))
    shape = Shape(max_tokens=32, vocabulary=200, image_size=SIDE, channels=1)
    texts = [row["text"] for row in rows if "text" in row]
    made = Case(prepare(base, task, shape, texts), rows)
    learn(made)
    return made


def formed(case: Case, name: str, folder: Path) -> Form:
    plug = plugs.load("pass", name)
    one = plug.cls(plug.config())
    if why := one.misfit(case.model):
        pytest.skip(why)
    material = Material(case.model, case.rows, folder, 0, SETTINGS)
    form = one.apply(Piece(case.model), {"threads": 2, "streams": 2}, material).form
    assert form is not None
    return form


@pytest.mark.parametrize("name", NUMERIC)
def test_a_form_answers_as_the_network_does_and_leaves_it_as_it_was(
    case: Case, name: str, tmp_path: Path
) -> None:
    model = case.model
    features = model.task.encode(case.inputs, model.encoder)
    before = model.logits(features)
    weights = {key: value.clone() for key, value in model.network.state_dict().items()}
    form = formed(case, name, tmp_path)
    after = model.network.state_dict()
    assert all(torch.equal(weights[key], after[key]) for key in weights)
    assert np.array_equal(before, model.logits(features))

    rows = 0 if form.draft.batch_invariant else 1
    variant = open_variant(form.folder, form.draft.engine, model.task, model.encoder, rows=rows)
    found = variant.logits(features)
    answers = model.task.decode(before, features), model.task.decode(found, features)
    assert model.task.agreement(*answers) >= AGREEMENT[name]
    if form.draft.exact:
        assert np.abs(np.stack(before) - np.stack(found)).max() < 1e-4
    variant.engine.close()


@pytest.mark.parametrize("name", NUMERIC)
def test_a_form_is_the_same_when_opened_again_and_whatever_else_is_asked(
    case: Case, name: str, tmp_path: Path
) -> None:
    form, model = formed(case, name, tmp_path), case.model
    rows = 0 if form.draft.batch_invariant else 1
    found = []
    for threads in (0, 1):
        variant = open_variant(
            form.folder, form.draft.engine, model.task, model.encoder, rows=rows, threads=threads
        )
        features = variant.encode(case.inputs)
        found.append(np.stack(variant.logits(features)))
        found.append(np.stack([variant.logits([one])[0] for one in features]))
        variant.engine.close()
    off = max(float(np.abs(found[0] - other).max()) for other in found[1:])
    unpacked = name.endswith("-weights") and not kernels().fuses_int8
    assert off <= (1e-4 if unpacked else 0.0), "few-bit weights, without AVX-512: another order"


def test_passes_that_do_not_fit_say_why(case: Case) -> None:
    for name in NUMERIC:
        plug = plugs.load("pass", name)
        why = plug.cls(plug.config()).misfit(case.model)
        assert why == "" or len(why.split()) > 3
