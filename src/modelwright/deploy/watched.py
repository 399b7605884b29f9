"""The files that watch a service: rules, their tests, alerts' receivers, a dashboard, runbooks.

What they say is made by `deploy.watching` from the bundle; here it becomes text for the place to run.
"""

from __future__ import annotations

import json
from typing import Any

from modelwright.deploy import watching, yamltext
from modelwright.deploy.imaging import Files
from modelwright.deploy.ordering import Order

IN_FLIGHT = "modelwright_requests_in_flight"
"""Gauge of the service: requests that it is answering, waiting ones among them."""


def rules(order: Order, most_replicas: int | None = None) -> dict[str, Any]:
    """Recording and alerting rules, as Prometheus takes them."""
    return watching.rules(order.manifest, order.slo, most_replicas)


def rules_text(order: Order) -> str:
    """The same as a file, for a service that is not scaled."""
    return yamltext.text(rules(order), "Check and test: promtool test rules rules_test.yml")


def rule_tests_text(order: Order) -> str:
    """Unit tests of the rules, for promtool."""
    return yamltext.text(watching.rule_tests(order.manifest, order.slo))


def alertmanager_text(order: Order) -> str:
    """Alertmanager's own configuration."""
    head = "Alerts go where --alerts said; without it they are shown at port 9093 and sent nowhere."
    return yamltext.text(watching.alertmanager(order.receiver), head)


def dashboard_text(order: Order) -> str:
    """A dashboard as Grafana imports it."""
    found = watching.dashboard(order.manifest, order.slo)
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


def runbook_files(order: Order, under: str = "runbooks") -> Files:
    """A page for each alert."""
    pages = watching.runbooks(order.manifest, order.slo)
    return {f"{under}/{name}": text for name, text in sorted(pages.items())}
