"""What the dashboard shows, row by row: titles, queries and units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from modelwright.deploy.watching import _load, _promises, _rollout
from modelwright.deploy.watching._alert import Subject
from modelwright.deploy.watching._batching import padding_share

RATE = "$__rate_interval"
Kind = Literal["timeseries", "stat", "heatmap", "bargauge"]


@final
@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what is shown.
        queries: PromQL and legend.
        unit: Grafana's name of it.
        kind: of panel.
        about: shown at its corner.
        limit: drawn as a line, where there is one.
        width: of 24 columns.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: Kind = "timeseries"
    about: str = ""
    limit: float | None = None
    width: int = 8


def rows_of(subject: Subject) -> list[tuple[str, list[Panel]]]:
    """Rows in the order in which one looks when something is wrong."""
    return [
        ("Overview", _overview(subject)),
        ("Saturation", _saturation(subject)),
        ("Batching", _batching(subject)),
        ("Stage timing", _stages(subject)),
        ("Rollout", _rollouts(subject)),
        ("Data", _data(subject)),
        ("Platform", _platform(subject)),
    ]


def quantile(q: float, name: str, selector: str, by: str = "le") -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({q}, sum by ({by}) (rate(modelwright_{name}_bucket{selector}[{RATE}])))"


def _overview(subject: Subject) -> list[Panel]:
    model = subject.of_model()
    answered = f"sum by (code) (rate(modelwright_requests_total{model}[{RATE}]))"
    budgets = [
        (f"modelwright:{kind}_budget_left:ratio{model}", kind)
        for kind in ("availability", "latency")
    ]
    quantiles = [
        (quantile(q, "request_seconds", model), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)
    ]
    return [
        Panel("Requests a second, by status", [(answered, "{{code}}")], "reqps"),
        Panel(
            "Answered without a fault of ours",
            [(f"1 - (\n{_promises.bad_share(subject, RATE)}\n)", "answered")],
            "percentunit",
            limit=subject.slo.availability,
        ),
        Panel(
            "Budget left",
            budgets,
            "percentunit",
            "stat",
            f"Of what may go wrong in {subject.slo.window_days} days; below 0 the promise is broken.",
        ),
        Panel("Time to an answer", quantiles, "s", limit=subject.p99_s),
        Panel("Ready replicas", [(f"sum(modelwright_ready{model})", "ready")], "short", "stat"),
        Panel(
            "Served",
            [(f"sum by (version, variant, engine) (modelwright_model_info{model})",
              "{{version}} {{variant}} {{engine}}")],
            "short",
            "stat",
            "Replicas that serve each version.",
        ),
    ]  # fmt: skip


def _saturation(subject: Subject) -> list[Panel]:
    model, job = subject.of_model(), subject.of_job()
    shed = f'sum by (reason) (rate(modelwright_shed_total{{model=~"{subject.model}|"}}[{RATE}]))'
    return [
        Panel(
            "In flight, beside what is taken on",
            [
                (f"sum(modelwright_inputs_in_flight{model})", "inputs"),
                (f"sum(modelwright_requests_in_flight{model})", "requests"),
                (f"sum(modelwright_queue_capacity{model})", "inputs at most"),
            ],
        ),
        Panel("Rows that wait", [(f"sum(modelwright_queue_depth{model})", "rows")]),
        Panel(
            "Fullest bound",
            [(f"max by (instance) (modelwright_queue_used{model})", "{{instance}}")],
            "percentunit",
            about="Inputs, tokens or bytes that are taken on, whichever is nearest its bound.",
            limit=0.8,
        ),
        Panel(
            "Wait for the model",
            [(quantile(q, "queue_seconds", model), f"p{q * 100:g}") for q in (0.5, 0.95)],
            "s",
        ),
        Panel("Refused a second, by reason", [(shed, "{{reason}}")], "reqps"),
        Panel(
            "Refused of all",
            [(_load.refused(subject, RATE), "refused")],
            "percentunit",
            limit=0.01,
        ),
        Panel(
            "Processor",
            [(f"rate(modelwright_process_cpu_seconds_total{job}[{RATE}])", "{{instance}}")],
            "short",
            about="Cores in use.",
        ),
        Panel(
            "Memory beside its limit",
            [
                (f"modelwright_process_resident_memory_bytes{job}", "{{instance}}"),
                (f"min(modelwright_memory_limit_bytes{job})", "limit"),
            ],
            "bytes",
        ),
    ]


def _batching(subject: Subject) -> list[Panel]:
    model = subject.of_model()

    def per(what: str, each: str) -> str:
        top, below = (f"sum(rate(modelwright_{one}{model}[{RATE}]))" for one in (what, each))
        return f"{top} / ({below} > 0)"

    sizes = f"sum by (le) (increase(modelwright_batch_size_bucket{model}[{RATE}]))"
    return [
        Panel("Rows a call", [(sizes, "{{le}}")], "short", "heatmap"),
        Panel(
            "Mean of a call",
            [
                (per("batch_size_sum", "batch_size_count"), "rows"),
                (per("tokens_total", "batch_size_count"), "tokens"),
            ],
        ),
        Panel(
            "Padding of all tokens",
            [(padding_share(subject, RATE), "padding")],
            "percentunit",
            limit=0.5,
        ),
        Panel(
            "Calls a second",
            [(f"sum by (instance) (rate(modelwright_batch_size_count{model}[{RATE}]))", "{{instance}}")],
            "ops",
        ),
        Panel(
            "Why rows wait",
            [
                (f"sum(modelwright_queue_depth{model})", "for a free stream"),
                (f"sum(modelwright_inputs_in_flight{model}) - sum(modelwright_queue_depth{model})",
                 "in a call, or encoded"),
            ],
            about="Rows that wait, and inputs that are past waiting.",
        ),
    ]  # fmt: skip


def _stages(subject: Subject) -> list[Panel]:
    model = subject.of_model()
    spent = f"sum by (stage) (rate(modelwright_stage_seconds_sum{model}[{RATE}]))"
    each = f"sum by (stage) (rate(modelwright_stage_seconds_count{model}[{RATE}]))"
    return [
        Panel(
            "Mean time in each stage",
            [(f"{spent}\n  / ({each} > 0)", "{{stage}}")],
            "s",
            about="parse, tokenise (or decode), queue, inference, encode",
        ),
        Panel(
            "95th percentile of each stage",
            [(quantile(0.95, "stage_seconds", model, "le, stage"), "{{stage}}")],
            "s",
        ),
        Panel(
            "One model call",
            [(quantile(q, "inference_seconds", model), f"p{q * 100:g}") for q in (0.5, 0.95)],
            "s",
        ),
    ]


def _rollouts(subject: Subject) -> list[Panel]:
    model = subject.of_model()
    by_version = f"sum by (version) (rate(modelwright_requests_total{model}[{RATE}]))"
    agreement = f"sum by (agreement) (rate(modelwright_shadow_answers_total{model}[{RATE}]))"
    sides = ("stable", "canary")
    return [
        Panel("Requests a second, by version", [(by_version, "{{version}}")], "reqps"),
        Panel(
            "Share of the requests, by role",
            [
                (
                    f"avg by (role, version) (modelwright_traffic_share{model})",
                    "{{role}} {{version}}",
                )
            ],
            "percentunit",
        ),
        Panel(
            "Failures during a trial",
            [(_rollout.failed_share(subject, side, RATE), side) for side in sides],
            "percentunit",
        ),
        Panel(
            "99th percentile during a trial",
            [(_rollout.trial_p99(subject, side, RATE), side) for side in sides],
            "s",
        ),
        Panel("A shadow's answers", [(agreement, "{{agreement}}")], "ops"),
        Panel(
            "Canaries withdrawn",
            [(f"sum(increase(modelwright_canary_withdrawn_total{model}[1d]))", "withdrawn")],
            "short",
            "stat",
            "In the last day.",
        ),
    ]


def _data(subject: Subject) -> list[Panel]:
    model = subject.of_model()
    lengths = f"sum by (le) (rate(modelwright_input_tokens_bucket{model}[{RATE}]))"
    labels = f"topk(20, sum by (label) (rate(modelwright_predictions_total{model}[{RATE}])))"
    sure = 'le="0.5"'
    unsure = f"sum(rate(modelwright_confidence_bucket{subject.of_model(sure)}[{RATE}]))"
    scored = f"sum(rate(modelwright_confidence_count{model}[{RATE}]))"
    quality = [
        (f"max by (metric) (modelwright_{name}{model})", f"{{{{metric}}}} {legend}")
        for name, legend in (
            ("live_quality", "live"),
            ("live_quality_low", "low"),
            ("live_quality_high", "high"),
            ("quality_floor", "floor"),
            ("estimated_quality", "estimated"),
        )
    ]
    return [
        Panel(
            "Input length",
            [(f"histogram_quantile({q}, {lengths})", f"p{q * 100:g}") for q in (0.5, 0.95)],
            about="Tokens of a row.",
        ),
        Panel("Answers by label", [(labels, "{{label}}")], "ops"),
        Panel(
            "Confidence",
            [(quantile(q, "confidence", model), f"p{q * 100:g}") for q in (0.1, 0.5)],
            "percentunit",
        ),
        Panel(
            "Unsure answers",
            [(f"{unsure} / ({scored} > 0)", "at most 0.5")],
            "percentunit",
            about="Often inputs that the model does not know.",
        ),
        Panel(
            "Drift, by signal",
            [(f"max by (signal) (modelwright_drift_score{model})", "{{signal}}")],
            about="1 is the alarm's limit, all signals and checks considered.",
            limit=1.0,
        ),
        Panel("Quality", quality, "percentunit", about="With true answers, and estimated."),
        Panel(
            "Checks of the monitor",
            [
                (f"max(modelwright_drift_rows{model})", "rows"),
                (
                    f"time() - max(modelwright_monitor_last_run_timestamp_seconds{model})",
                    "seconds ago",
                ),
            ],
        ),
    ]


def _platform(subject: Subject) -> list[Panel]:
    model, job = subject.of_model(), subject.of_job()
    kube = f'horizontalpodautoscaler=~"{subject.deployed}"'
    return [
        Panel(
            "Replicas",
            [
                (f"count(count by (instance) (modelwright_ready{model}))", "seen"),
                (f"max(kube_horizontalpodautoscaler_status_desired_replicas{{{kube}}})", "wanted"),
                (f"max(kube_horizontalpodautoscaler_spec_max_replicas{{{kube}}})", "at most"),
            ],
            about="Wanted and at most where kube-state-metrics is scraped.",
        ),
        Panel(
            "Processes started again",
            [
                (f"sum by (instance) (modelwright_restarts{job})", "{{instance}}"),
                (
                    f"changes(modelwright_process_start_time_seconds{job}[1h])",
                    "{{instance}} in an hour",
                ),
            ],
        ),
        Panel(
            "Start to ready",
            [(f"modelwright_startup_seconds{job}", "{{instance}}")],
            "s",
            about="Of the process that serves.",
        ),
        *_safety(subject),
        Panel("Series told", [(f"scrape_samples_scraped{job}", "{{instance}}")]),
    ]


def _safety(subject: Subject) -> list[Panel]:
    job = subject.of_job()
    return [
        Panel(
            "Bundles that failed their checks",
            [
                (
                    f"sum by (reason) (increase(modelwright_verify_failures_total{job}[1d]))",
                    "{{reason}}",
                )
            ],
            "short",
            "stat",
            "In the last day.",
        ),
        Panel(
            "Keys refused a second",
            [
                (
                    f"sum by (reason) (rate(modelwright_auth_failures_total{job}[{RATE}]))",
                    "{{reason}}",
                )
            ],
            "reqps",
        ),
        Panel(
            "Certificate",
            [(f"min(modelwright_certificate_expiry_timestamp_seconds{job}) - time()", "left")],
            "s",
            "stat",
            "Empty without TLS.",
        ),
    ]
