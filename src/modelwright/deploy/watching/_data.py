"""Alerts on what `mw monitor` sees: drift of inputs and answers, quality, and the monitor itself.

Its scores are scaled so that 1 is the alarm's limit after correction for all signals and checks
(docs/monitoring.md), so that nothing has to hold for several windows: one check decides.
"""

from __future__ import annotations

from modelwright.deploy.watching._alert import Alert, Case, Group, Page, Subject, labelled

LEAST_ROWS = 100
"""Rows of a window below which no score is believed."""
LOWER_IS_BETTER = "mae|rmse"
PREDICTION = "labels|confidence|predicted.*"
EMBEDDING = "embedding|topics"


def groups(subject: Subject) -> list[Group]:
    """One group."""
    drift = (
        _drift(subject, "InputDrift", f'signal!~"{PREDICTION}|{EMBEDDING}"', "length", "labels"),
        _drift(subject, "PredictionDrift", f'signal=~"{PREDICTION}"', "labels", "length"),
        _drift(subject, "EmbeddingDrift", f'signal=~"{EMBEDDING}"', "embedding", "labels"),
    )
    rest = (_stale(subject), _missing(subject), _quality(subject), _estimated(subject))
    return [Group("data", alerts=(*drift, *rest))]


_WHAT = {
    "InputDrift": "what callers send",
    "PredictionDrift": "what the model answers",
    "EmbeddingDrift": "what inputs mean to the model",
}


def _renewing(subject: Subject) -> tuple[str, ...]:
    return (
        "Look at the examples in the report first: `mw monitor BUNDLE --traffic DIR`",
        "Buy labels for what moved and train again: `mw renew RECIPE --traffic DIR`; it promotes "
        "nothing that is not provably not worse",
        "By itself on this alert: `mw renew RECIPE --listen PORT`, and Alertmanager's webhook there",
        "Nothing to change (a new product, a season): package again with newer rows, so that the "
        "reference moves",
    )


def _drift(subject: Subject, name: str, signals: str, moved: str, other: str) -> Alert:
    score = f"max by (model, signal) (modelwright_drift_score{subject.of_model(signals)})"
    rows = f"max by (model) (modelwright_drift_rows{subject.of_model()})"

    def case(signal: str, score: str, rows: str = "900x40") -> Case:
        return Case(
            {
                labelled("modelwright_drift_score", model=subject.model, signal=signal): score,
                labelled("modelwright_drift_rows", model=subject.model): rows,
            },
            at=6,
        )

    return Alert(
        name=name,
        severity="ticket",
        about="data",
        expr=f"{score} >= 1\nand on (model) {rows} >= {LEAST_ROWS}",
        hold="0s",
        summary=f"{subject.model}: {_WHAT[name]} is not as it was in training",
        description="The signal {{ $labels.signal }} is at {{ $value }} times its alarm's limit.",
        fires=case(moved, "0.4x4 1.7x36"),
        quiet=case(other, "0.4x4 1.7x36"),
        page=Page(
            means=f"{_WHAT[name].capitalize()} differs from the training data by more than chance "
            "allows, all signals and checks considered. Quality may have fallen or not: see "
            "QualityDrop and the estimated quality.",
            look=(
                "Which signals: `modelwright_drift_score"
                f"{subject.of_model()}`, dashboard, row Data",
                "The report: which inputs moved, with examples: `mw monitor BUNDLE --traffic DIR`",
                "Quality in the same days: `modelwright_live_quality`, `modelwright_estimated_quality`",
            ),
            causes=(
                "A new topic, product, campaign or season",
                "Another source of requests: a language, a channel, a bot",
                "Something before the service changed: a field, an encoding, a template",
            ),
            do=_renewing(subject),
        ),
        renew=True,
    )


def _stale(subject: Subject) -> Alert:
    last = f"max by (model) (modelwright_monitor_last_run_timestamp_seconds{subject.of_model()})"
    period = f"max by (model) (modelwright_monitor_period_seconds{subject.of_model()})"
    ran = labelled("modelwright_monitor_last_run_timestamp_seconds", model=subject.model)
    every = labelled("modelwright_monitor_period_seconds", model=subject.model)
    return Alert(
        name="DriftJobStale",
        severity="ticket",
        about="data",
        expr=f"time() - {last} > 2 * {period}",
        hold="1m",
        summary=f"Nobody has looked at the traffic of {subject.model} for two periods",
        description="The last check was {{ $value | humanizeDuration }} ago.",
        fires=Case({ran: "0x60", every: "300x60"}, at=13),
        quiet=Case({ran: "0+60x60", every: "300x60"}, at=13),
        page=Page(
            means="The monitor runs no more or its checks fail; drift would go unseen.",
            look=("The monitor's log", "The folder of the traffic: whether new files come"),
            causes=(
                "The service records nothing: `serve.record` in the recipe, `mw serve --traffic DIR`",
                "The folder is not shared by service and monitor, or full",
                "A check takes longer than its period",
            ),
            do=(
                "Start it again: `mw monitor BUNDLE --traffic DIR --every SECONDS --port PORT`",
                "One check by hand, which says what is wrong: `mw monitor BUNDLE --traffic DIR`",
            ),
        ),
    )


