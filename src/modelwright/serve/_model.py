"""One bundle in service: what it accepts, its self-test, and the worker that runs it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from modelwright.engines._schema import Checker
from modelwright.errors import did_you_mean
from modelwright.serve._metrics import Metrics, label_values, labels_and_scores
from modelwright.serve._worker import Job, QueueLimits, Worker
from modelwright.serve.problems import ServiceError

if TYPE_CHECKING:
    from modelwright.engines import Bundle
    from modelwright.serve.settings import Settings

EXAMPLES = 5
_LOG = logging.getLogger("modelwright.serve")
_UNREADABLE = "the image cannot be read: not an image, cut short, damaged or far too large"


@final
class ServedModel:
    """A bundle, ready to be asked by many at once.

    Args:
        bundle: opened; its methods are called from one thread only.
        settings: of the service.
        metrics: where it counts.
    """

    def __init__(self, bundle: Bundle, settings: Settings, metrics: Metrics) -> None:
        self.bundle, self.manifest = bundle, bundle.manifest
        self.name, self.version = str(self.manifest["name"]), str(self.manifest["version"])
        self.accepts_files = bundle.task.modality == "image"
        self.max_items = settings.max_items
        self.parameters_schema = parameters_schema(self.manifest["output"])
        self.examples: list[dict[str, Any]] = []
        self.not_ready = "the self-test has not run"
        self._parameters = Checker(self.parameters_schema)
        self._meters = _Meters(self.manifest, bundle.variant, metrics)
        limits = QueueLimits(settings.max_batch, settings.max_queue_items, settings.max_queue_bytes)
        self._worker = Worker(self.name, self._answer, limits)
        metrics.queue_depth.labels(self.name, self.version).set_function(lambda: self._worker.depth)
        metrics.ready.labels(self.name, self.version).set_function(lambda: float(self.ready))

    @property
    def ready(self) -> bool:
        """The self-test passed and the worker's thread lives."""
        return not self.not_ready and self._worker.alive

    # -- asking -----------------------------------------------------------------------------------
    def check(self, inputs: Sequence[Any], parameters: Mapping[str, Any]) -> None:
        """Refuse what the model must not see.

        Raises:
            ServiceError: MW-702 with the field, the first fault of the first wrong item.
        """
        for name in parameters:
            if name not in self.parameters_schema["properties"]:
                known = list(self.parameters_schema["properties"])
                fix = did_you_mean(name[:64], known) if known else "this model takes no parameters"
                field = f"parameters.{name[:64]}"
                raise ServiceError("MW-702", "is not a known parameter", field=field, fix=fix)
        fault = self._parameters.fault(dict(parameters), "parameters")
        for index, item in enumerate(inputs):
            fault = fault or self.bundle.fault(item, f"inputs[{index}]")
            if fault is not None:
                fix = "the schema of an input is in /openapi.json"
                raise ServiceError("MW-702", fault.message, field=fault.field, fix=fix)

    def submit(self, inputs: Sequence[Any], size: int) -> Future[list[dict[str, Any]]]:
        """Queue checked inputs; raises `QueueFullError`."""
        job = Job(inputs, size)
        self._worker.submit(job)
        return job.answer

    def uploaded(self, data: str) -> Any:
        """A file's base64 in the shape that the input schema asks for."""
        schema = self.manifest["input"]
        for branch in schema.get("anyOf", [schema]):
            if branch.get("type") == "string":
                return data
        return {next(iter(schema.get("properties", {"image": {}}))): data}

    # -- the self-test ----------------------------------------------------------------------------
    def warm_up(self) -> None:
        """Replay golden rows before anybody asks; sets `examples` and `not_ready`. Never raises.

        The answers go past the worker, so that the metrics count only what callers asked.
        """
        golden = read_golden(self.bundle.folder, EXAMPLES)
        inputs = [row["input"] for row in golden] or (
            [] if self.accepts_files else [self._sample()]
        )
        try:
            answers = self.bundle.predict(inputs) if inputs else []
        except Exception:  # noqa: BLE001 - a broken model must not stop the others
            _LOG.exception("the model %s failed its self-test", self.name)
            self.not_ready = "the model fails on its own examples"
            return
        self.not_ready = self._judge(golden, answers)
        self.examples = [
            {"input": item, "output": answer} for item, answer in zip(inputs, answers, strict=True)
        ]

    def _judge(self, golden: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> str:
        """Why the self-test failed, or ""."""
        variant = self.bundle.variant.get("name", "")
        for row, answer in zip(golden, answers, strict=False):  # no golden rows: only asked
            expected = row.get("outputs", {}).get(variant, row["output"])
            if self.bundle.task.agreement([expected], [answer]) < 1 and not _tie(
                row, expected, answer
            ):
                return "golden rows gave another answer on this machine (MW-603); run `mw verify`"
        return ""

    def _sample(self) -> Any:
        pair = "text_pair" in self.manifest["input"].get("properties", {})
        return {"text": "hello", "text_pair": "hello"} if pair else "hello"

    def close(self, timeout: float | None = None) -> None:
        """Answer what waits, then free the bundle."""
        self._worker.close(timeout)
        self.bundle.close()

    # -- in the worker's thread -------------------------------------------------------------------
    def _answer(self, jobs: list[Job]) -> None:
        started = time.perf_counter()
        encoded: list[tuple[Job, list[Any]]] = []
        for job in jobs:
            self._meters.queue_seconds.observe(started - job.arrived)
            try:
                encoded.append((job, self._encode(job)))
            except Exception as error:  # noqa: BLE001 - it becomes this job's answer
                job.answer.set_exception(error)
        if encoded:
            self._run(encoded)

    def _encode(self, job: Job) -> list[Any]:
        try:
            return self.bundle.encode(job.inputs)
        except ValueError as error:
            if not self.accepts_files:
                raise
            raise ServiceError("MW-702", _UNREADABLE, field=self._bad_image(job)) from error

    def _bad_image(self, job: Job) -> str:
        for index, item in enumerate(job.inputs):
            try:
                self.bundle.encode([item])
            except ValueError:
                return f"inputs[{index}]"
        return "inputs"

    def _run(self, encoded: list[tuple[Job, list[Any]]]) -> None:
        """Answer several jobs by one call; after a failure each job runs alone."""
        features = [feature for _, part in encoded for feature in part]
        try:
            logits = self._logits(features)
        except Exception as error:  # noqa: BLE001 - one bad request must not fail the others
            if len(encoded) == 1:
                encoded[0][0].answer.set_exception(error)
                return
            for one in encoded:
                self._run([one])
            return
        start = 0
        for job, part in encoded:
            try:
                answers = self.bundle.task.decode(logits[start : start + len(part)], part)
                self._meters.count(answers)
                job.answer.set_result(answers)
            except Exception as error:  # noqa: BLE001 - as above
                job.answer.set_exception(error)
            start += len(part)

    def _logits(self, features: list[Any]) -> list[Any]:
        began = time.perf_counter()
        logits = self.bundle.logits(features)
        self._meters.inference_seconds.observe(time.perf_counter() - began)
        self._meters.batch_size.observe(len(features))
        self._meters.tokens.inc(sum(len(feature.get("input_ids", ())) for feature in features))
        return logits


class _Meters:
    """The metrics of one model, with its labels already set."""

    def __init__(
        self, manifest: Mapping[str, Any], variant: Mapping[str, Any], metrics: Metrics
    ) -> None:
        key = (str(manifest["name"]), str(manifest["version"]))
        self.queue_seconds = metrics.queue_seconds.labels(*key)
        self.inference_seconds = metrics.inference_seconds.labels(*key)
        self.batch_size = metrics.batch_size.labels(*key)
        self.tokens = metrics.tokens.labels(*key)
        self.confidence = metrics.confidence.labels(*key)
        self._by_label = {
            label: metrics.predictions.labels(*key, label) for label in label_values(manifest)
        }
        self._other = metrics.predictions.labels(*key, "other")
        about = (manifest["task"], variant.get("name", ""), variant.get("engine", ""))
        metrics.model_info.labels(*key, *map(str, about)).set(1)

    def count(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Count what was answered."""
        for answer in answers:
            for label, score in labels_and_scores(answer):
                self._by_label.get(label, self._other).inc()
                if score is not None:
                    self.confidence.observe(score)


def parameters_schema(output: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema of the request's `parameters`: what can be asked of answers with `scores`."""
    properties: dict[str, Any] = {}
    if "scores" in output.get("properties", {}):
        properties = {
            "scores": {
                "type": "boolean",
                "default": False,
                "description": "Answer with the score of every label.",
            },
            "top_k": {
                "type": "integer",
                "minimum": 1,
                "maximum": 1000,
                "description": "Answer with the scores of the best k labels, best first.",
            },
        }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def shaped(prediction: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The prediction with as many scores as were asked for (none unless asked)."""
    answer = dict(prediction)
    scores = answer.pop("scores", None)
    top = parameters.get("top_k")
    if scores is not None and (parameters.get("scores") or top):
        best = sorted(scores.items(), key=lambda item: -item[1])[: int(top)] if top else scores
        answer["scores"] = dict(best)
    return answer


def read_golden(folder: Path, most: int) -> list[dict[str, Any]]:
    """The first rows of `golden.jsonl` (`input`, `output`, `tolerance`); [] where there is none."""
    path = Path(folder) / "golden.jsonl"
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            if len(rows) == most:
                break
            if line.strip():
                rows.append(json.loads(line))
    return rows


def _tie(row: Mapping[str, Any], expected: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Another label, but the expected one scores as it did: two labels stand head to head."""
    tolerance = row.get("tolerance", 0)
    allowed = tolerance.get("score", 0) if isinstance(tolerance, dict) else tolerance
    score = answer.get("scores", {}).get(expected.get("label"))
    return score is not None and abs(score - expected["score"]) <= allowed
