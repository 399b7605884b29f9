"""What watches a service, for a Prometheus of your own: rules, tests, routes, dashboard, runbooks.

    mw deploy BUNDLE --target prometheus -o watching
    cd watching && promtool check config prometheus.yml && promtool test rules rules_test.yml

The other targets bring the same where they bring Prometheus (compose, kubernetes). Here it stands
alone: to be taken into what you have, or to be started as it is beside a service on this machine.
"""

from __future__ import annotations

from typing import Any, final

from pydantic import BaseModel, ConfigDict

from modelwright.deploy import beside, watched, watching
from modelwright.deploy.beside import MONITOR_PORT
from modelwright.deploy.imaging import Files
from modelwright.deploy.ordering import PORT, Order
from modelwright.deploy.targets import Target
from modelwright.deploy.yamltext import Noted, text

VERSION = 1
_RULES = (
    "Taken as they are: `rule_files: [rules.yml]`. Tested by: promtool test rules rules_test.yml"
)


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Prometheus(Target):
    """See the module."""

    def files(self, order: Order) -> Files:
        manifest, slo, most = order.manifest, order.slo, order.policy.maximum
        return {
            "prometheus.yml": text(_config(order), order.sizing.head),
            "rules.yml": text(watching.rules(manifest, slo, most), _RULES),
            "rules_test.yml": text(watching.rule_tests(manifest, slo, most)),
            "alertmanager.yml": watched.alertmanager_text(order),
            f"dashboards/{order.name}.json": watched.dashboard_text(order),
            **watched.runbook_files(order),
        }

    def commands(self, order: Order) -> list[tuple[str, str]]:
        return [
            (
                "Check the files, and that each alert fires when it should.",
                "promtool check config prometheus.yml && promtool test rules rules_test.yml "
                "&& amtool check-config alertmanager.yml",
            ),
            ("Start Alertmanager.", "alertmanager --config.file=alertmanager.yml"),
            (
                f"Start Prometheus beside the service (port {PORT}); http://localhost:9090/alerts.",
                "prometheus --config.file=prometheus.yml",
            ),
        ]

    def notes(self, order: Order) -> str:
        return f"""
- With a Prometheus of your own: add `rules.yml` to its `rule_files`, and the jobs of `prometheus.yml` to
  its `scrape_configs`. Rules know the service's series by the label `model`, and its processes by the
  job's name, `{order.title}`.
- With an Alertmanager of your own: alerts carry `severity` (page, ticket, info), `about`, `model`, and
  `action: renew` where a new model is called for; `alertmanager.yml` shows routes and inhibition.
- Alerts are posted to {order.receiver or "nobody; give `--alerts URL` to `mw deploy`"}.
- Grafana: import `dashboards/{order.name}.json` and choose the data source at its top.
- `runbooks/` has a page for each alert. Serve the folder somewhere and put its address before
  `runbooks/` in `rules.yml`, so that the links of alerts lead there.
{_monitoring(order)}"""


def _monitoring(order: Order) -> str:
    """What the second job scrapes, or why there is none."""
    if not order.records:
        return "- No job for `mw monitor`: the recipe records nothing (`serve: {record: ...}`).\n"
    return (
        f"- Drift and quality, the job `{beside.job(order)}`: beside each replica `mw monitor BUNDLE "
        f"--traffic DIR\n  --every {order.monitor.every_s:.10g} --port {MONITOR_PORT}`, with `--host 0.0.0.0` for a "
        "Prometheus elsewhere; each replica's monitor is\n  a target, for it sees that replica's "
        "traffic alone.\n"
    )


def _config(order: Order) -> dict[str, Any]:
    """A whole configuration, for one service on this machine."""
    key = Noted(
        f"localhost:{PORT}",
        "a service with keys: add `authorization: {credentials_file: FILE}` to the job, with a key of\n"
        "`mw keys add prometheus --scope metrics`; with TLS: `scheme: https`",
    )
    jobs: list[Any] = [{"job_name": order.title, "static_configs": [{"targets": [key]}]}]
    if order.records:
        jobs.append(
            {
                "job_name": beside.job(order),
                "static_configs": [{"targets": [f"localhost:{MONITOR_PORT}"]}],
            }
        )
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["localhost:9093"]}]}]},
        "scrape_configs": Noted(
            jobs,
            f"every replica is a target; how many there may be: {order.sizing.in_flight.why}",
        ),
    }
