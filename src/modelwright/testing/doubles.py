"""Stand-ins for the heavy parts, so that a plug can be tested without a model.

    bundle = FakeBundle()
    bundle.predict(["my card is lost"])      # [{"label": ..., "score": ..., "scores": {...}}]
    FakeBundle(task="token-classification")  # any task of the product

A `FakeBundle` behaves like an opened bundle: the same attributes and methods, a real `bundle.json`
in `manifest`, the real task plug, and logits that are a digest of the input, so that any two runs,
batch sizes and processes agree. `save` writes it as a folder, with golden rows.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from modelwright import plugs
from modelwright.artifacts.hashing import digest_json
from modelwright.artifacts.store import now
from modelwright.encoders.limits import BatchLimits
from modelwright.engines._schema import InputCheck
from modelwright.runtime.files import write_json, write_text
from modelwright.tasks import Features, Prediction, TaskSpec, store_task

if TYPE_CHECKING:
    import numpy as np

LABELS = ("card_lost", "refund", "greeting")
TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
EXAMPLES = (
    "my card is lost",
    "I want my money back",
    "Ada Lovelace moved from London to Paris",
    "银行卡丢了怎么办",
)
DIMENSIONS = 12
"""Of the vectors that a `FakeBundle` gives."""
_SEPARATOR = "\x1f"


@final
class FakeBundle:
    """A bundle without a model.

    Args:
        labels: class names; the task's usual ones when not given.
        task: name of the task plug.
        name: the bundle's name.
        seconds: what one model call takes, so that tests can fill a queue.
        fails: called with each text; True makes the model raise, as a fault inside it would.
        spec: further fields of the task's `TaskSpec`: `pair=True`, `multi_label=True`, ...
    """

    def __init__(
        self,
        labels: Sequence[str] = (),
        *,
        task: str = "text-classification",
        name: str = "fake",
        seconds: float = 0.0,
        fails: Callable[[str], bool] | None = None,
        **spec: Any,
    ) -> None:
        known = {"token-classification": TAGS, "text-regression": ()}.get(task, LABELS)
        options = {"mean": 2.5, "scale": 1.0, "low": 0.0, "high": 5.0}
        fields = {"labels": tuple(labels) or known, "language": "en", "options": options, **spec}
        self.task = plugs.load("task", task).cls(TaskSpec(**fields))
        self.encoder: Any = _FakeEncoder()
        self.limits = BatchLimits()
        self.seconds, self.fails = seconds, fails
        self.folder = Path(name)
        self.manifest = _manifest(name, self.task)
        self.fault = InputCheck(self.manifest["input"], self.task).fault
        self.variant: dict[str, Any] = self.manifest["variants"][0]
        self.calls: list[int] = []
        self.closed = False
        self._one_at_a_time = threading.Lock()

    def encode(self, inputs: Sequence[Any]) -> list[Features]:
        """Features as the task makes them; `input_ids` are code points."""
        return self.task.encode(inputs, self.encoder)

    def logits(self, features: Sequence[Features]) -> list[np.ndarray]:
        """[C] or [T, C] for each feature; the sizes of the calls are kept in `calls`."""
        with self._one_at_a_time:
            self.calls.append(len(features))
            if self.seconds:
                time.sleep(self.seconds)
        if self.fails is not None and any(self.fails(_said(feature)) for feature in features):
            raise RuntimeError("the fake model was told to fail")
        return [self._logits(feature) for feature in features]

    def run_batch(self, features: Sequence[Features]) -> list[np.ndarray]:
        """As `logits`."""
        return self.logits(features)

    @property
    def dimensions(self) -> int:
        """Width of the vectors; 0 for a task that answers for each word."""
        return 0 if self.task.head == "token" else DIMENSIONS

    def vector_batch(self, features: Sequence[Features]) -> np.ndarray:
        """[N, D]: a digest of each input; as `logits` in time and faults."""
        import numpy as np

        self.logits(features)
        said = [
            feature["pixels"].tobytes() if "pixels" in feature else _said(feature)
            for feature in features
        ]
        return np.stack([_digest(one, DIMENSIONS) for one in said])

    def predict(self, inputs: Sequence[Any]) -> list[Prediction]:
        """The answers, in order."""
        features = self.encode(inputs)
        return self.task.decode(self.logits(features), features)

    def close(self) -> None:
        """Nothing to free; `closed` tells that it was called."""
        self.closed = True

    def save(self, folder: Path) -> FakeBundle:
        """Write `bundle.json` and `golden.jsonl` into `folder`, which becomes the bundle's."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "bundle.json", self.manifest)
        inputs = self.examples()
        rows = [
            {"input": item, "output": answer, "tolerance": {"score": 1e-4}}
            for item, answer in zip(inputs, self.predict(inputs), strict=True)
        ]
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(folder / "golden.jsonl", "".join(lines))
        self.folder = folder
        return self

    def examples(self) -> list[Any]:
        """Inputs that this bundle accepts."""
        if self.task.modality == "image":
            return [fake_image(shade) for shade in (0, 90, 180)]
        if self.task.spec.pair:
            return [{"text": text, "text_pair": text[::-1]} for text in EXAMPLES]
        return list(EXAMPLES)

    def _logits(self, feature: Features) -> np.ndarray:
        import numpy as np

        width = self.task.outputs
        if self.task.head == "sequence":
            return _digest(
                feature["pixels"].tobytes() if "pixels" in feature else _said(feature), width
            )
        words = [feature["text"][start:end] for start, end in feature["spans"]]
        rows = [np.zeros(width, dtype=np.float32)]
        for word in words:
            row = _digest(word, width)
            row[0] += 8.0 if word == word.lower() and word.isascii() else -8.0
            rows.append(row)
        return np.stack(rows)


