"""What the programs that ask with other clients share: checks by name, told as one line of JSON.

PORT, MODEL, TEXTS (JSON), EXPECTED (JSON: our own answers) and KEY come from the environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

PORT, MODEL, KEY = os.environ["PORT"], os.environ["MODEL"], os.environ["KEY"]
TEXTS: list[str] = json.loads(os.environ["TEXTS"])
EXPECTED: list[dict[str, Any]] = json.loads(os.environ["EXPECTED"])
FOUND: dict[str, str] = {}


def check(call: Callable[[], None]) -> None:
    """Run one check; its name is the function's."""
    name = call.__name__.replace("_", " ")
    try:
        call()
    except Exception as error:  # noqa: BLE001 - it is what is asked for
        FOUND[name] = f"{type(error).__name__}: {error}"[:300]
    else:
        FOUND[name] = ""


def raises(kind: type[BaseException], call: Callable[[], Any]) -> BaseException:
    """The error that a call must end with."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def tell(*packages: str) -> None:
    """Print what was found."""
    print(json.dumps({"versions": {name: version(name) for name in packages}, "checks": FOUND}))
