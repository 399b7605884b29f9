"""From raw data to a monitored model service with one recipe.

    modelwright.check("recipe.yaml")                 every mistake, as RecipeError
    run = modelwright.run("recipe.yaml")             data to bundle
    bundle = modelwright.Bundle.open(run.bundle)     bundle.predict(["a text"])
    client = modelwright.Client(url)                 client.predict(["a text"])

The names resolve lazily: importing the package imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "AsyncClient": "modelwright.serve.client",
    "Bundle": "modelwright.engines",
    "Client": "modelwright.serve.client",
    "GateError": "modelwright.errors",
    "ModelwrightError": "modelwright.errors",
    "Recipe": "modelwright.recipe.schema",
    "RecipeError": "modelwright.errors",
    "Run": "modelwright.pipeline.running",
    "ServiceError": "modelwright.serve.problems",
    "UserError": "modelwright.errors",
    "check": "modelwright.recipe.check",
    "run": "modelwright.pipeline.running",
}
"""Public name -> module that defines it."""


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'modelwright' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*_PUBLIC, "__version__"])
