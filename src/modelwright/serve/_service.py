"""The service without HTTP: finds the model, has it checked and asked, names what failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

from modelwright.errors import UserError, did_you_mean
from modelwright.serve._metrics import Metrics
from modelwright.serve._model import ServedModel, shaped
from modelwright.serve._worker import QueueFullError
from modelwright.serve.problems import ServiceError
from modelwright.serve.protocols import PredictRequest
from modelwright.serve.settings import Settings

if TYPE_CHECKING:
    from modelwright.engines import Bundle

_LOG = logging.getLogger("modelwright.serve")


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
        self.models = {
            model.name: model
            for model in (ServedModel(bundle, settings, self.metrics) for bundle in bundles)
        }
        self.default = next(iter(self.models.values()))
        for model in self.models.values():
            model.warm_up()

    def state(self) -> dict[str, Any]:
        """What /health/ready says: `ready`, and why not."""
        reasons = {
            model.name: model.not_ready or "its worker has stopped"
            for model in self.models.values()
            if not model.ready
        }
        ready = not reasons and not self.draining
        status = "draining" if self.draining else "ready" if ready else "not ready"
        return {"status": status, "ready": ready, "models": sorted(self.models), "reasons": reasons}

    def find(self, name: str | None) -> ServedModel:
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
        return self.models[name]

    async def predict(self, model: ServedModel, request: PredictRequest, size: int) -> list[Any]:
        """Check, queue and await.

        Args:
            model: from `find`.
            request: as the protocol understood it.
            size: bytes of the request.

        Raises:
            ServiceError: what the caller is told; nothing else.
        """
        if self.draining or not model.ready:
            why = "the service is stopping" if self.draining else model.not_ready
            raise self._unavailable(why or "the model's worker has stopped")
        inputs = self._inputs(model, request)
        model.check(inputs, request.parameters)
        try:
            answers = await asyncio.wrap_future(model.submit(inputs, size))
        except QueueFullError:
            raise self._unavailable("too many inputs wait for the model") from None
        except ServiceError:
            raise
        except Exception as error:  # noqa: BLE001 - the caller is told without internals
            _LOG.error("%s failed on %d inputs", model.name, len(inputs), exc_info=error)
            detail = "the model failed; the service goes on"
            raise ServiceError("MW-709", detail, fix="report the request_id") from None
        return [shaped(answer, request.parameters) for answer in answers]

    def _inputs(self, model: ServedModel, request: PredictRequest) -> list[Any]:
        if not request.uploaded:
            return request.inputs
        if not model.accepts_files:
            detail = f"the model {model.name} does not read files"
            raise ServiceError("MW-705", detail, fix="send application/json")
        return [model.uploaded(data) for data in request.inputs]

    def _unavailable(self, detail: str) -> ServiceError:
        wait = {"Retry-After": str(self.settings.retry_after_s)}
        return ServiceError("MW-706", detail, fix="send the request again later", headers=wait)

    def close(self, timeout: float | None = None) -> None:
        """Answer what waits, then free the bundles."""
        self.draining = True
        for model in self.models.values():
            model.close(timeout)
