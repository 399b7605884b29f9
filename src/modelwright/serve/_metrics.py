"""What Prometheus reads at /metrics; every label's values come from the bundle or from our routes.

Text that a caller sends never becomes a label value, so that nobody can fill the registry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, final

from modelwright.encoders.limits import BatchLimits
from modelwright.recipe.schema import USUAL_P99_MS
from modelwright.runtime.libraries import require
from modelwright.runtime.process import memory_limit
from modelwright.serve._stages import STAGES, Stages
from modelwright.serve._told import OF_MODEL, RoleCollector, Roles, Shown
from modelwright.serve.problems import ServiceError

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
LENGTHS = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
MAX_LABELS = 1000
SHED = ("inputs", "tokens", "bytes", "late", "stopping", "not-ready")
"""Why a model refuses requests for now; a key's own `rate` is the caller's."""
REPLACED = 8
"""Versions that are served no more and still told of, so that their last counts are read."""
FAULTS = ("500", "503", "504")
"""Codes that are told as 0 from a route's first request on: a counter that begins above 0 has no
rate before it is read twice."""


@final
class Metrics:
    """The service's own registry; `model` and `version` label what belongs to a bundle.

    Args:
        promises: seconds in which bundles promise an answer; requests are counted by these, too.
    """

    def __init__(self, promises: Iterable[float] = ()) -> None:
        prometheus = require("prometheus_client", "serve")
        self.registry = prometheus.CollectorRegistry()
        make, of_model = _Maker(prometheus, self.registry), ("model", "version")
        seconds = sorted({*SECONDS, *promises})
        self.requests = make.counter("requests", "Requests answered.", *of_model, "route", "code")
        self.request_seconds = make.histogram(
            "request_seconds", "From the request's head to its answer.", seconds, *of_model, "route"
        )
        self.queue_seconds = make.histogram(
            "queue_seconds", "Waiting for the model.", SECONDS, *of_model
        )
        self.batch_size = make.histogram("batch_size", "Features a model call.", SIZES, *of_model)
        self.inference_seconds = make.histogram(
            "inference_seconds", "One model call.", SECONDS, *of_model
        )
        self.stage_seconds = make.histogram(
            "stage_seconds", "A request's time in each stage.", SECONDS, "model", "stage"
        )
        self.input_tokens = make.histogram("input_tokens", "Tokens of a row.", LENGTHS, *of_model)
        self.tokens = make.counter("tokens", "Tokens that models read, padding apart.", *of_model)
        self.padding = make.counter("padding_tokens", "Padding that models read.", *of_model)
        self.batch_rows = make.gauge(
            "batch_rows", "Rows that a call may have; 1 where they are run one by one.", *of_model
        )
        self.predictions = make.counter("predictions", "Answers by label.", *of_model, "label")
        self.confidence = make.histogram("confidence", "Score of the answer.", SHARES, *of_model)
        self.model_info = make.gauge(
            "model_info", "Always 1; tells what is served.", *of_model, "task", "variant", "engine"
        )
        self.live_quality = make.gauge(
            "live_quality", "Of the last answers whose truth was told.", "model", "metric"
        )
        self._refusals_and_trials(make)
        self._process(make)
        self._told = {
            name: (make.gauge(name, summary, *of_model), read)
            for name, (summary, read) in OF_MODEL.items()
        }
        prometheus.ProcessCollector(namespace="modelwright", registry=self.registry)
        self._shown: dict[tuple[str, str], list[Shown]] = {}
        self._series: dict[tuple[str, str, str, str], tuple[Any, Any]] = {}
        self._left: list[tuple[str, str]] = []
        self._of_version = make.of_version

    def _refusals_and_trials(self, make: _Maker) -> None:
        of_model = ("model", "version")
        self.shed = make.counter("shed", "Requests refused for now.", "model", "reason")
        self.shed.labels("", "rate")
        self.shadow_answers = make.counter(
            "shadow_answers", "A shadow's answers, beside the stable's.", *of_model, "agreement"
        )
        self.shadow_failures = make.counter("shadow_failures", "Requests it failed.", *of_model)
        self.trial_requests = make.counter(
            "trial_requests", "Requests during a canary's trial.", *of_model, "role", "outcome"
        )
        self.trial_seconds = make.histogram(
            "trial_seconds", "How long each side took.", SECONDS, *of_model, "role"
        )
        self.canary_withdrawn = make.counter(
            "canary_withdrawn", "Canaries that were taken back for doing worse.", "model"
        )

    def _process(self, make: _Maker) -> None:
        self.traffic_dropped = make.gauge(
            "traffic_dropped_rows", "Rows to be recorded that the disk or memory had no room for."
        )
        self.restarts = make.gauge("restarts", "Serving processes that were killed and replaced.")
        self.startup_seconds = make.gauge("startup_seconds", "From the process' start to ready.")
        make.gauge("memory_limit_bytes", "Beyond which the process is killed.").set(memory_limit())
        self.verify_failures = make.counter(
            "verify_failures", "Bundles that were not loaded because they failed a check.", "reason"
        )
        self.auth_failures = make.counter(
            "auth_failures", "Requests without a key that is valid and allowed.", "reason"
        )
        for series, reasons in (
            (self.verify_failures, ("files", "answers", "other")),
            (self.auth_failures, ("key", "scope")),
        ):
            for reason in reasons:
                series.labels(reason)

    def certificate(self, ends: Callable[[], float]) -> None:
        """Tell when the certificate ends; only a service with TLS has one."""
        prometheus = require("prometheus_client", "serve")
        make = _Maker(prometheus, self.registry)
        name = "certificate_expiry_timestamp_seconds"
        make.gauge(name, "When the TLS certificate ends.").set_function(ends)

    def tell_roles(self, roles: Roles) -> None:
        """Tell which version has which role."""
        self.registry.register(RoleCollector(roles))

    def answered(self, model: str, version: str, route: str, status: int, seconds: float) -> None:
        """Count a request; its series are looked up once."""
        key = (model, version, route, str(status))
        series = self._series.get(key)
        if series is None:
            series = self.requests.labels(*key), self.request_seconds.labels(*key[:3])
            self._series[key] = series
            for code in FAULTS if model else ():
                self.requests.labels(model, version, route, code)
        series[0].inc()
        series[1].observe(seconds)

    def refused(self, model: str, error: ServiceError) -> None:
        """Count why a caller was turned away for now, or was not let in."""
        if error.code in ("MW-706", "MW-711"):
            self.shed.labels(model, error.reason or "other").inc()
        elif error.code == "MW-708":
            self.auth_failures.labels(error.reason or "key").inc()

    def tried(self, model: Shown, seconds: float, *, canary: bool, failed: bool) -> None:
        """Count a request of one side of a trial, whoever answered it in the end."""
        key = (model.name, model.version, "canary" if canary else "stable")
        self.trial_requests.labels(*key, "failed" if failed else "ok").inc()
        self.trial_requests.labels(*key, "ok" if failed else "failed")
        self.trial_seconds.labels(*key).observe(seconds)

    def show(self, model: Shown) -> None:
        """Read a model's queue and readiness from now on; of two of one version the later one."""
        key = (model.name, model.version)
        self._shown.setdefault(key, []).append(model)
        self._read(key)
        self.canary_withdrawn.labels(model.name)
        for reason in SHED:
            self.shed.labels(model.name, reason)

    def hide(self, model: Shown) -> None:
        """Read them no more, so that a closed model is freed."""
        key = (model.name, model.version)
        kept = [one for one in self._shown.get(key, ()) if one is not model]
        self._shown[key] = kept
        if kept:
            self._read(key)
        else:
            del self._shown[key]
            for gauge, _ in self._told.values():
                gauge.remove(*key)
            self._forget(key)

    def _forget(self, left: tuple[str, str]) -> None:
        """Tell no more of the version that was replaced longest ago, if there are too many."""
        self._left.append(left)
        if len(self._left) <= REPLACED:
            return
        oldest = self._left.pop(0)
        if oldest in self._left or oldest in self._shown:
            return
        for metric in self._of_version:
            metric.remove_by_labels({"model": oldest[0], "version": oldest[1]})
        for key in list(self._series):  # callers may be counted meanwhile
            if key[:2] == oldest:
                self._series.pop(key, None)

    def _read(self, key: tuple[str, str]) -> None:
        model = self._shown[key][-1]
        for gauge, read in self._told.values():
            gauge.labels(*key).set_function(partial(read, model))

    def expose(self) -> tuple[bytes, str]:
        """The text format and its content type."""
        prometheus = require("prometheus_client", "serve")
        return prometheus.generate_latest(self.registry), prometheus.CONTENT_TYPE_LATEST


