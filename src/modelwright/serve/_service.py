"""The service without HTTP: finds the model, has it checked and asked, names what failed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, final

from modelwright.encoders.batches import length_of
from modelwright.errors import UserError, did_you_mean
from modelwright.runtime.machine import cores
from modelwright.serve._body import Coming, Room
from modelwright.serve._keys import Key, KeyRing
from modelwright.serve._metrics import Metrics, promised_s
from modelwright.serve._model import ServedModel, shaped
from modelwright.serve._pace import LoopClock
from modelwright.serve._queue import Job
from modelwright.serve._recording import Origin, Recorder
from modelwright.serve._rollout import Slot
from modelwright.serve._runner import RowError
from modelwright.serve._stages import Stages
from modelwright.serve._turns import Turns
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import PredictRequest, Standing
from modelwright.serve.settings import Settings

if TYPE_CHECKING:
    from modelwright.engines import Bundle

_LOG = logging.getLogger("modelwright.serve")
INLINE_BYTES = 4096
"""Texts of a request up to this size are encoded at once, in some hundred microseconds."""
WATCH_S = 0.1
"""An answer that takes longer is worth the work of seeing whether anybody still waits for it."""
PATIENT_S = 1.0
"""An answer that comes later than a caller's own deadline speaks against a canary only where the
caller allowed this much: who allows a millisecond could end any trial."""


_Made = TypeVar("_Made")


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
        stages: notes where its time goes.
        trace_id: of the trace that it belongs to, if any.
    """

    size: int
    caller: str
    began: float
    request_id: str = ""
    deadline_s: float = 0.0
    gone: Callable[[], Awaitable[None]] | None = None
    stages: Stages = field(default_factory=Stages)
    trace_id: str = ""


