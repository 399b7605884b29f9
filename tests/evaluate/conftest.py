"""Small models with known answers, on small datasets on disk."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from modelwright import plugs
from modelwright.artifacts.dataset import Dataset, DatasetInfo, SplitWriter, write_info
from modelwright.evaluate.stage import EvaluateRequest, answer
from modelwright.evaluate.suites import Context
from modelwright.tasks import Task

LABELS = ("cancel", "order", "refund")
WORDS = {
    "cancel": "stop drop end quit",
    "order": "buy get want need",
    "refund": "money back paid return",
}
BOOKS = [("_row", pa.int64()), ("_file", pa.string()), ("_line", pa.int64())]


def write_dataset(
    folder: Path, task: str, splits: Mapping[str, list[dict[str, Any]]], **info: Any
) -> Dataset:
    """A dataset folder as the data stage writes it."""
    cls = plugs.load("task", task).cls
    first = next(rows[0] for rows in splits.values() if rows)
    schema = cls.schema(multi_label=isinstance(first.get("label"), list), pair="text_pair" in first)
    extra = [(key, pa.string()) for key in first if key.startswith("slice:")]
    schema = pa.schema([*schema, *extra, *BOOKS])
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        writer = SplitWriter(folder, split, schema)
        books = ({"_row": i, "_file": f"{split}.csv", "_line": i + 2} for i in range(len(rows)))
        writer.write([row | book for row, book in zip(rows, books, strict=True)])
        writer.close()
    counts = {split: len(rows) for split, rows in splits.items()}
    write_info(folder, DatasetInfo(task, list(info.pop("labels", [])), rows=counts, **info))
    return Dataset.open(folder)


class WordEncoder:
    """One token a word, by its checksum; the text travels along for the model to read."""

    kind = "text"
    settings = SimpleNamespace(max_tokens=32)

    def sequences(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Any]:
        both = texts if pairs is None else [f"{a} {b}" for a, b in zip(texts, pairs, strict=True)]
        return [
            {"input_ids": [1, *(zlib.crc32(w.encode()) % 999 for w in text.split()), 2],
             "token_type_ids": [0] * (len(text.split()) + 2), "truncated": False, "said": text}
            for text in both
        ]  # fmt: skip

    def windows(self, texts: Sequence[str], words: Sequence[Any]) -> list[Any]:
        return [
            {"example": i, "input_ids": [0] * (len(spans) + 2), "words": list(range(len(spans))),
             "positions": list(range(1, len(spans) + 1))}
            for i, spans in enumerate(words)
        ]  # fmt: skip


@dataclass
class FakeModel:
    """Answers by a function of a feature; counts its calls."""

    task: Task
    reply: Callable[[dict[str, Any]], Any]
    encoder: Any = field(default_factory=WordEncoder)
    batches: list[int] = field(default_factory=list)

    def logits(self, features: Sequence[dict[str, Any]]) -> list[np.ndarray]:
        self.batches.append(len(features))
        return [np.asarray(self.reply(feature), dtype=np.float32) for feature in features]


def keyword_reply(labels: Sequence[str], sure: float = 4.0) -> Callable[[dict[str, Any]], Any]:
    """The class whose words occur most; its own bias otherwise."""

    def reply(feature: dict[str, Any]) -> list[float]:
        words = feature["said"].split()
        return [sure * sum(w in WORDS[label].split() for w in words) for label in labels]

    return reply


def sentences(count: int, seed: int, wrong: float = 0.0) -> list[dict[str, Any]]:
    """Rows of two telling words and filler; a share of them with another class's words."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        label = LABELS[index % len(LABELS)]
        shown = LABELS[(index + 1) % len(LABELS)] if rng.random() < wrong else label
        words = [*rng.choice(WORDS[shown].split(), 2), *["please"] * int(rng.integers(0, 9))]
        rows.append({"text": " ".join(words), "label": label, "slice:channel": "ab"[index % 2]})
    return rows


@dataclass
class World:
    """A task's dataset and a model of it."""

    dataset: Dataset
    model: FakeModel

    def request(self, folder: Path, **settings: Any) -> EvaluateRequest:
        values = {"suites": [], "model": self.model, "dataset": self.dataset, **settings}
        return EvaluateRequest(folder=folder, **values)

    def context(self, split: str = "test") -> Context:
        return answer(self.request(self.dataset.folder), split)


def make_task(name: str, dataset: Dataset) -> Task:
    cls = plugs.load("task", name).cls
    return cls(cls.learn_spec(dataset.table("train"), language="en", options={}))


@pytest.fixture
def intents(tmp_path: Path) -> World:
    """Three classes, one test row in six labelled wrongly; the model reads the words."""
    splits = {
        "train": sentences(240, 1),
        "validation": sentences(60, 2),
        "test": sentences(300, 3, 1 / 6),
    }
    dataset = write_dataset(
        tmp_path / "intents", "text-classification", splits,
        labels=LABELS, language="en", slices=["channel"],
    )  # fmt: skip
    task = make_task("text-classification", dataset)
    return World(dataset, FakeModel(task, keyword_reply(LABELS)))


