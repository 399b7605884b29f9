"""Alerts on the two promises: how fast their budgets of bad and of slow requests are spent.

A budget is the share that may go wrong over the promise's days: 0.1% at an availability of 0.999, 1%
slower than the 99th percentile. An alert looks at a long window, so that it means something, and at a
twelfth of it, so that it ends soon after the fault does (Site Reliability Workbook, chapter 5). Over
30 days they are 14.4, 6 and 1 times the even pace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from modelwright.deploy.watching._alert import Alert, Case, Group, Page, Record, Subject, labelled

LEAST_BAD = 5
"""Requests that must have gone wrong in the long window, so that one at night wakes nobody."""


@final
@dataclass(frozen=True)
class Burn:
    """How much of the budget, gone in how long, calls for whom.

    Attributes:
        name: end of the alert's name.
        severity: page or ticket.
        share: of the whole budget.
        hours: of the long window.
        long: window in Prometheus' notation.
        short: a twelfth of it.
    """

    name: str
    severity: str
    share: float
    hours: int
    long: str
    short: str

    def limit(self, subject: Subject, budget: float) -> float:
        """Share of requests at which the budget is spent that fast; one that can be reached."""
        pace = self.share * subject.slo.window_days * 24 / self.hours
        return round(min(0.9, pace * budget), 9)


BURNS = (
    Burn("Fast", "page", 0.02, 1, "1h", "5m"),
    Burn("Slow", "page", 0.05, 6, "6h", "30m"),
    Burn("Ticket", "ticket", 0.10, 72, "3d", "6h"),
)
WINDOWS = ("5m", "30m", "1h", "6h", "3d")


def groups(subject: Subject) -> list[Group]:
    """Both promises, and what is left of their budgets."""
    bad = tuple(Record(f"modelwright:bad:ratio_rate{w}", bad_share(subject, w)) for w in WINDOWS)
    slow = tuple(Record(f"modelwright:slow:ratio_rate{w}", slow_share(subject, w)) for w in WINDOWS)
    days = f"{subject.slo.window_days}d"
    left = (
        Record(
            "modelwright:availability_budget_left:ratio",
            f"1 - ({bad_share(subject, days)}) / {bad_budget(subject)}",
        ),
        Record(
            "modelwright:latency_budget_left:ratio",
            f"1 - ({slow_share(subject, days)}) / {SLOW_BUDGET}",
        ),
    )
    return [
        Group("availability", bad, tuple(_availability(subject, burn) for burn in BURNS)),
        Group("latency", slow, (*(_latency(subject, burn) for burn in BURNS), _edge(subject))),
        Group("budgets", left, every=300),
    ]


SLOW_BUDGET = 0.01
"""Share of the requests that may be slower than the 99th percentile."""
FAULTS = 'code=~"5.."'


def _upto(subject: Subject) -> str:
    """The bucket of what was answered in time."""
    matcher = f'le=~"{subject.edge}"'
    return subject.of_model(matcher)


def bad_budget(subject: Subject) -> float:
    """Share of the requests that may fail."""
    return round(1 - subject.slo.availability, 9)


def bad_share(subject: Subject, window: str) -> str:
    """Share of the requests that failed by our fault (5xx), deadlines that passed among them."""
    bad = f"modelwright_requests_total{subject.of_model(FAULTS)}"
    every = f"modelwright_requests_total{subject.of_model()}"
    return f"(sum(rate({bad}[{window}])) or vector(0))\n  / (sum(rate({every}[{window}])) > 0)"


def slow_share(subject: Subject, window: str) -> str:
    """Share of the requests that took longer than promised."""
    edge = _upto(subject)
    within = f"sum(rate(modelwright_request_seconds_bucket{edge}[{window}]))"
    every = f"sum(rate(modelwright_request_seconds_count{subject.of_model()}[{window}]))"
    return f"1 - {within}\n  / ({every} > 0)"


def _burning(subject: Subject, burn: Burn, kind: str, limit: float) -> str:
    long, short = (f"modelwright:{kind}:ratio_rate{w}" for w in (burn.long, burn.short))
    model = subject.of_model()
    return f"{long}{model} > {limit}\nand {short}{model} > {limit}"


def _availability(subject: Subject, burn: Burn) -> Alert:
    limit = burn.limit(subject, bad_budget(subject))
    bad = f"modelwright_requests_total{subject.of_model(FAULTS)}"
    enough = f"sum by (model) (increase({bad}[{burn.long}])) >= {LEAST_BAD}"
    promise = f"{subject.slo.availability:.6g}"
    return Alert(
        name=f"AvailabilityBurn{burn.name}",
        severity=burn.severity,  # type: ignore[arg-type]
        about="availability",
        expr=f"{_burning(subject, burn, 'bad', limit)}\nand on (model) {enough}",
        hold="0s",
        summary=f"{subject.model} fails requests: {burn.share:.0%} of the budget in {burn.long}",
        description=f"{{{{ $value | humanizePercentage }}}} of the requests of the last {burn.long} "
        f"failed, and as many of the last {burn.short}; promised are {promise} over "
        f"{subject.slo.window_days} days.",
        fires=Case(_answers(subject, bad=min(1.0, 2 * limit))),
        quiet=Case(_answers(subject, bad=limit / 2)),
        page=Page(
            means="Callers get answers that begin with 5: 500 where the model fails, 503 where "
            "requests are refused, 504 where deadlines pass. At this pace "
            f"{burn.share:.0%} of all that may fail in {subject.slo.window_days} days fails within "
            f"{burn.long}. 429 (a caller beyond its own rate) is not counted.",
            look=(
                "Which codes: `sum by (code) (rate(modelwright_requests_total"
                f"{subject.of_model()}[5m]))`",
                "503: why, by `sum by (reason) (rate(modelwright_shed_total"
                f"{subject.of_model()}[5m]))`",
                "The service's own word: `curl -s SERVICE/health/ready`",
                "Its log: 500s stand there with their trace and `request_id`",
                "Whether a version changed: dashboard, row Rollout",
            ),
            causes=(
                "More load than the replicas can take (503, 504): see Shedding, QueueSaturation",
                "A new version fails on real inputs (500): see CanaryWorse",
                "A model call hangs (503 `not-ready`): see NoProgress",
                "Callers give deadlines that cannot be kept (504 at low load)",
            ),
            do=(
                "A new version: `curl -X POST ADMIN/admin/models/"
                f"{subject.model}/rollback -H 'x-api-key: KEY'`",
                "Load: more replicas, at once by hand; then measure again with "
                "`mw bench BUNDLE --service --out capacity.json` and `mw simulate`",
                "A model that fails on this machine: `mw verify BUNDLE`, then serve another variant "
                "(`mw serve BUNDLE --variant NAME`)",
                "Impossible deadlines: tell the callers; `X-Deadline-Ms` is theirs",
            ),
        ),
    )


def _latency(subject: Subject, burn: Burn) -> Alert:
    limit = burn.limit(subject, SLOW_BUDGET)
    promise = f"{subject.p99_s * 1000:g} ms"
    return Alert(
        name=f"LatencyBurn{burn.name}",
        severity=burn.severity,  # type: ignore[arg-type]
        about="latency",
        expr=_burning(subject, burn, "slow", limit),
        hold="0s",
        summary=f"{subject.model} is slow: {burn.share:.0%} of the budget in {burn.long}",
        description=f"{{{{ $value | humanizePercentage }}}} of the requests of the last {burn.long} "
        f"took longer than {promise}, and as many of the last {burn.short}; 1% may.",
        fires=Case(_times(subject, slow=min(1.0, 2 * limit))),
        quiet=Case(_times(subject, slow=limit / 2)),
        page=Page(
            means=f"99 of 100 requests are to be answered within {promise} (`serve.slo.p99_ms` of "
            f"the recipe). At this pace {burn.share:.0%} of all that may be slower in "
            f"{subject.slo.window_days} days is so within {burn.long}.",
            look=(
                "Where the time goes: dashboard, row Stage timing, or "
                "`histogram_quantile(0.95, sum by (le, stage) (rate(modelwright_stage_seconds_bucket"
                f"{subject.of_model()}[5m])))`",
                "Queue or model: `queue` is load, `inference` is the machine or the inputs",
                "Input length: `rate(modelwright_tokens_total[5m]) / rate(modelwright_batch_size_sum"
                "[5m])` (longer texts take longer)",
                "Processor: `rate(modelwright_process_cpu_seconds_total[5m])` beside the limit",
            ),
            causes=(
                "More load than was measured for: the queue's share grows",
                "Longer inputs than in the training data: see InputDrift",
                "Neighbours on the machine, or a processor limit below what was measured",
                "A new version or another variant that is slower: row Rollout",
            ),
            do=(
                "Load: more replicas; `mw simulate BUNDLE` tells how many",
                "The machine: `mw bench BUNDLE` there, and compare with bundle.json",
                "A slower version: roll it back at the admin port",
                "A smaller model: `compress: {limits: {p95_ms: ...}}` in the recipe, then `mw run`",
            ),
        ),
    )


def _edge(subject: Subject) -> Alert:
    every = f"modelwright_request_seconds_count{subject.of_model()}"
    edge = _upto(subject)
    series = labelled("modelwright_request_seconds_count", model=subject.model, route="/v1/predict")
    bucket = labelled(
        "modelwright_request_seconds_bucket",
        model=subject.model, route="/v1/predict", le=f"{subject.p99_s:.12g}",
    )  # fmt: skip
    return Alert(
        name="LatencyPromiseUnmeasured",
        severity="ticket",
        about="latency",
        expr=f"count by (model) ({every})\nunless on (model) count by (model) "
        f"(modelwright_request_seconds_bucket{edge})",
        hold="10m",
        summary=f"{subject.model} is not measured against its promised latency",
        description=f"No bucket of modelwright_request_seconds ends at {subject.p99_s:g} s.",
        fires=Case({series: "0+60x40"}, at=12),
        quiet=Case({series: "0+60x40", bucket: "0+60x40"}, at=12),
        page=Page(
            means="The service counts requests by time up to fixed edges, and one of them is the "
            "promise of each bundle that it was started with. None is this one's, so that the "
            "alerts LatencyBurn* see nothing.",
            look=("`serve.slo.p99_ms` in bundle.json of what is served, and in these rules",),
            causes=(
                "A version with another promise was loaded through the admin port",
                "These rules were made from another bundle, or with another `--slo`",
            ),
            do=(
                "Restart the replicas, one after the other: the edges are set at the start",
                "Make the rules again from the bundle that is served: "
                "`mw deploy BUNDLE --target prometheus -o DIR`",
            ),
        ),
    )


def _answers(subject: Subject, bad: float) -> dict[str, str]:
    """Requests of which a share fails."""
    return dict(_shared(subject, "modelwright_requests_total", bad))


def _shared(subject: Subject, name: str, share: float) -> Iterator[tuple[str, str]]:
    every, some = 100_000, round(100_000 * share)
    for code, count in (("200", every - some), ("500", some)):
        labels = {"model": subject.model, "version": "v1", "route": "/v1/predict", "code": code}
        yield labelled(name, **labels), f"0+{count}x40"


def _times(subject: Subject, slow: float) -> dict[str, str]:
    """Requests of which a share is slow."""
    about = {"model": subject.model, "version": "v1", "route": "/v1/predict"}
    name, every = "modelwright_request_seconds", 100_000
    within = every - round(every * slow)
    edge = labelled(f"{name}_bucket", **about, le=f"{subject.p99_s:.12g}")
    return {edge: f"0+{within}x40", labelled(f"{name}_count", **about): f"0+{every}x40"}
