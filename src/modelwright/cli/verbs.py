"""Which verbs there are and what each says of itself; reads the files, imports none."""

from __future__ import annotations

from pathlib import Path

_NOT_VERBS = {"main", "output", "verbs", "completion"}
_USUAL_ORDER = (
    "new",
    "check",
    "plan",
    "run",
    "explain",
    "report",
    "predict",
    "verify",
    "bench",
    "serve",
    "keys",
    "push",
    "pull",
    "models",
    "simulate",
    "deploy",
    "monitor",
    "renew",
    "list",
    "studio",
)


def names() -> list[str]:
    """Every verb, in the order in which a newcomer needs them; others after, by name."""
    found = {
        path.stem
        for path in Path(__file__).parent.glob("*.py")
        if not path.name.startswith("_") and path.stem not in _NOT_VERBS
    }
    rank = {name: index for index, name in enumerate(_USUAL_ORDER)}
    return sorted(found, key=lambda name: (rank.get(name, len(rank)), name))


def summary(name: str) -> str:
    """The first line of the verb's docstring."""
    with Path(__file__).with_name(f"{name}.py").open(encoding="utf-8") as file:
        first = file.readline().strip()
    return first.strip('"').strip()
