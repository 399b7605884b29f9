"""The table of alerts as a Prometheus rule file, and as the test file of `promtool test rules`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelwright.deploy.watching import _batching, _data, _load, _promises, _rollout, _upkeep
from modelwright.deploy.watching._alert import Alert, Case, Group, Subject
from modelwright.recipe.schema import Slo

RUNBOOKS = "runbooks"


def groups_of(subject: Subject) -> list[Group]:
    """Every rule, the promises first."""
    parts = (_promises, _load, _batching, _rollout, _data, _upkeep)
    return [group for part in parts for group in part.groups(subject)]


def alerts_of(subject: Subject) -> list[Alert]:
    """Every alert."""
    return [alert for group in groups_of(subject) for alert in group.alerts]


def rules(
    manifest: Mapping[str, Any],
    slo: Slo,
    most_replicas: int | None = None,
    runbook_base: str = RUNBOOKS,
) -> dict[str, Any]:
    """A Prometheus rule file as data.

    Args:
        manifest: of the bundle.
        slo: what is promised.
        most_replicas: the policy's maximum; without it the alert on it asks kube-state-metrics.
        runbook_base: folder or address that the alerts' runbook pages are found under.

    Raises:
        UserError: MW-630 for a bundle whose name cannot be used.
    """
    subject = Subject.of(manifest, slo, most_replicas)
    return {"groups": [_group(subject, group, runbook_base) for group in groups_of(subject)]}


def _group(subject: Subject, group: Group, runbook_base: str) -> dict[str, Any]:
    about = {"model": subject.model}
    recorded = [
        {"record": one.name, "expr": one.expr, "labels": dict(about)} for one in group.records
    ]
    alerts = [_alert(subject, one, runbook_base) for one in group.alerts]
    every = {"interval": f"{group.every}s"} if group.every else {}
    return {"name": f"{subject.model}-{group.name}", **every, "rules": [*recorded, *alerts]}


def _alert(subject: Subject, alert: Alert, runbook_base: str) -> dict[str, Any]:
    labels = {"severity": alert.severity, "about": alert.about, "model": subject.model}
    if alert.renew:
        labels["action"] = "renew"
    return {
        "alert": alert.name,
        "expr": alert.expr,
        **({"for": alert.hold} if alert.hold != "0s" else {}),
        "labels": labels,
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{runbook_base.rstrip('/')}/{alert.name}.md",
        },
    }


def rule_tests(
    manifest: Mapping[str, Any],
    slo: Slo,
    most_replicas: int | None = None,
    rule_file: str = "rules.yml",
) -> dict[str, Any]:
    """A test file as data: each alert fires in one case and is quiet in another.

    Args:
        manifest: of the bundle.
        slo: as for `rules`.
        most_replicas: as for `rules`.
        rule_file: name of the rule file, relative to the test file.

    Raises:
        UserError: MW-630.
    """
    alerts = alerts_of(Subject.of(manifest, slo, most_replicas))
    return {
        "rule_files": [rule_file],
        "evaluation_interval": "1m",
        "tests": [test for alert in alerts for test in _tests(alert)],
    }


def _tests(alert: Alert) -> Iterator[dict[str, Any]]:
    firing = f'count(ALERTS{{alertname="{alert.name}",alertstate="firing"}}) > bool 0'
    for case, fires in ((alert.fires, True), (alert.quiet, False)):
        found = [{"labels": "{}", "value": 1}] if fires else []
        yield _test(f"{alert.name} {'fires' if fires else 'is quiet'}", case, firing, found)


def _test(name: str, case: Case, expr: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "interval": "1m",
        "input_series": [
            {"series": series, "values": values} for series, values in case.series.items()
        ],
        "promql_expr_test": [
            {"expr": expr, "eval_time": f"{case.at}m", "exp_samples": found},
        ],
    }
