"""What a service promises: as the command says, else as the recipe said, else a usual figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from modelwright.errors import UserError
from modelwright.recipe.schema import USUAL_P99_MS, Monitor, Section, Slo

MOST_P99_MS = 600_000.0
_Kind = TypeVar("_Kind", bound=Section)


def promised_p99_ms(manifest: Mapping[str, Any], asked: float | None) -> tuple[float, str]:
    """The 99th percentile in milliseconds, and where it comes from.

    Raises:
        UserError: MW-622 for a number that is no time.
    """
    if asked is not None:
        return _checked(asked, "--slo"), "--slo"
    from_recipe = _of_recipe(manifest).get("p99_ms")
    if from_recipe is not None:
        return _checked(from_recipe, "serve.slo.p99_ms of bundle.json"), "the recipe"
    return USUAL_P99_MS, "usual; the recipe names none"


def slo_of(manifest: Mapping[str, Any], p99_ms: float) -> Slo:
    """Every promise of the bundle, with this 99th percentile."""
    return _section(Slo, {**_of_recipe(manifest), "p99_ms": float(p99_ms)}, "serve.slo")


def monitor_of(manifest: Mapping[str, Any]) -> Monitor:
    """What `mw monitor` reads from the bundle, the usual where it says nothing."""
    return _section(Monitor, manifest.get("monitor") or {}, "monitor")


def _section(kind: type[_Kind], told: Any, where: str) -> _Kind:
    from pydantic import ValidationError

    try:
        return kind.model_validate(told)
    except ValidationError as error:
        raise UserError(
            "MW-622",
            f"{where} of bundle.json cannot be used: {error.errors()[0]['msg']}",
            expected=f"`{where}` as a recipe has it",
            fix="package the bundle again with this release: mw run RECIPE",
        ) from None


def _of_recipe(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    serve = manifest.get("serve")
    found = serve.get("slo") if isinstance(serve, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _checked(value: Any, where: str) -> float:
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not 0 < number <= MOST_P99_MS:
        raise UserError(
            "MW-622",
            f"{where} is {value!r}",
            expected=f"milliseconds above 0, at most {MOST_P99_MS:,.0f}",
            fix="mw deploy ... --slo 50",
        )
    return float(number)
