"""What a target is asked for: a bundle, what it can do, how it scales, where it goes. All checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

from modelwright.artifacts.bundle import read_bundle
from modelwright.artifacts.capacity import Capacity
from modelwright.deploy import values
from modelwright.deploy.policy import Policy
from modelwright.deploy.promises import monitor_of, promised_p99_ms, slo_of
from modelwright.deploy.sizing import Sizing, size
from modelwright.recipe.schema import Monitor, Slo

PORT = 8000


@final
@dataclass(frozen=True)
class Choices:
    """What a user may say besides the bundle.

    Attributes:
        slo_p99_ms: the promise; the recipe's when None.
        image: reference of the image; NAME:VERSION when None.
        namespace: of a cluster; "modelwright" when None.
        offline: put the libraries beside the image's files, so that building needs no index.
        receiver: address that alerts are posted to; nobody is told when None.
        capacity: file of what a replica can do; measured now when None.
        policy: file of how it scales; the best in a simulation when None.
    """

    slo_p99_ms: float | None = None
    image: str | None = None
    namespace: str | None = None
    offline: bool = False
    receiver: str | None = None
    capacity: Path | None = None
    policy: Path | None = None


@final
@dataclass(frozen=True)
class Order:
    """What a target writes files for; every text in it may be written anywhere.

    Attributes:
        bundle: its folder.
        manifest: of it; its labels and descriptions may be anything, and are data.
        name: what it is called where it runs, a DNS label.
        title: its name as it stands in the bundle.
        version: of the bundle.
        variant: that was measured and is served.
        task: of the bundle.
        image: reference of the image.
        namespace: of a cluster.
        offline: whether the libraries lie beside the image's files.
        receiver: address that alerts are posted to, or None.
        capacity: of one replica.
        policy: how it scales.
        slo: what it promises.
        monitor: how its traffic is watched.
    """

    bundle: Path
    manifest: Mapping[str, Any] = field(repr=False)
    name: str
    title: str
    version: str
    variant: str
    task: str
    image: str
    namespace: str
    offline: bool
    receiver: str | None
    capacity: Capacity
    policy: Policy
    slo: Slo
    monitor: Monitor

    @cached_property
    def sizing(self) -> Sizing:
        """The numbers that places to run are told."""
        return size(self.capacity, self.policy)

    @property
    def engine(self) -> str:
        """The runtime of the variant."""
        entries = {entry["name"]: entry for entry in self.manifest["variants"]}
        return str(entries[self.variant]["engine"])

    @property
    def records(self) -> bool:
        """Whether the recipe allows to record requests."""
        serve = self.manifest.get("serve")
        return isinstance(serve, Mapping) and bool(serve.get("record"))

    @property
    def labels(self) -> dict[str, str]:
        """Of every object in a cluster, by Kubernetes' recommended names."""
        return {
            "app.kubernetes.io/name": self.name,
            "app.kubernetes.io/version": self.version,
            "app.kubernetes.io/component": self.task,
            "app.kubernetes.io/part-of": "modelwright",
        }


def ordered(bundle: Path, capacity: Capacity, policy: Policy, choices: Choices) -> Order:
    """Check everything that will reach a file.

    Raises:
        UserError: MW-601 no bundle, MW-605 no such variant, MW-620, MW-621, MW-622, MW-627.
    """
    manifest = read_bundle(bundle)
    name = values.deployed_name(manifest["name"])
    version = values.word(manifest["version"], "the bundle's version")
    values.same_bundle(manifest, values.capacity(capacity))
    asked = capacity.slo_p99_ms if choices.slo_p99_ms is None else choices.slo_p99_ms
    p99_ms, _ = promised_p99_ms(manifest, asked)
    return Order(
        bundle=bundle,
        manifest=manifest,
        name=name,
        title=manifest["name"],
        version=version,
        variant=values.word(capacity.variant, "the variant"),
        task=values.label(manifest["task"], "the bundle's task"),
        image=values.image(f"{name}:{version}" if choices.image is None else choices.image),
        namespace=values.label(choices.namespace or "modelwright", "--namespace"),
        offline=choices.offline,
        receiver=None if choices.receiver is None else values.address(choices.receiver),
        capacity=capacity,
        policy=values.policy(policy),
        slo=slo_of(manifest, p99_ms),
        monitor=monitor_of(manifest),
    )