@final
class Service:
    """The models of one process.

    Args:
        bundles: opened bundles; the first is the one that requests without `model` mean. None where
            a state says that all were unloaded.
        settings: see `Settings`.

    Raises:
        UserError: MW-805 when there is no bundle or two share a name.
    """

    def __init__(self, bundles: Sequence[Bundle], settings: Settings) -> None:
        names = [str(bundle.manifest["name"]) for bundle in bundles]
        if not (names or settings.state) or len(set(names)) < len(names):
            raise UserError(
                "MW-805",
                f"the bundles to serve are named {names}",
                expected="at least one bundle, each with its own name",
                fix="serve one of them; the admin port tries another version beside it",
            )
        self.settings, self.draining = settings, False
        self.metrics = Metrics(promised_s(bundle.manifest) for bundle in bundles)
        self.keys = KeyRing(settings.keys) if settings.keys else None
        self.recorder = Recorder(settings.traffic, settings.traffic_bytes, self.metrics)
        self._room = Room(settings.max_queue_bytes)
        self._encoders = ThreadPoolExecutor(max(2, cores()), thread_name_prefix="encode")
        self._comparing: set[asyncio.Task[None]] = set()
        self._clock: LoopClock | None = None
        self._turns = Turns()
        self.slots = {
            name: Slot(self.served(one)) for name, one in zip(names, bundles, strict=True)
        }
        self.metrics.tell_roles(self._roles)
        self.generation = 0  # counts changes of what is served
        self.withdraw: Callable[[Slot, str], None] = _nobody_to_withdraw

    def served(self, bundle: Bundle) -> ServedModel:
        """A bundle with its worker, after its self-test; nobody is sent to it yet."""
        model = ServedModel(bundle, self.settings, self.metrics, self._turns)
        model.warm_up()
        return model

    @property
    def models(self) -> dict[str, ServedModel]:
        """The stable versions by name."""
        return {name: slot.stable for name, slot in self.slots.items()}

    def _roles(self) -> Iterator[tuple[str, str, str, float]]:
        """Name, version, role and share of the requests of every model that is loaded."""
        for name, slot in list(self.slots.items()):
            trial = slot.share if slot.canary is not None else 0.0
            shares = {"stable": 1.0 - trial, "canary": trial}
            for role, model in slot.models():
                yield name, model.version, role, shares.get(role, 0.0)

    def state(self) -> dict[str, Any]:
        """What /health/ready says: `ready`, and why not."""
        models = self.models
        reasons = {name: why for name, model in models.items() if (why := model.why_not)}
        if not models:
            reasons = {"": "no model is served"}
        ready = not reasons and not self.draining
        status = "draining" if self.draining else "ready" if ready else "not ready"
        return {"status": status, "ready": ready, "models": sorted(models), "reasons": reasons}

    def standing(self) -> Standing:
        """What protocols may tell."""
        described = {
            name: [one.described() for one in (slot.stable, slot.canary) if one is not None]
            for name, slot in self.slots.items()
        }
        return Standing(bool(self.state()["ready"]), self.live, described)

    @property
    def live(self) -> bool:
        """Whether the models make progress: no call has been running for long."""
        return not any(
            model.stuck for slot in list(self.slots.values()) for _, model in slot.models()
        )

    def find(
        self, name: str | None, version: str | None = None, request_id: str = ""
    ) -> ServedModel:
        """The model asked for: where a canary is on trial, it for its share of the requests.

        Raises:
            ServiceError: MW-703.
        """
        if name is None:
            name = next(iter(self.slots), "")
        slot = self.slots.get(name)
        if slot is None:
            fix = did_you_mean(name[:64], self.slots) if self.slots else "no model is served"
            detail = f"there is no model {name[:64]!r}"
            raise ServiceError("MW-703", detail, field="model", fix=fix)
        if version is None:
            return slot.chosen(request_id)
        if (model := slot.find(version)) is None:
            detail = f"the model {name} has no version {version[:64]!r}"
            raise ServiceError("MW-703", detail, fix=f"the version served is {slot.stable.version}")
        return model

    def coming(self, most: int) -> Coming:
        """A body of at most so many bytes."""
        return Coming(most, self.settings.body_s, self._room)

    def charge(self, key: Key | None, inputs: int) -> None:
        """Count inputs against a key's rate; raises MW-711."""
        if self.keys is not None and key is not None:
            self.keys.spend(key, inputs)

    async def predict(
        self, model: ServedModel, request: PredictRequest, call: Call
    ) -> tuple[ServedModel, list[Any]]:
        """Who answered, and the answers; what a canary fails is answered by the stable version,
        unless the canary was asked for.

        Args:
            model: from `find`.
            request: as the protocol understood it.
            call: who asks, how much and until when.

        Raises:
            ServiceError: what the caller is told; nothing else but `CallerLeftError`.
        """
        slot = self.slots.get(model.name)
        try:
            answers = await self._watched(slot, model, request, call)
        except ServiceError as error:
            if slot is None or model is slot.stable or request.version is not None:
                raise
            if error.code not in ("MW-706", "MW-709"):
                raise
            model = slot.stable
            answers = await self._watched(slot, model, request, call)
        if request.vectors:
            return model, answers
        self.recorder.answered(
            Origin(call.request_id, model.name, model.version),
            model.consent,
            request.inputs,
            answers,
        )
        if slot is not None and slot.shadow is not None and not model.waiting:
            self._compare(slot.shadow, request, call, answers)
        return model, [shaped(answer, request.parameters) for answer in answers]

    async def _watched(
        self, slot: Slot | None, model: ServedModel, request: PredictRequest, call: Call
    ) -> list[Any]:
        """The answers; during a trial, errors and time are noted."""
        if slot is None or slot.canary is None:
            return await self._ask(model, request, call)
        began = time.monotonic()
        try:
            answers = await self._ask(model, request, call)
        except ServiceError as error:
            hasty = error.code != "MW-709" and 0 < call.deadline_s < PATIENT_S
            if error.status >= 500 and not hasty:  # else it was the caller's doing
                self._note(slot, model, began, failed=True)
            raise
        self._note(slot, model, began, failed=False)
        return answers

    def _note(self, slot: Slot, model: ServedModel, began: float, *, failed: bool) -> None:
        """Count a request of a trial, and end the trial where it was one too many."""
        canary = model is slot.canary
        if canary or model is slot.stable:
            seconds = time.monotonic() - began
            self.metrics.tried(model, seconds, canary=canary, failed=failed)
            slot.trial.note(seconds, canary=canary, failed=failed)
            if slot.canary is not None and (why := slot.trial.verdict()):
                self.withdraw(slot, why)

    def _compare(
        self, shadow: ServedModel, request: PredictRequest, call: Call, answers: list[Any]
    ) -> None:
        """Ask a shadow the same, for nobody but the metrics; left out while it is busy."""
        if shadow.admission.items >= self.settings.max_batch:
            return
        quiet = Call(call.size, "shadow", time.monotonic(), call.request_id)

        async def ask() -> None:
            try:
                found = await self._ask(shadow, request, quiet)
                same = shadow.bundle.task.agreement(answers, found)
            except (ServiceError, CallerLeftError):
                self.metrics.shadow_failures.labels(shadow.name, shadow.version).inc()
                return
            self.metrics.shadow_answers.labels(shadow.name, shadow.version, "same").inc(
                round(same * len(found))
            )
            self.metrics.shadow_answers.labels(shadow.name, shadow.version, "other").inc(
                len(found) - round(same * len(found))
            )

        task = asyncio.get_running_loop().create_task(ask())
        self._comparing.add(task)
        task.add_done_callback(self._comparing.discard)

    async def _ask(self, model: ServedModel, request: PredictRequest, call: Call) -> list[Any]:
        """Check, encode, queue and await."""
        if self.draining or not model.ready:
            why = "the service is stopping" if self.draining else model.why_not
            raise model.admission.refused(why, "stopping" if self.draining else "not-ready")
        inputs = self._inputs(model, request)
        model.check(inputs, {} if request.vectors else request.parameters)
        if request.vectors:
            model.check_vectors(request.parameters)
        with model.in_use():
            stay = model.admission.enter(len(inputs), call.size)
            try:
                began = time.monotonic()
                features = await self._encode(model, inputs, call)
                call.stages.note("tokenise", began)
                stay.add(0, sum(map(length_of, features)), sum(map(_pixel_bytes, features)))
                deadline = call.began - self._unseen() + self._seconds(model, call)
                job = _job(features, len(inputs), call.caller, deadline)
                job.vectors = request.vectors
                return await self._answers(model, job, call)
            except (ServiceError, CallerLeftError):
                raise
            except Exception as error:  # noqa: BLE001 - the caller is told without internals
                raise _failed(model, error, call) from None
            finally:
                stay.leave()

    async def _encode(self, model: ServedModel, inputs: list[Any], call: Call) -> list[Any]:
        """Features; what may take long is made in a thread, so that it stalls nobody."""
        if call.size < INLINE_BYTES and not model.accepts_files:
            return model.encode(inputs)
        loop = asyncio.get_running_loop()
        made = loop.run_in_executor(self._encoders, model.encode, inputs)
        return await while_wanted(made, call.began, self._seconds(model, call), call.gone)

    async def _answers(self, model: ServedModel, job: Job, call: Call) -> list[Any]:
        """Queue a job and wait: for the answers, the deadline, or that the caller leaves."""
        watch = _Watch(job, call.gone, self._seconds(model, call))
        try:
            expected = model.submit(job, self._unseen())
            answers = await job.answer
            model.pace.note(expected, time.monotonic())
            return answers
        finally:
            call.stages.note("queue", job.arrived, job.taken)
            if job.taken:
                call.stages.note("inference", job.taken)
            watch.stop()
            if not job.dead and job.left:
                model.drop(job)

    def _unseen(self) -> float:
        """Seconds that a request waited for the event loop before it was seen: the loop comes round
        to read it, and once more to begin with it."""
        if self._clock is None:
            self._clock = LoopClock(asyncio.get_running_loop())
        return 2 * self._clock.turn

    def _seconds(self, model: ServedModel, call: Call) -> float:
        """In which a request is answered."""
        return min(call.deadline_s or model.deadline_s, self.settings.deadline_s)

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
        for slot in self.slots.values():
            for _, model in slot.models():
                model.close(timeout)
        self.recorder.close()
        self._encoders.shutdown(wait=False, cancel_futures=True)
        if self._clock is not None:
            self._clock.stop()