@final
class _Maker:
    """Makes metrics in one registry, under our prefix."""

    def __init__(self, prometheus: Any, registry: Any) -> None:
        self._prometheus, self._registry = prometheus, registry
        self.of_version: list[Any] = []

    def counter(self, name: str, summary: str, *labels: str) -> Any:
        return self._made(self._prometheus.Counter, name, summary, labels)

    def gauge(self, name: str, summary: str, *labels: str) -> Any:
        return self._made(self._prometheus.Gauge, name, summary, labels)

    def histogram(self, name: str, summary: str, buckets: Iterable[float], *labels: str) -> Any:
        return self._made(self._prometheus.Histogram, name, summary, labels, buckets=tuple(buckets))

    def _made(
        self, kind: Any, name: str, summary: str, labels: tuple[str, ...], **more: Any
    ) -> Any:
        made = kind(f"modelwright_{name}", summary, labels, registry=self._registry, **more)
        if "version" in labels:
            self.of_version.append(made)
        return made


def promised_s(manifest: Mapping[str, Any]) -> float:
    """Seconds in which a bundle promises 99 of 100 answers."""
    promise = ((manifest.get("serve") or {}).get("slo") or {}).get("p99_ms")
    if not isinstance(promise, (int, float)) or not 0 < promise < math.inf:
        promise = USUAL_P99_MS
    return promise / 1000


