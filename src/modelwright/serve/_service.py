"""The service without HTTP: finds the model, has it checked and asked, names what failed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from modelwright.encoders.batches import length_of
from modelwright.errors import UserError, did_you_mean
from modelwright.runtime.machine import cores
from modelwright.serve._keys import Key, KeyRing
from modelwright.serve._metrics import Metrics
from modelwright.serve._model import ServedModel, shaped
from modelwright.serve._queue import Job
from modelwright.serve._recording import Origin, Recorder
from modelwright.serve._runner import RowError
from modelwright.serve._turns import Turns
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import PredictRequest, Standing
from modelwright.serve.settings import Settings

if TYPE_CHECKING:
    from modelwright.engines import Bundle

_LOG = logging.getLogger("modelwright.serve")
INLINE_BYTES = 4096
"""Texts of a request up to this size are encoded at once, in some hundred microseconds."""
WATCH_S = 0.02


class CallerLeftError(Exception):
    """Nobody waits for the answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a thing that takes time and room.

    Attributes:
        size: bytes of it.
        caller: who shares fairly with others.
        began: when it came, in seconds of the monotonic clock.
        request_id: the caller's, or made up.
        deadline_s: seconds after which its answer is worth nothing; 0 for the model's own.
        gone: returns when the caller has left.
    """

    size: int
    caller: str
    began: float
    request_id: str = ""
    deadline_s: float = 0.0
    gone: Callable[[], Awaitable[None]] | None = None


@final
class Service:
    """The models of one process.

    Args:
        bundles: opened bundles; the first is the one that requests without `model` mean.
        settings: see `Settings`.

    Raises:
        UserError: MW-805 when there is no bundle or two share a name.
    """

    def __init__(self, bundles: Sequence[Bundle], settings: Settings) -> None:
        names = [str(bundle.manifest["name"]) for bundle in bundles]
        if not names or len(set(names)) < len(names):
            raise UserError(
                "MW-805",
                f"the bundles to serve are named {names}",
                expected="at least one bundle, each with its own name",
                fix="serve two versions of one model on two ports",
            )
        self.settings, self.metrics, self.draining = settings, Metrics(), False
        self.keys = KeyRing(settings.keys) if settings.keys else None
        self.recorder = Recorder(settings.traffic, settings.traffic_bytes, self.metrics)
        self._encoders = ThreadPoolExecutor(max(2, cores()), thread_name_prefix="encode")
        turns = Turns()
        self.models = {
            model.name: model
            for model in (ServedModel(bundle, settings, self.metrics, turns) for bundle in bundles)
        }
        self.default = next(iter(self.models.values()))
        for model in self.models.values():
            model.warm_up()

    def state(self) -> dict[str, Any]:
        """What /health/ready says: `ready`, and why not."""
        reasons = {model.name: why for model in self.models.values() if (why := model.why_not)}
        ready = not reasons and not self.draining
        status = "draining" if self.draining else "ready" if ready else "not ready"
        return {"status": status, "ready": ready, "models": sorted(self.models), "reasons": reasons}

    def standing(self) -> Standing:
        """What protocols may tell."""
        described = {name: model.described() for name, model in self.models.items()}
        return Standing(bool(self.state()["ready"]), described)

    def find(self, name: str | None, version: str | None = None) -> ServedModel:
        """The model asked for.

        Raises:
            ServiceError: MW-703.
        """
        if name is None:
            return self.default
        if name not in self.models:
            fix = did_you_mean(name[:64], self.models)
            detail = f"there is no model {name[:64]!r}"
            raise ServiceError("MW-703", detail, field="model", fix=fix)
        model = self.models[name]
        if version not in (None, model.version):
            detail = f"the model {name} has no version {version[:64]!r}"
            raise ServiceError("MW-703", detail, fix=f"the version served is {model.version}")
        return model

    def charge(self, key: Key | None, inputs: int) -> None:
        """Count inputs against a key's rate; raises MW-711."""
        if self.keys is not None and key is not None:
            self.keys.spend(key, inputs)

    async def predict(self, model: ServedModel, request: PredictRequest, call: Call) -> list[Any]:
        """Check, encode, queue and await.

        Args:
            model: from `find`.
            request: as the protocol understood it.
            call: who asks, how much and until when.

        Raises:
            ServiceError: what the caller is told; nothing else but `CallerLeftError`.
        """
        if self.draining or not model.ready:
            why = "the service is stopping" if self.draining else model.why_not
            raise model.admission.refused(why)
        inputs = self._inputs(model, request)
        model.check(inputs, request.parameters)
        stay = model.admission.enter(len(inputs), call.size)
        try:
            features = await self._encode(model, inputs, call.size)
            stay.add(0, sum(map(length_of, features)), sum(map(_pixel_bytes, features)))
            answers = await self._answers(model, features, len(inputs), call)
        except (ServiceError, CallerLeftError):
            raise
        except Exception as error:  # noqa: BLE001 - the caller is told without internals
            raise _failed(model, error) from None
        finally:
            stay.leave()
        origin = Origin(call.request_id, model.name, model.version)
        self.recorder.answered(origin, model.consent, inputs, answers)
        return [shaped(answer, request.parameters) for answer in answers]

    async def _encode(self, model: ServedModel, inputs: list[Any], size: int) -> list[Any]:
        """Features; what may take long is made in a thread, so that it stalls nobody."""
        if size < INLINE_BYTES and not model.accepts_files:
            return model.encode(inputs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._encoders, model.encode, inputs)

    async def _answers(
        self, model: ServedModel, features: list[Any], inputs: int, call: Call
    ) -> list[Any]:
        """Queue the features and wait: for the answers, the deadline, or that the caller leaves."""
        loop = asyncio.get_running_loop()
        seconds = min(call.deadline_s or model.deadline_s, self.settings.deadline_s)
        deadline = call.began + seconds
        job = Job(
            features, inputs, call.caller, time.monotonic(), deadline, loop, loop.create_future()
        )
        late = loop.call_later(max(0.0, deadline - job.arrived), _late, job, seconds)
        watch = _Watch(job, call.gone)
        try:
            model.submit(job)
            return await job.answer
        finally:
            late.cancel()
            watch.stop()
            if not job.dead and job.left:
                model.drop(job)

    def _inputs(self, model: ServedModel, request: PredictRequest) -> list[Any]:
        if not request.uploaded:
            return request.inputs
        if not model.accepts_files:
            detail = f"the model {model.name} does not read files"
            raise ServiceError("MW-705", detail, fix="send application/json")
        return [model.uploaded(data) for data in request.inputs]

    def close(self, timeout: float | None = None) -> None:
        """Answer what waits, then free the bundles."""
        self.draining = True
        for model in self.models.values():
            model.close(timeout)
        self.recorder.close()
        self._encoders.shutdown(wait=False, cancel_futures=True)


