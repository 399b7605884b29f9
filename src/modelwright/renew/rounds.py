"""The folder of a renewal: rounds, what each has reached, and the record of every decision.

DIR/renewal.jsonl                every decision of every round: when, which step, what, why
DIR/001/renewal.json             what the round has reached; a killed one goes on from there
DIR/001/to-label.csv data/ recipe.yaml run/ report.md
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwright.artifacts.store import now
from modelwright.errors import UserError
from modelwright.registry.store import whoami
from modelwright.runtime.files import read_json, write_json, writing_errors
from modelwright.runtime.progress import say

FINAL = ("promoted", "ready", "rejected", "rolled-back")
"""Ends of a round: in service; good and not asked to be put there; not good; taken back."""
BETTER = ("promoted", "ready")


@dataclass
class Round:
    """One renewal, from choosing rows to service.

    Attributes:
        folder: of the round.
        steps: what each finished step found, by its name.
        status: running, labelling, or one of `FINAL`.
    """

    folder: Path
    steps: dict[str, Any] = field(default_factory=dict)
    status: str = "running"
    decisions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def number(self) -> int:
        return int(self.folder.name)

    @property
    def bundle(self) -> Path:
        """The renewed bundle."""
        return self.folder / "run" / "bundle"

    def done(self, step: str, found: Any, told: str = "") -> Any:
        """Record a finished step; with words it is a decision too."""
        self.steps[step] = found
        if told:
            self.decide(step, told)
        self.save()
        return found

    def decide(self, step: str, told: str) -> None:
        """Write down a decision, for good."""
        entry = {"at": now(), "by": whoami(), "round": self.number, "step": step, "decision": told}
        self.decisions.append(entry)
        say(f"{step}: {told}")
        journal = self.folder.parent / "renewal.jsonl"
        with writing_errors(journal), journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.save()

    def end(self, status: str, told: str) -> None:
        """Finish the round."""
        self.status = status
        self.decide(status, told)

    def forget(self, *kept: str) -> None:
        """Drop what was reached, but for some steps: other labels came."""
        self.steps = {name: self.steps[name] for name in kept if name in self.steps}
        self.status = "running"
        self.save()

    def save(self) -> None:
        """Write `renewal.json`."""
        values = {"status": self.status, "steps": self.steps, "decisions": self.decisions}
        write_json(self.folder / "renewal.json", values)


def rounds(folder: Path) -> list[Round]:
    """All rounds, oldest first.

    Raises:
        UserError: MW-604 for one that cannot be read.
    """
    found = []
    for path in sorted(folder.glob("[0-9][0-9][0-9]/renewal.json")):
        try:
            values = read_json(path)
            found.append(Round(path.parent, values["steps"], values["status"], values["decisions"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                "MW-604",
                f"the renewal cannot go on from it: {error}",
                expected="a file as `mw renew` wrote it",
                fix=f"delete {path.parent}; the round is made anew",
                file=str(path),
            ) from error
    return found


def new_round(folder: Path, known: list[Round]) -> Round:
    """The next round's folder."""
    number = max((one.number for one in known), default=0) + 1
    made = Round(folder / f"{number:03d}")
    with writing_errors(made.folder):
        made.folder.mkdir(parents=True, exist_ok=True)
    made.save()
    return made


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One renewal a folder at a time; MW-803 for a second one."""
    with writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                "MW-803",
                f"another renewal is at work in {folder}",
                expected="one renewal a folder at a time",
                fix="wait for it, or choose another folder with -o",
            ) from error
        yield
