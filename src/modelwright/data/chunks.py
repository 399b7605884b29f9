"""A chunk of canonical rows on its way through the cleaners, and the keys that identify a row.

Keys are 64-bit: at a million rows the chance that any two different texts share one is 3 in
10^8. They depend on the content alone, so they are equal on every machine and in every run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from modelwright.tasks import Row, Task

U64 = np.uint64
_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class RowKind:
    """Which fields of a canonical row are input and which are target.

    Attributes:
        task: the task's class.
        fields: all fields of a row, in the order of the schema.
        inputs: fields that the model reads.
        targets: fields that it learns.
        multi_label: several labels a row.
    """

    task: type[Task]
    fields: tuple[str, ...]
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    multi_label: bool = False

    @classmethod
    def of(cls, task: type[Task], *, multi_label: bool, pair: bool) -> RowKind:
        """Read the fields off the task's schema; a field that is no role counts as neither."""
        fields = tuple(task.schema(multi_label=multi_label, pair=pair).names)
        targets = {role.name for role in task.roles if role.target}
        inputs = {role.name for role in task.roles if not role.target}
        found = tuple(field for field in fields if field in inputs)
        learnt = tuple(field for field in fields if field in targets)
        return cls(
            task,
            fields,
            found or fields[:1],
            learnt or tuple(field for field in fields if field not in found),
            multi_label,
        )

    def content(self, row: Row) -> str | bytes:
        """What a row is compared by: its input text, or the bytes of its image."""
        if len(self.inputs) == 1:
            value = row[self.inputs[0]]
            if isinstance(value, (str, bytes)):
                return value
        return _SEPARATOR.join(_as_text(row[field]) for field in self.inputs)

    def target(self, row: Row) -> str:
        """The target as text, equal exactly when the targets are."""
        if len(self.targets) == 1:
            return _as_text(row[self.targets[0]])
        return _SEPARATOR.join(_as_text(row[field]) for field in self.targets)


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    if isinstance(value, bytes):
        return value.hex()
    return repr(value)


class Chunk:
    """Some rows of one split, in source order.

    Attributes:
        kind: what the rows are made of.
        rows: the rows that are left.
        indices: the number of each row in the run, counted over all splits.
        dropped: (index, reason, detail) of rows that the present cleaner set aside.
        repaired: (index, reason) of rows that it changed.
    """

    def __init__(self, kind: RowKind, split: str, rows: list[Row], indices: list[int]) -> None:
        self.kind, self.split, self.rows, self.indices = kind, split, rows, indices
        self.dropped: list[tuple[int, str, str]] = []
        self.repaired: list[tuple[int, str]] = []
        self._gone: set[int] = set()
        self._contents: list[Any] | None = None
        self._keys: np.ndarray | None = None
        self._labels: list[str] | None = None
        self._targets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def drop(self, position: int, reason: str, detail: str = "") -> None:
        """Set aside the row at a position; it stays visible until the cleaner returns."""
        if position not in self._gone:
            self._gone.add(position)
            self.dropped.append((self.indices[position], reason, detail))

    def repair(self, position: int, row: Row, reason: str) -> None:
        """Put a changed row in place of the old one."""
        self.rows[position] = row
        self.repaired.append((self.indices[position], reason))
        self._contents = self._keys = self._labels = self._targets = None

    def settle(self) -> None:
        """Forget the rows that were dropped, before the next cleaner."""
        if self._gone:
            left = [at for at in range(len(self.rows)) if at not in self._gone]
            self.rows = [self.rows[at] for at in left]
            self.indices = [self.indices[at] for at in left]
            if self._contents is not None:
                self._contents = [self._contents[at] for at in left]
            if self._labels is not None:
                self._labels = [self._labels[at] for at in left]
            if self._keys is not None:
                self._keys = self._keys[left]
            if self._targets is not None:
                self._targets = self._targets[left]
        self._gone, self.dropped, self.repaired = set(), [], []

    @property
    def contents(self) -> list[Any]:
        """Each row's input text (or image bytes)."""
        if self._contents is None:
            content = self.kind.content
            self._contents = [content(row) for row in self.rows]
        return self._contents

    @property
    def content_keys(self) -> np.ndarray:
        """uint64 of each row's input."""
        if self._keys is None:
            self._keys = hash_all(self.contents)
        return self._keys

    @property
    def labels(self) -> list[str]:
        """Each row's class names in one string (see `split_labels`); "" for none."""
        if self._labels is None:
            names = self.kind.task.row_labels
            self._labels = [join_labels(names(row)) for row in self.rows]
        return self._labels

    @property
    def target_keys(self) -> np.ndarray:
        """uint64 of each row's target."""
        if self._targets is None:
            target = self.kind.target
            texts = [target(row) for row in self.rows]
            distinct = list(set(texts))
            known = dict(zip(distinct, hash_all(distinct).tolist(), strict=True))
            self._targets = np.array([known[text] for text in texts], dtype=U64)
        return self._targets

    @property
    def row_keys(self) -> np.ndarray:
        """uint64 of each row's input and target together."""
        return combine(self.content_keys, self.target_keys)


def join_labels(labels: list[str]) -> str:
    """Class names as one string, whatever their order and however often each occurs."""
    if len(labels) == 1:
        return labels[0]
    return _SEPARATOR.join(sorted(set(labels)))


def split_labels(joined: str) -> list[str]:
    """The inverse of `join_labels`."""
    return joined.split(_SEPARATOR) if joined else []


def hash_all(contents: list[Any]) -> np.ndarray:
    """uint64 of each text or bytes (BLAKE2b, 8 bytes)."""
    digest = hashlib.blake2b
    parts = [
        digest(item if isinstance(item, bytes) else item.encode(), digest_size=8).digest()
        for item in contents
    ]
    return np.frombuffer(b"".join(parts), dtype="<u8").astype(U64, copy=False)


def mix(values: np.ndarray) -> np.ndarray:
    """Scramble uint64 values (the finaliser of splitmix64, Steele et al. 2014)."""
    values = (values ^ (values >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> U64(27))) * U64(0x94D049BB133111EB)
    return values ^ (values >> U64(31))


def combine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One key of two; not symmetric."""
    return mix(first) ^ (mix(second + U64(0x9E3779B97F4A7C15)) * U64(3))
