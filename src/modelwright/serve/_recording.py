"""What monitoring will read: a sample of requests, and every true answer that is sent back.

Requests are kept only where the model's recipe says so (`serve.record`), and what callers sent only
where it says that too. Whether a request is in the sample follows from its id, so that replicas and
feedback agree. True answers are compared with what was answered a short while ago: the quality of
the last thousand is a metric.
"""

from __future__ import annotations

import json
import time
import zlib
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from modelwright.artifacts.traffic import TrafficWriter
from modelwright.metrics.feedback import judge, truth_of
from modelwright.serve._metrics import Metrics

REMEMBERED = 20_000
"""Predictions that feedback is compared with; older ones are forgotten."""
WINDOW = 1_000
"""True answers that live quality speaks of."""


_TOLD = object()
"""Stands for an answer whose truth was told: told again it does not count again."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which request, and which model answered it."""

    request_id: str
    model: str
    version: str


@final
class Recorder:
    """Records for all models of a service. Used from the event loop's thread.

    Args:
        folder: of the files; None keeps nothing on disk.
        most_bytes: of the files of requests, and of those of feedback.
        metrics: where live quality is told.
    """

    def __init__(self, folder: Path | None, most_bytes: int, metrics: Metrics) -> None:
        self._requests = TrafficWriter(folder, "requests", most_bytes) if folder else None
        self._feedback = TrafficWriter(folder, "feedback", most_bytes) if folder else None
        self._memory: OrderedDict[str, tuple[Origin, list[Any]]] = OrderedDict()
        self._held = 0
        self._quality: dict[tuple[str, str], deque[float]] = {}
        self._metrics = metrics
        writers = [one for one in (self._requests, self._feedback) if one is not None]
        metrics.traffic_dropped.set_function(lambda: sum(one.dropped for one in writers))

    def answered(
        self,
        origin: Origin,
        consent: Mapping[str, Any] | None,
        inputs: Sequence[Any],
        predictions: Sequence[Mapping[str, Any]],
    ) -> None:
        """Remember what was answered, and keep it where the recipe allows."""
        self._remember(origin, [truth_of(one) for one in predictions])
        if self._requests is None or not consent:
            return
        if not sampled(origin.request_id, float(consent.get("share", 0.0))):
            return
        now, told = _now(), bool(consent.get("inputs"))
        self._requests.add(
            [
                _request_row(origin, now, index, item if told else None, one)
                for index, (item, one) in enumerate(zip(inputs, predictions, strict=True))
            ]
        )

    def corrected(self, request_id: str, index: int, label: Any) -> bool:
        """Take a true answer; whether the prediction was still known."""
        origin, answers = self._memory.get(request_id, (Origin(request_id, "", ""), []))
        known = index < len(answers)
        if self._feedback is not None:
            row = {**_row(origin, _now(), index), "label": _json(label)}
            self._feedback.add([row])
        if known and answers[index] is not _TOLD:
            self._judge(origin, answers[index], label)
            answers[index] = _TOLD
        return known

    def close(self) -> None:
        """Write what is left."""
        for writer in (self._requests, self._feedback):
            if writer is not None:
                writer.close()

    def _remember(self, origin: Origin, answers: list[Any]) -> None:
        if (old := self._memory.pop(origin.request_id, None)) is not None:
            self._held -= len(old[1])
        self._memory[origin.request_id] = (origin, answers)
        self._held += len(answers)
        while self._held > REMEMBERED and len(self._memory) > 1:
            _, (_, forgotten) = self._memory.popitem(last=False)
            self._held -= len(forgotten)

    def _judge(self, origin: Origin, answer: Any, label: Any) -> None:
        judged = judge(answer, label)
        if judged is None:
            return
        metric, value = judged
        seen = self._quality.setdefault((origin.model, metric), deque(maxlen=WINDOW))
        seen.append(value)
        mean = sum(seen) / len(seen)
        self._metrics.live_quality.labels(origin.model, metric).set(mean)


def sampled(request_id: str, share: float) -> bool:
    """Whether a request is in a sample of this share."""
    return zlib.crc32(request_id.encode()) < share * 2**32


def _request_row(
    origin: Origin, now: int, index: int, item: Any, prediction: Mapping[str, Any]
) -> dict[str, Any]:
    row, label = _row(origin, now, index), prediction.get("label")
    row["input"] = None if item is None else _json(item)
    row["prediction"] = _json(_kept(prediction, quotes=item is not None))
    row["label"] = None if label is None else str(label)
    row["score"] = prediction.get("score")
    return row


def _kept(prediction: Mapping[str, Any], *, quotes: bool) -> dict[str, Any]:
    """An answer without the scores of other labels; `quotes` keeps words of the caller's text."""
    found = {name: value for name, value in prediction.items() if name != "scores"}
    if "entities" in found and not quotes:
        found["entities"] = [
            {name: value for name, value in entity.items() if name != "text"}
            for entity in found["entities"]
        ]
    return found


def _row(origin: Origin, now: int, index: int) -> dict[str, Any]:
    return {
        "time": now,
        "request_id": origin.request_id,
        "index": index,
        "model": origin.model,
        "version": origin.version,
    }


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""`json.dumps` would make an encoder for each row."""


def _now() -> int:
    return time.time_ns() // 1_000_000
