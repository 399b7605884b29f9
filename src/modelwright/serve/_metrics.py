"""What Prometheus reads at /metrics; every label's values come from the bundle or from our routes.

Text that a caller sends never becomes a label value, so that nobody can fill the registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, final

from modelwright.runtime.libraries import require
from modelwright.serve._stages import STAGES, Stages

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
MAX_LABELS = 1000


class Shown(Protocol):
    """What gauges read of a model."""

    name: str
    version: str

    @property
    def waiting(self) -> int: ...
    @property
    def ready(self) -> bool: ...


@final
class Metrics:
    """The service's own registry; `model` and `version` label what belongs to a bundle."""

    def __init__(self) -> None:
        prometheus = require("prometheus_client", "serve")
        self.registry = prometheus.CollectorRegistry()
        of_model = ("model", "version")

        def counter(name: str, summary: str, *labels: str) -> Any:
            return prometheus.Counter(
                f"modelwright_{name}", summary, labels, registry=self.registry
            )

        def gauge(name: str, summary: str, *labels: str) -> Any:
            return prometheus.Gauge(f"modelwright_{name}", summary, labels, registry=self.registry)

        def histogram(name: str, summary: str, buckets: Iterable[float], *labels: str) -> Any:
            return prometheus.Histogram(
                f"modelwright_{name}",
                summary,
                labels,
                registry=self.registry,
                buckets=tuple(buckets),
            )

        self.requests = counter("requests", "Requests answered.", *of_model, "route", "code")
        self.request_seconds = histogram(
            "request_seconds", "From the request's head to its answer.", SECONDS, *of_model, "route"
        )
        self.queue_seconds = histogram(
            "queue_seconds", "Waiting for the model.", SECONDS, *of_model
        )
        self.queue_depth = gauge("queue_depth", "Inputs that wait for the model.", *of_model)
        self.batch_size = histogram("batch_size", "Features a model call.", SIZES, *of_model)
        self.inference_seconds = histogram(
            "inference_seconds", "One model call.", SECONDS, *of_model
        )
        self.stage_seconds = histogram(
            "stage_seconds", "A request's time in each stage.", SECONDS, "model", "stage"
        )
        self.tokens = counter("tokens", "Tokens that models read, padding apart.", *of_model)
        self.predictions = counter("predictions", "Answers by label.", *of_model, "label")
        self.confidence = histogram("confidence", "Score of the answer.", SHARES, *of_model)
        self.model_info = gauge(
            "model_info", "Always 1; tells what is served.", *of_model, "task", "variant", "engine"
        )
        self.live_quality = gauge(
            "live_quality", "Of the last answers whose truth was told.", "model", "metric"
        )
        self.ready = gauge("ready", "Whether the model passed its self-test.", *of_model)
        self.shadow_answers = counter(
            "shadow_answers", "A shadow's answers, beside the stable's.", *of_model, "agreement"
        )
        self.shadow_failures = counter("shadow_failures", "Requests it failed.", *of_model)
        self.restarts = gauge("restarts", "Serving processes that were killed and replaced.")
        self._shown: dict[tuple[str, str], list[Shown]] = {}
        self._series: dict[tuple[str, str, str, str], tuple[Any, Any]] = {}

    def answered(self, model: str, version: str, route: str, status: int, seconds: float) -> None:
        """Count a request; its series are looked up once."""
        key = (model, version, route, str(status))
        series = self._series.get(key)
        if series is None:
            series = self.requests.labels(*key), self.request_seconds.labels(*key[:3])
            self._series[key] = series
        series[0].inc()
        series[1].observe(seconds)

    def show(self, model: Shown) -> None:
        """Read a model's queue and readiness from now on; of two of one version the later one."""
        key = (model.name, model.version)
        self._shown.setdefault(key, []).append(model)
        self._read(key)

    def hide(self, model: Shown) -> None:
        """Read them no more, so that a closed model is freed."""
        key = (model.name, model.version)
        kept = [one for one in self._shown.get(key, ()) if one is not model]
        self._shown[key] = kept
        if kept:
            self._read(key)
        else:
            del self._shown[key]
            self.queue_depth.remove(*key)
            self.ready.remove(*key)

    def _read(self, key: tuple[str, str]) -> None:
        model = self._shown[key][-1]
        self.queue_depth.labels(*key).set_function(lambda: model.waiting)
        self.ready.labels(*key).set_function(lambda: float(model.ready))

    def expose(self) -> tuple[bytes, str]:
        """The text format and its content type."""
        prometheus = require("prometheus_client", "serve")
        return prometheus.generate_latest(self.registry), prometheus.CONTENT_TYPE_LATEST


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
        self.tokens = metrics.tokens.labels(*key)
        self._stages = {name: metrics.stage_seconds.labels(key[0], name) for name in STAGES}
        self.confidence = metrics.confidence.labels(*key)
        self._by_label = {
            label: metrics.predictions.labels(*key, label) for label in label_values(manifest)
        }
        self._other = metrics.predictions.labels(*key, "other")
        about = (manifest["task"], variant.get("name", ""), variant.get("engine", ""))
        metrics.model_info.labels(*key, *map(str, about)).set(1)

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
