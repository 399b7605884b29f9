"""What `mw explain` says: a recipe's values and their origins, or an error code by example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelwright.errors import CODES, UserError, did_you_mean
from modelwright.recipe.check import Checked
from modelwright.recipe.derive import Derived, apply, derive_static
from modelwright.recipe.emit import inline
from modelwright.recipe.examples import EXAMPLES
from modelwright.recipe.places import dotted
from modelwright.recipe.resolved import leaves, resolved_yaml

OPEN = "derived in the run, from effort, task and data"


def explain_recipe(checked: Checked, derived: Sequence[Derived] = ()) -> list[dict[str, Any]]:
    """Every value: `path`, `value`, `origin` and what the key is `about`."""
    everything = [*derive_static(checked.recipe), *derived]
    complete = apply(checked.recipe, everything)
    rows = []
    for leaf in leaves(complete, checked.places, everything):
        if leaf.opens:
            continue
        is_open = leaf.value is None and "erived" in leaf.about and leaf.origin == "default"
        rows.append(
            {
                "path": dotted(leaf.path),
                "value": leaf.value,
                "shown": "" if leaf.value is None else inline(leaf.value),
                "origin": OPEN if is_open else leaf.origin,
                "about": leaf.about,
            }
        )
    return rows


def explain_as_yaml(checked: Checked, derived: Sequence[Derived] = ()) -> str:
    """The same as a recipe with comments."""
    everything = [*derive_static(checked.recipe), *derived]
    return resolved_yaml(apply(checked.recipe, everything), checked.places, everything)


def explain_code(code: str) -> dict[str, str]:
    """An error code's meaning with a wrong and a right example.

    Raises:
        UserError: MW-805 for a code that does not exist.
    """
    code = code.upper().replace("_", "-")
    if code.isdigit():
        code = f"MW-{code}"
    if code not in CODES:
        raise UserError(
            "MW-805",
            f"there is no error code `{code}`",
            expected="a code such as MW-101",
            fix=did_you_mean(code, CODES) if code.startswith("MW") else "write MW-nnn",
        )
    wrong, right = EXAMPLES[code]
    return {"code": code, "meaning": CODES[code], "wrong": wrong, "right": right}


def code_text(explained: dict[str, str]) -> str:
    """A code's explanation for people."""
    lines = [f"{explained['code']}: {explained['meaning']}", ""]
    for title in ("wrong", "right"):
        block = explained[title].splitlines()
        lines += [f"{title}:", *(f"    {line}" for line in block), ""]
    return "\n".join(lines).rstrip()
