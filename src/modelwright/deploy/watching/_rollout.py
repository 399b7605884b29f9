"""Alerts on new versions: a canary that does worse, one that was withdrawn, a bundle that fails."""

from __future__ import annotations

from modelwright.deploy.watching._alert import Alert, Case, Group, Page, Subject, labelled

LEAST = 100
"""Requests of a canary before all replicas together judge it."""
SLOWER = 1.5


def groups(subject: Subject) -> list[Group]:
    """One group."""
    alerts = (_worse(subject), _slower(subject), _withdrawn(subject), _unverified(subject))
    return [Group("rollout", alerts=alerts)]


def failed_share(subject: Subject, role: str, window: str) -> str:
    """Share of a side's requests that it failed, answered by the other side or not."""
    asked = f'role="{role}"'
    failed = f'role="{role}",outcome="failed"'
    return (
        f"sum(rate(modelwright_trial_requests_total{subject.of_model(failed)}[{window}]))\n"
        f"  / (sum(rate(modelwright_trial_requests_total{subject.of_model(asked)}[{window}])) > 0)"
    )


def trial_p99(subject: Subject, role: str, window: str) -> str:
    """A side's 99th percentile, in seconds."""
    side = subject.of_model(f'role="{role}"')
    rate = f"sum by (le) (rate(modelwright_trial_seconds_bucket{side}[{window}]))"
    return f"histogram_quantile(0.99, {rate})"


def _enough(subject: Subject) -> str:
    side = subject.of_model('role="canary"')
    return f"sum(increase(modelwright_trial_requests_total{side}[10m])) > {LEAST}"


def _asked(subject: Subject, role: str, failed: int) -> dict[str, str]:
    about = {"model": subject.model, "version": role, "role": role}
    name = "modelwright_trial_requests_total"
    return {
        labelled(name, **about, outcome="ok"): f"0+{1000 - failed}x60",
        labelled(name, **about, outcome="failed"): f"0+{failed}x60",
    }


def _took(subject: Subject, role: str, within: float) -> dict[str, str]:
    about = {"model": subject.model, "version": role, "role": role}
    name = "modelwright_trial_seconds_bucket"
    found = {
        labelled(name, **about, le=f"{edge:g}"): f"0+{1000 if edge >= within else 0}x60"
        for edge in (0.01, 0.025, 0.05, 0.1, 0.25)
    }
    return {**found, labelled(name, **about, le="+Inf"): "0+1000x60"}


def _roll_back(subject: Subject) -> str:
    return (
        f"`curl -X POST ADMIN/admin/models/{subject.model}/rollback -H 'x-api-key: KEY'` takes the "
        "canary back"
    )


def _worse(subject: Subject) -> Alert:
    canary, stable = (failed_share(subject, role, "10m") for role in ("canary", "stable"))
    return Alert(
        name="CanaryWorse",
        severity="page",
        about="rollout",
        expr=f"({canary})\n  - ({stable}) > 0.01\nand on () {_enough(subject)}",
        hold="5m",
        summary=f"The canary of {subject.model} fails more requests than the stable version",
        description="{{ $value | humanizePercentage }} more of its requests fail than of the "
        "stable version's in the same minutes.",
        fires=Case({**_asked(subject, "canary", 50), **_asked(subject, "stable", 1)}),
        quiet=Case({**_asked(subject, "canary", 5), **_asked(subject, "stable", 2)}),
        page=Page(
            means="Callers notice nothing yet: what the canary fails the stable version answers. "
            "Each replica withdraws a canary that it has seen enough of; this looks at all of them "
            "together, and sees what each alone sees too little of.",
            look=(
                "Dashboard, row Rollout: failures and latency of both sides",
                "The log: 500s of the canary's version with their trace",
                'Its answers beside the stable\'s: load it `"as": "shadow"` and see '
                "`modelwright_shadow_answers_total`",
            ),
            causes=(
                "The new version fails on inputs that its test rows do not have",
                "It is slower, and its requests come too late",
            ),
            do=(
                _roll_back(subject) + "; do it on every replica",
                "Then `mw verify BUNDLE`, and the inputs that failed as test rows of the recipe",
            ),
        ),
    )


