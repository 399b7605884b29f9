"""One bundle in service: what it accepts and takes on, its self-test, and the worker that runs it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

from modelwright.encoders.batches import length_of
from modelwright.engines._bundle import why_no_vectors
from modelwright.engines._schema import Checker
from modelwright.errors import did_you_mean
from modelwright.serve._admission import Admission, QueueLimits
from modelwright.serve._cost import CostModel
from modelwright.serve._golden import read_golden
from modelwright.serve._metrics import Metrics, ModelMeters
from modelwright.serve._pace import Pace
from modelwright.serve._queue import FairQueue, Job, Row
from modelwright.serve._runner import Runner
from modelwright.serve._turns import Turns
from modelwright.serve._worker import ClosingError, Worker
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import Described

if TYPE_CHECKING:
    from modelwright.engines import Bundle
    from modelwright.serve.settings import Settings

EXAMPLES = 5
WARM_UP_S = 0.2
_NUMBER = itertools.count(1)
_LOG = logging.getLogger("modelwright.serve")
_UNREADABLE = "the image cannot be read: not an image, cut short, damaged or far too large"


@final
class ServedModel:
    """A bundle, ready to be asked by many at once.

    Args:
        bundle: opened; what encodes and runs is called from several threads.
        settings: of the service.
        metrics: where it counts.
        turns: shared with the other models of the service.
    """

    def __init__(self, bundle: Bundle, settings: Settings, metrics: Metrics, turns: Turns) -> None:
        self.bundle, self.manifest, self._settings = bundle, bundle.manifest, settings
        self.name, self.version = str(self.manifest["name"]), str(self.manifest["version"])
        self.accepts_files = bundle.task.modality == "image"
        self.max_items = settings.max_items
        self.parameters_schema = parameters_schema(self.manifest["output"])
        self.examples: list[dict[str, Any]] = []
        self.not_ready = "the self-test has not run"
        self._parameters = Checker(self.parameters_schema)
        self._cost, self.pace = CostModel(), Pace()
        self._queue = FairQueue(bundle.limits, settings.max_batch, self._cost)
        self.meters = ModelMeters(self.manifest, bundle.variant, metrics)
        self.meters.batches(bundle.limits, settings.max_batch)
        self._runner = Runner(bundle, self._cost, self.meters, self.drop)
        self._worker = Worker(
            f"{self.name}-{next(_NUMBER)}", self._run, self._queue, bundle.limits.workers, turns
        )
        limits = QueueLimits(
            settings.max_queue_items, settings.max_queue_tokens, settings.max_queue_bytes
        )
        self.admission = Admission(limits, lambda: self._worker.backlog)
        self._users, self._free = 0, asyncio.Event()
        self._metrics = metrics
        metrics.show(self)

    @property
    def ready(self) -> bool:
        """The self-test passed and the worker makes progress."""
        return not self.why_not

    @property
    def why_not(self) -> str:
        """Why it is not ready, or ""."""
        if self.not_ready:
            return self.not_ready
        if not self._worker.alive:
            return "the model's worker has stopped"
        if self._worker.stalled(self._settings.stall_s):
            return f"a call has been running for more than {self._settings.stall_s} s"
        return ""

    @property
    def stuck(self) -> bool:
        """Whether a call has been running for twice as long as makes it not ready."""
        return self._worker.stalled(2 * self._settings.stall_s)

    @property
    def consent(self) -> dict[str, Any] | None:
        """What its recipe allows to record (`serve.record`), or None."""
        return (self.manifest.get("serve") or {}).get("record")

    def described(self) -> Described:
        """What protocols may tell of it."""
        engine = str(self.bundle.variant.get("engine", ""))
        schemas = self.manifest["input"], self.manifest["output"]
        return Described(self.name, self.version, engine, self.ready, *schemas)

    @property
    def deadline_s(self) -> float:
        """Seconds in which requests that say nothing else are answered."""
        given = (self.manifest.get("serve") or {}).get("deadline_ms")
        return min(self._settings.deadline_s, given / 1000 if given else math.inf)

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
        fault = self._parameters.fault(dict(parameters), "parameters") if parameters else None
        for index, item in enumerate(inputs):
            fault = fault or self.bundle.fault(item, f"inputs[{index}]")
            if fault is not None:
                fix = "the schema of an input is in /openapi.json"
                raise ServiceError("MW-702", fault.message, field=fault.field, fix=fix)

    def check_vectors(self, parameters: Mapping[str, Any]) -> None:
        """Refuse who asks for vectors that there are not.

        Raises:
            ServiceError: MW-702.
        """
        if why := why_no_vectors(self.bundle):
            raise ServiceError("MW-702", why[0], field="model", fix=why[1])
        wanted, width = parameters.get("dimensions"), self.bundle.dimensions
        if wanted not in (None, width):
            detail = f"the model's vectors have {width} numbers, {wanted} were asked for"
            raise ServiceError("MW-702", detail, field="dimensions", fix="leave it out")

    def encode(self, inputs: Sequence[Any]) -> list[Any]:
        """Checked inputs as the model reads them; may take long, so large ones go to a thread.

        Raises:
            ServiceError: MW-702 naming an image that cannot be read.
        """
        try:
            return self.bundle.encode(inputs)
        except ValueError as error:
            if not self.accepts_files:
                raise
            raise ServiceError("MW-702", _UNREADABLE, field=self._bad_image(inputs)) from error

    def submit(self, job: Job, turn: float = 0.0) -> float:
        """Queue a job; when its answer is expected, by the engine's time alone.

        Args:
            job: to be answered.
            turn: seconds that the event loop takes to send an answer.

        Raises:
            ServiceError: MW-706 when it would be answered too late, or the model is closing.
        """
        now, wait = time.monotonic(), self._worker.wait(job.caller)
        expected = now + wait + self._queue.alone(job.features)
        late = expected + self.pace.margin(now) + turn - job.deadline
        if wait and late > 0:
            detail = "the answer would come after the request's deadline"
            raise self.admission.refused(detail, "late", late)
        try:
            self._worker.submit(job)
        except ClosingError:
            raise self.admission.refused("the service is stopping", "stopping") from None
        return expected

    def drop(self, job: Job) -> None:
        """Forget what waits of a job."""
        self._worker.drop(job)

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
        if not self.not_ready:
            self._measure(inputs)

    def _measure(self, inputs: Sequence[Any]) -> None:
        """Time single rows, so that the first callers find a cost model; 0.2 s at most."""
        began = time.monotonic()
        for feature in [one for item in inputs for one in self.encode([item])] * 2:
            start = time.monotonic()
            self.bundle.run_batch([feature])
            now = time.monotonic()
            self._cost.learn(self._queue.width(length_of(feature)), 1, now - start)
            if now - began > WARM_UP_S:
                return

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

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        return self._worker.depth

    @property
    def requests(self) -> int:
        """Requests that are not answered yet."""
        return self._users

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """While a request is answered; it is not closed meanwhile."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._free.set()

    async def retire(self) -> None:
        """Close, once the requests that it has are answered; nobody is sent to it any more."""
        while self._users:
            self._free.clear()
            await self._free.wait()
        await asyncio.to_thread(self.close)

    def close(self, timeout: float | None = None) -> None:
        """Answer what waits, then free the bundle."""
        self._metrics.hide(self)
        self._worker.close(timeout)
        self.bundle.close()

    def _run(self, rows: list[Row]) -> None:
        self._runner.run(rows, one_by_one=self._queue.one_by_one(rows[0].width))

    def _bad_image(self, inputs: Sequence[Any]) -> str:
        for index, item in enumerate(inputs):
            try:
                self.bundle.encode([item])
            except ValueError:
                return f"inputs[{index}]"
        return "inputs"


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


def _tie(row: Mapping[str, Any], expected: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Another label, but the expected one scores as it did: two labels stand head to head."""
    tolerance = row.get("tolerance", 0)
    allowed = tolerance.get("score", 0) if isinstance(tolerance, dict) else tolerance
    score = answer.get("scores", {}).get(expected.get("label"))
    return score is not None and abs(score - expected["score"]) <= allowed