def _missing(subject: Subject) -> Alert:
    up = labelled("up", job=f"{subject.model}-monitor", instance="m:9109")
    return Alert(
        name="MonitorDown",
        severity="ticket",
        about="data",
        expr=f"up{subject.of_job('-monitor')} == 0",
        hold="10m",
        summary=f"The monitor of {subject.model} is gone or cannot be scraped",
        description="{{ $labels.instance }} has not answered for ten minutes.",
        fires=Case({up: "1x1 0x35"}, at=14),
        quiet=Case({up: "1x1 0x5 1x30"}, at=14),
        page=Page(
            means="Drift and quality go unseen until it is back. Where no monitor is scraped, "
            "this alert never fires.",
            look=("Prometheus' page Targets: the error", "The monitor's log and exit code"),
            causes=(
                "It was killed (memory), or its port changed",
                "The bundle has no reference: it was packaged by an earlier release",
            ),
            do=(
                "`mw monitor BUNDLE --traffic DIR --every SECONDS --port PORT`",
                "No reference in the bundle: package it again, `mw run RECIPE`",
            ),
        ),
    )


def _outside(subject: Subject, good: str, bad: str) -> str:
    """Quality surely beyond its floor; for errors, which are better when low, above it."""
    better = subject.of_model(f'metric!~"{LOWER_IS_BETTER}"')
    worse = subject.of_model(f'metric=~"{LOWER_IS_BETTER}"')
    by = "max by (model, metric)"
    return (
        f"{by} (modelwright_{good}{better}) < {by} (modelwright_quality_floor{better})\n"
        f"or {by} (modelwright_{bad}{worse}) > {by} (modelwright_quality_floor{worse})"
    )


def _quality(subject: Subject) -> Alert:
    def case(low: str, high: str) -> Case:
        about = {"model": subject.model, "metric": "accuracy"}
        return Case(
            {
                labelled("modelwright_live_quality_low", **about): low,
                labelled("modelwright_live_quality_high", **about): high,
                labelled("modelwright_quality_floor", **about): "0.88x40",
            },
            at=6,
        )

    return Alert(
        name="QualityDrop",
        severity="page",
        about="quality",
        expr=_outside(subject, "live_quality_high", "live_quality_low"),
        hold="0s",
        summary=f"{subject.model} answers worse than it did on its test rows",
        description="By the true answers that came back, {{ $labels.metric }} is at best "
        "{{ $value }}, with 95% confidence; that is below its floor.",
        fires=case("0.70x40", "0.80x40"),
        quiet=case("0.80x40", "0.90x40"),
        page=Page(
            means="The whole 95% interval of the live quality lies beyond the floor, which is the "
            "lower end of the test split's interval less the tolerance. This is no chance.",
            look=(
                "`modelwright_live_quality` with `_low`, `_high` and `modelwright_quality_floor`",
                "Which labels: `mw monitor BUNDLE --traffic DIR` lists quality by label",
                "Whether it began with a version: dashboard, row Rollout",
                "Whether those who send true answers send them for a part of the inputs alone",
            ),
            causes=(
                "The world moved: see InputDrift, PredictionDrift",
                "A new version is worse than its test rows said",
                "True answers come from another process than the training labels did",
            ),
            do=(
                "It began with a version: roll it back at the admin port",
                *_renewing(subject),
            ),
        ),
        renew=True,
    )


def _estimated(subject: Subject) -> Alert:
    def case(estimate: str) -> Case:
        about = {"model": subject.model, "metric": "accuracy"}
        return Case(
            {
                labelled("modelwright_estimated_quality", **about): estimate,
                labelled("modelwright_quality_floor", **about): "0.88x60",
                labelled("modelwright_drift_rows", model=subject.model): "900x60",
            },
            at=6,
        )

    rows = f"max by (model) (modelwright_drift_rows{subject.of_model()})"
    expr = _outside(subject, "estimated_quality", "estimated_quality")
    return Alert(
        name="EstimatedQualityLow",
        severity="ticket",
        about="quality",
        expr=f"({expr})\nand on (model) {rows} >= {LEAST_ROWS}",
        hold="0s",
        summary=f"{subject.model} is probably worse than on its test rows",
        description="By the model's own confidence {{ $labels.metric }} is about {{ $value }}, "
        "below its floor; no true answers were needed.",
        fires=case("0.80x60"),
        quiet=case("0.90x60"),
        page=Page(
            means="An estimate from confidence, whose error the monitor's report shows. It comes "
            "before true answers do, and is wrong where the model is sure of its mistakes.",
            look=(
                "The report's estimate with its error: `mw monitor BUNDLE --traffic DIR`",
                "Drift in the same window: dashboard, row Data",
            ),
            causes=("Inputs that the model does not know: see InputDrift, EmbeddingDrift",),
            do=(
                "Get true answers for a hundred requests: `POST /v1/feedback`; then QualityDrop "
                "speaks with an interval",
                *_renewing(subject),
            ),
        ),
        renew=True,
    )