@final
class _Watch:
    """Notices that a caller left, once an answer takes long enough for it to matter."""

    def __init__(self, job: Job, gone: Callable[[], Awaitable[None]] | None) -> None:
        self._job, self._gone = job, gone
        self._task: asyncio.Task[None] | None = None
        self._timer = job.loop.call_later(WATCH_S, self._start) if gone else None

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _start(self) -> None:
        self._task = self._job.loop.create_task(self._look())

    async def _look(self) -> None:
        if self._gone is not None:
            await self._gone()
            if not self._job.answer.done():
                self._job.answer.set_exception(CallerLeftError())


def _late(job: Job, seconds: float) -> None:
    if not job.answer.done():
        detail = f"no answer within {seconds:g} s"
        fix = "allow more time in X-Deadline-Ms, or send fewer inputs"
        job.answer.set_exception(ServiceError("MW-707", detail, fix=fix))


def _failed(model: ServedModel, error: Exception) -> ServiceError:
    """What is logged is not what is told."""
    _LOG.error("%s failed", model.name, exc_info=error)
    field = f"inputs[{error.index}]" if isinstance(error, RowError) else ""
    detail = "the model failed; the service goes on"
    return ServiceError("MW-709", detail, field=field, fix="report the request_id")


def _pixel_bytes(feature: Any) -> int:
    return feature["pixels"].nbytes if "pixels" in feature else 0
