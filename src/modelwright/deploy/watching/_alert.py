"""An alert with everything that is made of it: its rule, its test and its runbook page."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, final

from modelwright.deploy.values import deployed_name
from modelwright.errors import UserError
from modelwright.recipe.schema import NAME_PATTERN, USUAL_P99_MS, Slo

Severity = Literal["page", "ticket", "info"]
DEADLINE_S = 30.0
"""In which the service answers where no recipe says otherwise."""


@final
@dataclass(frozen=True)
class Case:
    """Series in promtool's notation, a value a minute, and when an alert is looked for.

    Attributes:
        series: by name with labels.
        at: after how many minutes it is looked for.
    """

    series: Mapping[str, str]
    at: int = 9


@final
@dataclass(frozen=True)
class Page:
    """What a runbook says of an alert; Markdown, each field some lines or items.

    Attributes:
        means: what users notice, and why the limit is where it is.
        look: what to look at first.
        causes: likely ones, the likeliest first.
        do: what to do, by cause.
    """

    means: str
    look: tuple[str, ...]
    causes: tuple[str, ...]
    do: tuple[str, ...]


@final
@dataclass(frozen=True)
class Alert:
    """One alert.

    Attributes:
        name: in CamelCase.
        severity: page wakes somebody, ticket is for working hours, info is for who looks.
        about: what it is about; a page quiets tickets about the same.
        expr: PromQL; fires while it has a result.
        hold: for how long that must last, in Prometheus' notation.
        summary: one line.
        description: what is seen, with `{{ $value }}` and labels.
        fires: a case in which it fires.
        quiet: one in which it must not.
        page: of the runbook.
        renew: whether a new model is called for.
    """

    name: str
    severity: Severity
    about: str
    expr: str
    hold: str
    summary: str
    description: str
    fires: Case
    quiet: Case
    page: Page
    renew: bool = False


@final
@dataclass(frozen=True)
class Record:
    """A recorded series.

    Attributes:
        name: `level:what:operation`.
        expr: PromQL.
    """

    name: str
    expr: str


@final
@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other.

    Attributes:
        name: unique in the file.
        records: come first.
        alerts: may use them.
        every: seconds between evaluations; 0 for Prometheus' own setting.
    """

    name: str
    records: tuple[Record, ...] = ()
    alerts: tuple[Alert, ...] = field(default=())
    every: int = 0


@final
@dataclass(frozen=True)
class Subject:
    """The model that is watched, and what was promised for it.

    Attributes:
        model: its name.
        slo: its promises.
        deadline_s: in how many seconds requests are answered.
        most: replicas, at most; None where only the platform knows.
    """

    model: str
    slo: Slo
    deadline_s: float = DEADLINE_S
    most: int | None = None

    @staticmethod
    def of(manifest: Mapping[str, Any], slo: Slo, most: int | None = None) -> Subject:
        """What a bundle's manifest and promises say.

        Raises:
            UserError: MW-630 for a name that cannot be a label of every system.
        """
        name = str(manifest.get("name", ""))
        if not re.fullmatch(NAME_PATTERN, name):
            raise UserError(
                "MW-630",
                f"the bundle is named {name[:80]!r}",
                expected="letters, digits and -, at most 64, for names of rules and dashboards",
                fix="package it again under such a name: `name:` in the recipe",
            )
        deadline = ((manifest.get("serve") or {}).get("deadline_ms") or math.inf) / 1000
        return Subject(name, slo, min(DEADLINE_S, deadline), most)

    @property
    def p99_s(self) -> float:
        """The promised 99th percentile, in seconds."""
        return (self.slo.p99_ms or USUAL_P99_MS) / 1000

    @property
    def edge(self) -> str:
        """Regular expression of the bucket's label `le` that ends at the promise."""
        text = f"{self.p99_s:.12g}"
        return re.escape(text).replace("\\", "\\\\") + ("" if "." in text else "(\\\\.0)?")

    def of_model(self, more: str = "") -> str:
        """A selector of the model's series, with further matchers."""
        return f'{{model="{self.model}"{"," + more if more else ""}}}'

    @property
    def deployed(self) -> str:
        """Regular expression of what it is called where it runs, in any case of letters."""
        lower = deployed_name(self.model)
        names = self.model if self.model.lower() == lower else f"({self.model}|{lower})"
        return f"(?i){names}"

    def of_job(self, suffix: str = "") -> str:
        """A selector of the series of a scrape job."""
        return f'{{job=~"{self.deployed}{suffix}"}}'


def labelled(name: str, **labels: str) -> str:
    """A series as test files write it."""
    inner = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{inner}}}"


def series_of(subject: Subject, name: str, **more: str) -> str:
    """A series of the model, told by one replica."""
    about = {"model": subject.model, "version": "v1", "instance": "a:8000"}
    return labelled(name, **{**about, **more})
