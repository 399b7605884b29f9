"""The windows of bench/monitoring.py: real rows, answered once, drawn again and again.

Each window has a reference of its own: BANKING77's test rows are shuffled, the window is drawn from the
first 1.6 times as many rows as it has, and all others are the reference, so that no row is in both.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.engines import Bundle
from modelwright.monitor import reference as references
from modelwright.monitor.answers import score_of
from modelwright.monitor.reliability import reliability
from modelwright.monitor.sample import Known, Sample

NORMAL = "nothing moved"
FOUR = ("foreign topic", "slips in all rows", "label prior halved", "language")
MILDER = ("slips in 5% of rows", "half of the labels lose half of their rows")
SHIFTS = (*FOUR, *MILDER)
ROOM = 1.6
KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


@dataclass(frozen=True)
class Window:
    """Places of its rows, and of those of its reference, among all texts."""

    rows: list[int]
    reference: list[int]


class World:
    """Texts of all kinds with their answers and vectors, and each signal's value of each."""

    def __init__(self, data: Path, folder: Path, quick: bool) -> None:
        rows = read(data / "banking77" / "test.csv")
        random.Random(0).shuffle(rows)
        rows = rows[:400] if quick else rows
        self.plain = len(rows)
        self.labels = [row["label"] for row in rows]
        texts = [row["text"] for row in rows]
        slipped = [slip(text, random.Random(place)) for place, text in enumerate(texts)]
        foreign = [row["text"] for row in read(data / "clinc150" / "test.csv")][:1_500]
        with gzip.open(data / "multi30k_en_de" / "val.jsonl.gz", "rt", encoding="utf-8") as file:
            german = [json.loads(line)["de"] for line in file]
        few = 60 if quick else None
        self.texts = [*texts, *slipped, *foreign[:few], *german[:few]]
        self.foreign = range(2 * self.plain, 2 * self.plain + len(foreign[:few]))
        self.german = range(self.foreign.stop, len(self.texts))
        self.truth: list[str] = [*self.labels, *self.labels]
        self.truth += [""] * (len(self.texts) - len(self.truth))  # no label is right
        bundle = Bundle.open(folder)
        training = read(data / "banking77" / "train.csv")[: 600 if quick else None]
        told = references.sketch(bundle, texts[:200], None, training)
        self.known = Known.restored(told["known"])
        self.bytes = len(json.dumps(told))
        self.answers = bundle.predict(self.texts)
        self.vectors = references.vectors_of(bundle, self.texts)
        bundle.close()
        self.signals = references.signals("text")

    @cached_property
    def values(self) -> dict[str, Any]:
        """Of each signal, those of every text."""
        every = self.sample(range(len(self.texts)))
        found = {name: signal.values(every) for name, signal in self.signals.items()}
        return {
            name: values for name, values in found.items() if self.signals[name].sketch(values).rows
        }

    @cached_property
    def scores(self) -> np.ndarray:
        return np.array([score_of(answer) for answer in self.answers])

    @cached_property
    def right(self) -> np.ndarray:
        pairs = zip(self.answers, self.truth, strict=True)
        return np.array([answer["label"] == label for answer, label in pairs])

    def sample(self, places: Any) -> Sample:
        """Rows as monitoring has them."""
        vectors = None if self.vectors is None else self.vectors[list(places)]
        texts, answers = [self.texts[at] for at in places], [self.answers[at] for at in places]
        return Sample(texts, answers, self.known, vectors, range(len(texts)))

    def sketch(self, name: str, places: list[int]) -> Any:
        """A signal's counts of some rows."""
        values = self.values[name]
        chosen = values[places] if isinstance(values, np.ndarray) else [values[at] for at in places]
        return self.signals[name].sketch(chosen)

    def reference(self, places: list[int]) -> references.Reference:
        """As a bundle that was judged on these rows would hold it."""
        sketches = {name: self.sketch(name, places) for name in self.values}
        kept = reliability(
            self.scores[places], self.right[places], self.values["embedding"][places]
        )
        return references.Reference(len(places), "", self.known, sketches, kept)

    def window(self, kind: str, size: int, seed: int) -> Window:
        """One window and its reference."""
        draw = random.Random(f"{kind} {size} {seed}")
        order = draw.sample(range(self.plain), self.plain)
        room = round(ROOM * size)
        return Window(self._rows(kind, size, order[:room], draw), order[room:])

    def _rows(self, kind: str, size: int, room: list[int], draw: random.Random) -> list[int]:
        tenth = size // 10
        if kind == "foreign topic":
            return room[: size - tenth] + draw.sample(self.foreign, tenth)
        if kind == "language":
            return room[: size - tenth] + draw.sample(self.german, tenth)
        if kind == "slips in all rows":
            return [at + self.plain for at in room[:size]]
        if kind == "slips in 5% of rows":
            few = size // 20
            return [at + self.plain for at in room[:few]] + room[few:size]
        if kind == NORMAL:
            return room[:size]
        return self._of_labels(size, room, draw, 0.5 if kind == "label prior halved" else 2 / 3)

    def _of_labels(
        self, size: int, room: list[int], draw: random.Random, times: float
    ) -> list[int]:
        """The shares of half of the labels are so many times what they were."""
        labels = sorted(set(self.labels))
        rarer = set(draw.sample(labels, len(labels) // 2))
        share = times * len(rarer) / len(labels)
        few = sum(draw.random() < share for _ in range(size))
        mine = [at for at in room if self.labels[at] in rarer]
        others = [at for at in room if self.labels[at] not in rarer]
        few = max(few, size - len(others))
        return mine[:few] + others[: size - few]


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def slip(text: str, draw: random.Random, share: float = 0.05) -> str:
    """Some letters replaced by their neighbours on the keyboard."""

    def one(letter: str) -> str:
        line = next((keys for keys in KEYS if letter in keys), "")
        if not line or draw.random() >= share:
            return letter
        at = line.index(letter) + draw.choice((-1, 1))
        return line[at] if 0 <= at < len(line) else letter

    return "".join(map(one, text))
