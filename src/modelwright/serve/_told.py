"""What metrics read only when Prometheus asks, so that requests pay nothing for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, final

from modelwright.runtime.libraries import require

Roles = Callable[[], Iterable[tuple[str, str, str, float]]]
"""Name, version, role and share of the requests of every model that is loaded."""


class Taken(Protocol):
    """What of requests was taken on."""

    items: int

    @property
    def most_items(self) -> int: ...
    @property
    def used(self) -> float: ...


class Shown(Protocol):
    """What is read of a model."""

    name: str
    version: str

    @property
    def admission(self) -> Taken: ...
    @property
    def waiting(self) -> int: ...
    @property
    def requests(self) -> int: ...
    @property
    def ready(self) -> bool: ...


OF_MODEL: dict[str, tuple[str, Callable[[Shown], float]]] = {
    "queue_depth": ("Rows that wait for the model.", lambda model: model.waiting),
    "queue_capacity": (
        "Inputs that are taken on and not answered, at most.",
        lambda model: model.admission.most_items,
    ),
    "queue_used": (
        "How full it is: the fullest of the bounds on inputs, tokens and bytes, from 0 to 1.",
        lambda model: model.admission.used,
    ),
    "inputs_in_flight": (
        "Inputs that were taken on and not answered.",
        lambda model: model.admission.items,
    ),
    "requests_in_flight": (
        "Requests that are not answered, waiting ones among them.",
        lambda model: model.requests,
    ),
    "ready": ("Whether the model passed its self-test.", lambda model: float(model.ready)),
}
"""Gauges with the labels `model` and `version`: what they tell, and how it is read."""


@final
class RoleCollector:
    """`traffic_share`: which version has which role now, and its share of the requests."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles

    def describe(self) -> list[Any]:
        """Nothing, so that registering reads nothing."""
        return []

    def collect(self) -> Iterable[Any]:
        """The family, made anew."""
        core = require("prometheus_client.core", "serve")
        family = core.GaugeMetricFamily(
            "modelwright_traffic_share",
            "Share of the requests that a version gets in its role.",
            labels=("model", "version", "role"),
        )
        for model, version, role, share in self._roles():
            family.add_metric((model, version, role), share)
        yield family