@pytest.fixture
def topics(tmp_path: Path) -> World:
    """Several labels a row."""

    def several(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {"text": f"{a['text']} {b['text']}", "label": sorted({a["label"], b["label"]})}
            for a, b in zip(rows, rows[2:], strict=False)
        ]

    splits = {"train": several(sentences(200, 1)), "test": several(sentences(120, 2, 0.1))}
    dataset = write_dataset(
        tmp_path / "topics", "text-classification", splits,
        labels=LABELS, language="en", multi_label=True,
    )  # fmt: skip
    reply = keyword_reply(LABELS, 2.0)
    task = make_task("text-classification", dataset)
    return World(dataset, FakeModel(task, lambda feature: np.array(reply(feature)) - 1))


@pytest.fixture
def lengths(tmp_path: Path) -> World:
    """A number to predict: how often `very` occurs, with noise."""

    def rows(count: int, seed: int) -> list[dict[str, Any]]:
        rng = np.random.default_rng(seed)
        much = rng.integers(0, 8, count)
        noise = rng.normal(0, 0.3, count)
        return [
            {"text": " ".join(["very"] * int(n) + ["good"]), "target": float(n + e)}
            for n, e in zip(much, noise, strict=True)
        ]

    dataset = write_dataset(
        tmp_path / "lengths", "text-regression",
        {"train": rows(200, 1), "test": rows(600, 2)}, language="en",
    )  # fmt: skip
    task = make_task("text-regression", dataset)
    mean, scale = task.spec.options["mean"], task.spec.options["scale"]
    return World(dataset, FakeModel(task, lambda f: [(f["said"].count("very") - mean) / scale]))


_PEOPLE = {"train": ("Ada", "Grace Hopper"), "test": ("Ada", "Grace Hopper", "Alan Turing")}


@pytest.fixture
def names(tmp_path: Path) -> World:
    """People and places; the model takes every capitalised word for (part of) a person."""
    cls = plugs.load("task", "token-classification").cls

    def rows(split: str) -> list[dict[str, Any]]:
        found = []
        for index in range(60):
            person = _PEOPLE[split][index % len(_PEOPLE[split])].split()
            place = ["Paris", "Rome"][index % 2]
            tags = ["B-PER", *["I-PER"] * (len(person) - 1), "O", "O", "B-LOC"]
            tokens = [*person, "went", "to", place]
            found.append(cls.canonical({"tokens": tokens, "tags": tags}, {}).row)
        return found

    splits = {"train": rows("train"), "test": rows("test")}
    dataset = write_dataset(tmp_path / "names", "token-classification", splits, language="en")
    task = make_task("token-classification", dataset)
    index = {tag: number for number, tag in enumerate(task.spec.labels)}

    def reply(feature: dict[str, Any]) -> np.ndarray:
        logits = np.zeros((len(feature["input_ids"]), len(index)))
        logits[:, index["O"]] = 1
        inside = False
        for place, (start, end) in enumerate(feature["spans"]):
            capital = feature["text"][start:end][0].isupper()
            if capital:
                logits[place + 1, index["I-PER" if inside else "B-PER"]] = 5
            inside = capital
        return logits

    return World(dataset, FakeModel(task, reply))


@pytest.fixture
def pictures(tmp_path: Path) -> World:
    """Dark and bright pictures; the model looks at the mean."""
    import io

    from PIL import Image

    def picture(value: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (8, 8), value).save(buffer, format="PNG")
        return buffer.getvalue()

    def rows(count: int, seed: int) -> list[dict[str, Any]]:
        values = np.random.default_rng(seed).integers(0, 255, count).tolist()
        return [{"image": picture(v), "label": "bright" if v > 128 else "dark"} for v in values]

    splits = {"train": rows(60, 1), "test": rows(40, 2)}
    labels = ("bright", "dark")
    dataset = write_dataset(tmp_path / "pictures", "image-classification", splits, labels=labels)
    task = make_task("image-classification", dataset)
    from modelwright.encoders.image import ImageEncoder, ImageSettings

    settings = ImageSettings(size=(8, 8), channels=1, mean=(0.5,), std=(0.5,))

    def reply(feature: dict[str, Any]) -> list[float]:
        pixels = next(value for value in feature.values() if getattr(value, "ndim", 0) >= 2)
        mean = float(np.mean(pixels)) / (1 if float(np.max(pixels)) <= 1 else 255)
        return [10 * (mean - 0.5), -10 * (mean - 0.5)]

    return World(dataset, FakeModel(task, reply, encoder=ImageEncoder(settings)))


WORLDS = ("intents", "topics", "lengths", "names", "pictures")


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    """Each kind of task in turn."""
    return request.getfixturevalue(request.param)
