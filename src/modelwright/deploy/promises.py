"""What a service promises: as the command says, else as the recipe said, else a usual figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from modelwright.errors import UserError
from modelwright.recipe.schema import USUAL_P99_MS, Slo

MOST_P99_MS = 600_000.0


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
    from pydantic import ValidationError

    try:
        return Slo.model_validate({**_of_recipe(manifest), "p99_ms": float(p99_ms)})
    except ValidationError as error:
        raise UserError(
            "MW-622",
            f"serve.slo of bundle.json cannot be used: {error.errors()[0]['msg']}",
            expected="the promises as a recipe has them",
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
