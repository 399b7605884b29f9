"""One page an alert: what it means, where to look first, likely causes, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.deploy.watching._alert import Alert, Subject
from modelwright.deploy.watching._rules import alerts_of
from modelwright.recipe.schema import Slo

_WHO = {"page": "wakes somebody", "ticket": "for working hours", "info": "for who looks"}
INDEX = "README.md"


def runbooks(
    manifest: Mapping[str, Any], slo: Slo, most_replicas: int | None = None
) -> dict[str, str]:
    """File name -> Markdown; `README.md` lists them.

    Args:
        manifest: of the bundle.
        slo: what is promised.
        most_replicas: as for `rules`.

    Raises:
        UserError: MW-630.
    """
    subject = Subject.of(manifest, slo, most_replicas)
    alerts = alerts_of(subject)
    pages = {f"{alert.name}.md": _page(alert) for alert in alerts}
    return {INDEX: _index(subject, alerts), **pages}


def _page(alert: Alert) -> str:
    page = alert.page
    hold = "at once" if alert.hold == "0s" else f"after {alert.hold}"
    renew = "\nIt calls for a new model (`action: renew`).\n" if alert.renew else ""
    return f"""# {alert.name}

{alert.summary}. Severity {alert.severity}: {_WHO[alert.severity]}.
{renew}
## What it means

{page.means}

## First look

{_items(page.look)}
## Likely causes

{_items(page.causes)}
## What to do

{_items(page.do)}
SERVICE is the service's address, ADMIN that of its admin port (`mw serve --admin-port`).

## The rule

Fires {hold} while this has a result:

```promql
{alert.expr}
```
"""


def _items(lines: Sequence[str]) -> str:
    return "".join(f"- {line}.\n" for line in lines)


def _index(subject: Subject, alerts: Sequence[Alert]) -> str:
    rows = "".join(
        f"| [{alert.name}]({alert.name}.md) | {alert.severity} | {alert.summary} |\n"
        for alert in alerts
    )
    slo = subject.slo
    return f"""# Runbooks of {subject.model}

Promised: {slo.availability:.6g} of the requests answered, 99% of them within \
{subject.p99_s * 1000:g} ms, over {slo.window_days} days.

| alert | severity | when |
| --- | --- | --- |
{rows}"""