def _slower(subject: Subject) -> Alert:
    canary, stable = (trial_p99(subject, role, "10m") for role in ("canary", "stable"))
    return Alert(
        name="CanarySlower",
        severity="ticket",
        about="rollout",
        expr=f"{canary}\n  > {SLOWER} * {stable}\nand on () {_enough(subject)}",
        hold="10m",
        summary=f"The canary of {subject.model} is slower than the stable version",
        description="Its 99th percentile is {{ $value | humanizeDuration }}, more than "
        f"{SLOWER} times the stable version's.",
        fires=Case(
            {
                **_asked(subject, "canary", 0),
                **_took(subject, "canary", 0.1),
                **_took(subject, "stable", 0.025),
            },
            at=14,
        ),
        quiet=Case(
            {
                **_asked(subject, "canary", 0),
                **_took(subject, "canary", 0.025),
                **_took(subject, "stable", 0.025),
            },
            at=14,
        ),
        page=Page(
            means="Promoted, it would answer as slowly to everybody.",
            look=("Dashboard, row Rollout", "`mw bench` of both bundles on this machine"),
            causes=("Another variant or size", "It is cold: its first minutes only"),
            do=(
                _roll_back(subject),
                "A faster variant of it: `mw bench BUNDLE`, compress the recipe",
            ),
        ),
    )


def _withdrawn(subject: Subject) -> Alert:
    series = labelled("modelwright_canary_withdrawn_total", model=subject.model, instance="a:8000")
    return Alert(
        name="CanaryWithdrawn",
        severity="ticket",
        about="rollout",
        expr=f"increase(modelwright_canary_withdrawn_total{subject.of_model()}[15m]) > 0",
        hold="0s",
        summary=f"A replica of {subject.model} took its canary back by itself",
        description="{{ $labels.instance }}: it failed more, or its 95th percentile was half as long "
        "again.",
        fires=Case({series: "0x5 1x35"}, at=10),
        quiet=Case({series: "1x40"}, at=10),
        page=Page(
            means="The trial is over on that replica; the stable version answers everything there. "
            "The log names what was worse.",
            look=("The log: `the canary was withdrawn: ...`", "Dashboard, row Rollout"),
            causes=("See CanaryWorse and CanarySlower",),
            do=(
                _roll_back(subject) + " on the other replicas, too",
                "Find the cause before the next trial; `mw verify BUNDLE`",
            ),
        ),
    )


def _unverified(subject: Subject) -> Alert:
    job = subject.of_job()
    series = labelled(
        "modelwright_verify_failures_total", job=subject.model, instance="a:8000", reason="files"
    )
    return Alert(
        name="PackageVerifyFailed",
        severity="page",
        about="security",
        expr=f"increase(modelwright_verify_failures_total{job}[5m]) > 0",
        hold="0s",
        summary="A bundle that was to be served did not pass its checks",
        description="{{ $labels.instance }} refused it: {{ $labels.reason }}. Nothing else changed.",
        fires=Case({series: "0x5 1x35"}, at=7),
        quiet=Case({series: "1x40"}, at=7),
        page=Page(
            means="`files`: a file has another digest than bundle.json says, is missing or was added. "
            "`answers`: the bundle does not give its golden answers on this machine. `other`: it "
            "cannot be opened. What was served before is served on.",
            look=(
                "The answer of the admin port, and the log: which file",
                "`mw verify BUNDLE` on the folder, and on the one that it was copied from",
            ),
            causes=(
                "A copy that was cut short, or a folder that was edited",
                "Somebody changed a model: treat it as an incident until it is known",
                "`answers`: another processor or library than it was packaged for",
            ),
            do=(
                "Take the bundle again from where it was made: `mw pull NAME VERSION` checks it",
                "`answers`: `mw verify BUNDLE` tells which rows; serve another variant",
            ),
        ),
    )
