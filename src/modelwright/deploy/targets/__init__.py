"""One file per place to run: an order to files, and the three commands that use them.

A target decides nothing by itself: numbers come from the order's `sizing`, names are checked before
they arrive. Texts that a user wrote freely (labels, the processor's name) go through `yamltext` or
JSON, or into comments by `comment`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

from pydantic import BaseModel

from modelwright.deploy.imaging import Files
from modelwright.deploy.ordering import Order
from modelwright.deploy.policy import Policy
from modelwright.deploy.yamltext import one_line


class Target(ABC):
    """The interface of a target plug."""

    def __init__(self, config: BaseModel) -> None:
        self.config = config

    @abstractmethod
    def files(self, order: Order) -> Files:
        """Everything but README.md, by relative path."""

    @abstractmethod
    def commands(self, order: Order) -> list[tuple[str, str]]:
        """What to do, in order: a sentence and the command, three at most."""

    @abstractmethod
    def notes(self, order: Order) -> str:
        """Markdown below the commands: what is there, what to change, what it needs."""

    def follows(self, policy: Policy) -> Policy:
        """The policy that this place's autoscaler follows when it is told of one; again, the same.

        Here: by the requests of the moment, and all the way. A place that can be told more, or that
        does otherwise whatever it is told, says so.
        """
        return replace(
            policy, look_back_seconds=0.0, metrics_seconds=0.0, up_gain=1.0, down_gain=1.0
        )

    def readme(self, order: Order) -> str:
        """README.md of the folder."""
        steps = "\n".join(
            f"{number}. {sentence}\n\n   ```sh\n{_indented(command)}\n   ```\n"
            for number, (sentence, command) in enumerate(self.commands(order), start=1)
        )
        return (
            f"# {order.title} {order.version}\n\n"
            f"Written by `mw deploy`; written again from a new bundle, it stays the same but for "
            f"what the bundle changes.\n\n{steps}\n{self.notes(order).strip()}\n\n"
            f"## Where the numbers come from\n\n```\n{comment(order.sizing.head)}\n```\n"
        )


def comment(text: str, mark: str = "# ") -> str:
    """Lines of a comment; whatever cannot be printed is `?`, so that none can end early."""
    return "\n".join(f"{mark}{one_line(line)}".rstrip() for line in text.split("\n"))


def _indented(command: str) -> str:
    return "\n".join(f"   {line}" for line in command.split("\n"))


INTERFACE = Target