class _FakeEncoder:
    """The calls that tasks make of an encoder: one token a letter, or a word; 8 x 8 pixels."""

    def sequences(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        joined = texts if pairs is None else [
            first + _SEPARATOR + second for first, second in zip(texts, pairs, strict=True)
        ]  # fmt: skip
        return [
            {
                "input_ids": [ord(letter) for letter in text],
                "token_type_ids": [],
                "truncated": False,
            }
            for text in joined
        ]

    def windows(
        self, texts: Sequence[str], words: Sequence[Sequence[tuple[int, int]]]
    ) -> list[dict[str, Any]]:
        return [
            {
                "example": index,
                "input_ids": [0] * (len(spans) + 1),
                "token_type_ids": [],
                "words": list(range(len(spans))),
                "positions": [place + 1 for place in range(len(spans))],
            }
            for index, spans in enumerate(words)
        ]

    def pixels(self, images: Sequence[bytes]) -> list[np.ndarray]:
        import numpy as np

        from modelwright.encoders.image import open_image

        return [np.asarray(open_image(data).convert("L").resize((8, 8))) for data in images]


def fake_image(shade: int = 0, size: int = 48) -> str:
    """A small png in base64."""
    from PIL import Image

    image = Image.new("RGB", (size, size))
    for x in range(size):
        for y in range(size):
            image.putpixel((x, y), (x * 5 % 256, y * 5 % 256, shade))
    file = io.BytesIO()
    image.save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def _said(feature: Features) -> str:
    return feature.get("text") or "".join(map(chr, feature.get("input_ids", ())))


def _digest(content: str | bytes, width: int) -> np.ndarray:
    """`width` numbers from -4 to 4 that depend on the content alone."""
    import numpy as np

    data = content.encode() if isinstance(content, str) else content
    digest = hashlib.shake_128(data).digest(2 * width)
    return np.frombuffer(digest, dtype="<u2").astype(np.float32) / 8192.0 - 4.0


def _manifest(name: str, task: Any) -> dict[str, Any]:
    manifest: dict[str, Any] = {
        "schema": 1,
        "name": name,
        "task": task.name,
        "created": now(),
        "base": {"id": "none", "licence": "Apache-2.0", "digest": ""},
        "labels": list(task.spec.labels),
        "input": task.input_schema(),
        "output": task.output_schema(),
        "limits": {"max_tokens": 256},
        "task_spec": store_task(task),
        "quality": {"split": "test", "rows": 0, "main": task.main_metric, "metrics": {}},
        "variants": [{"name": "fake", "engine": "fake", "precision": "fp32", "bytes": 0}],
        "default": "fake",
        "lineage": {},
        "files": {},
    }
    manifest["version"] = digest_json([name, manifest["labels"], manifest["input"]])[:12]
    return manifest
