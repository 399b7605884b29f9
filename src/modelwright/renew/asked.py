"""What a renewal is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FEEDBACK = "feedback"
"""Stands among the sources of labels for what callers said was right."""


@dataclass(frozen=True)
class Place:
    """A service that runs: where it answers, where it is changed, and with which key.

    Attributes:
        service: URL of the service.
        admin: URL of its admin port.
        key: with the scopes admin and metrics; "" for none.
        bundles: the folder of its `--bundles`, as seen from here; None for the one in which its
            present bundle lies.
    """

    service: str
    admin: str
    key: str = ""
    bundles: Path | None = None


@dataclass(frozen=True)
class Asked:
    """One renewal.

    Attributes:
        recipe: the model's.
        traffic: folder that `mw serve --traffic` writes.
        labels: files, or `FEEDBACK`; empty to choose what to label.
        budget: most rows to label.
        output: the renewal's folder; None for `runs/NAME-renewal` beside the recipe.
        model: the bundle to renew; None for the registry's production, the last renewal's, or
            `runs/NAME/bundle`.
        registry: URL, or None.
        key: private key to sign with.
        place: the service, or None.
        because: why, for the record.
    """

    recipe: Path
    traffic: Path
    labels: tuple[str, ...] = ()
    budget: int = 200
    output: Path | None = None
    model: Path | None = None
    registry: str | None = None
    key: Path | None = None
    place: Place | None = None
    because: str = ""