@final
class _Watch:
    """Ends the wait for an answer at its deadline, or when the caller has left. One timer at a time.

    Args:
        job: that is waited for.
        gone: returns when the caller has left.
        seconds: that the caller was ready to wait.
    """

    def __init__(
        self, job: Job, gone: Callable[[], Awaitable[None]] | None, seconds: float
    ) -> None:
        self._job, self._gone, self._seconds = job, gone, seconds
        self._task: asyncio.Task[None] | None = None
        left = job.deadline - job.arrived
        if gone is not None and left > WATCH_S:
            self._timer = job.loop.call_later(WATCH_S, self._start)
        else:
            self._timer = job.loop.call_later(max(0.0, left), self._late)

    def stop(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _start(self) -> None:
        left = self._job.deadline - time.monotonic()
        self._timer = self._job.loop.call_later(max(0.0, left), self._late)
        self._task = self._job.loop.create_task(self._look())

    def _late(self) -> None:
        if not self._job.answer.done():
            self._job.answer.set_exception(_late(self._seconds))

    async def _look(self) -> None:
        if self._gone is not None:
            await self._gone()
            if not self._job.answer.done():
                self._job.answer.set_exception(CallerLeftError())


async def while_wanted(
    made: Awaitable[_Made],
    began: float,
    seconds: float,
    gone: Callable[[], Awaitable[None]] | None,
) -> _Made:
    """What a thread makes of a request, as long as that is of use to anybody.

    Args:
        made: is cancelled when it is not: what has not begun never will.
        began: when the request came, in seconds of the monotonic clock.
        seconds: in which it is answered.
        gone: returns when the caller has left.

    Raises:
        CallerLeftError: the caller has left.
        ServiceError: MW-707.
    """
    work = asyncio.ensure_future(made)
    leaving = asyncio.ensure_future(gone()) if gone is not None else None
    awaited = {one for one in (work, leaving) if one is not None}
    try:
        left = max(0.0, began + seconds - time.monotonic())
        await asyncio.wait(awaited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise CallerLeftError if leaving is not None and leaving.done() else _late(seconds)
    finally:
        for one in awaited:
            one.cancel()


def _late(seconds: float) -> ServiceError:
    detail = f"no answer within {seconds:g} s"
    fix = "allow more time in X-Deadline-Ms, or send fewer inputs"
    return ServiceError("MW-707", detail, fix=fix)


def _nobody_to_withdraw(slot: Slot, why: str) -> None:
    """Without a deployer there is never a canary."""


def _job(features: list[Any], inputs: int, caller: str, deadline: float) -> Job:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    return Job(features, inputs, caller, time.monotonic(), deadline, loop, future)


def _failed(model: ServedModel, error: Exception, call: Call) -> ServiceError:
    """What is logged is not what is told."""
    fields = {"request_id": call.request_id, "model": model.name, "version": model.version}
    if call.trace_id:
        fields["trace_id"] = call.trace_id
    _LOG.error("a model failed", exc_info=error, extra={"fields": fields})
    field = f"inputs[{error.index}]" if isinstance(error, RowError) else ""
    detail = "the model failed; the service goes on"
    return ServiceError("MW-709", detail, field=field, fix="report the request_id")


def _pixel_bytes(feature: Any) -> int:
    return feature["pixels"].nbytes if "pixels" in feature else 0