@final
class ModelMeters:
    """The metrics of one model, with its labels already set."""

    def __init__(
        self, manifest: Mapping[str, Any], variant: Mapping[str, Any], metrics: Metrics
    ) -> None:
        key = (str(manifest["name"]), str(manifest["version"]))
        self.queue_seconds = metrics.queue_seconds.labels(*key)
        self.inference_seconds = metrics.inference_seconds.labels(*key)
        self.batch_size = metrics.batch_size.labels(*key)
        self._tokens, self._padding = metrics.tokens.labels(*key), metrics.padding.labels(*key)
        self._input_tokens = metrics.input_tokens.labels(*key)
        self._batch_rows = metrics.batch_rows.labels(*key)
        self._stages = {name: metrics.stage_seconds.labels(key[0], name) for name in STAGES}
        self.confidence = metrics.confidence.labels(*key)
        self._by_label = {
            label: metrics.predictions.labels(*key, label) for label in label_values(manifest)
        }
        self._other = metrics.predictions.labels(*key, "other")
        about = (manifest["task"], variant.get("name", ""), variant.get("engine", ""))
        metrics.model_info.labels(*key, *map(str, about)).set(1)

    def batches(self, limits: BatchLimits, most: int) -> None:
        """Tell how many rows a call may have."""
        alone = limits.alone > 0  # short rows, which most are, make no batch
        self._batch_rows.set(1 if alone else min(limits.rows, most))

    def read(self, lengths: Sequence[int], width: int) -> None:
        """Count the tokens of a call's rows, each filled up to `width`."""
        tokens = sum(lengths)
        self._tokens.inc(tokens)
        if padding := width * len(lengths) - tokens:
            self._padding.inc(padding)
        for length in lengths:
            self._input_tokens.observe(length)

    def pass_through(self, stages: Stages) -> None:
        """Count where a request's time went."""
        for name, began, ended in stages.passed:
            self._stages[name].observe(max(0.0, ended - began))

    def count(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Count what was answered."""
        for answer in answers:
            for label, score in labels_and_scores(answer):
                self._by_label.get(label, self._other).inc()
                if score is not None:
                    self.confidence.observe(score)


def label_values(manifest: Mapping[str, Any]) -> frozenset[str]:
    """The labels that answers of this bundle may carry, BIO prefixes removed; at most 1,000."""
    found = [str(label) for label in manifest.get("labels") or ()]
    found += [label[2:] for label in found if label[:2] in ("B-", "I-", "E-", "S-")]
    return frozenset(found[:MAX_LABELS])


def labels_and_scores(prediction: Mapping[str, Any]) -> list[tuple[str, float | None]]:
    """What one prediction counts as: its label, each of its labels, or its entities' labels."""
    if "entities" in prediction:
        return [(str(one.get("label")), one.get("score")) for one in prediction["entities"]]
    if "labels" in prediction:
        return [(str(label), prediction.get("score")) for label in prediction["labels"]]
    if "label" in prediction:
        return [(str(prediction["label"]), prediction.get("score"))]
    return []
