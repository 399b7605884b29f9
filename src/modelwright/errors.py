"""Every error a user can meet, and what each one must say.

    ModelwrightError
    ├── UserError        exit 2: yours to change; one Problem with a permanent code
    │   └── RecipeError  exit 2: every mistake of a recipe at once
    ├── GateError        exit 3: a proof or a limit failed
    └── InternalError    exit 1: our fault; a trace and what to report

A Problem says what was seen, what was expected and how to fix it. `mw explain MW-101` prints the
entry of `CODES`. A code is never reused; a renamed condition keeps its code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

CODES: dict[str, str] = {
    # 1xx: the recipe
    "MW-101": "A key of the recipe is unknown; keys are strict so that a typo never means a default.",
    "MW-102": "A value in the recipe has the wrong type or lies outside its range.",
    "MW-103": "The recipe is not valid YAML 1.2 (a tab, an unclosed bracket, a duplicate key).",
    "MW-104": "A required key of the recipe is missing.",
    "MW-105": "A name in the recipe (task, format, cleaner, method, suite, ...) is no known part.",
    "MW-106": "Two settings of the recipe contradict each other or the task.",
    "MW-107": "A file or folder that the recipe names does not exist or cannot be read.",
    "MW-108": "The recipe uses ${VAR} but the environment variable is not set.",
    "MW-109": "--set KEY=VALUE could not be understood.",
    "MW-110": "The recipe names a stage that this release does not have.",
    # 2xx: data
    "MW-201": "The data source could not be opened or recognised.",
    "MW-202": "A column that the task needs is not in the data.",
    "MW-203": "The data holds no usable row in a split that needs one.",
    "MW-204": "More rows were dropped than `data.limits.dropped` allows.",
    "MW-205": "The labels cannot be learnt from: fewer than two classes, or a class without a training row.",
    "MW-206": "The encoding of a text file could not be detected or decoded.",
    "MW-207": "A remote source (hub, object store, database) refused or failed.",
    "MW-208": "The split cannot be made as asked (fractions, groups or too few rows).",
    # 3xx: base models
    "MW-301": "The base model is unknown or could not be found.",
    "MW-302": "The base model does not fit the task.",
    "MW-303": "The base model's files differ from their pinned digests or are damaged.",
    "MW-304": "The base model needs code from its repository, which is never run.",
    # 4xx: training
    "MW-401": "Training diverged: the loss is not a number.",
    "MW-402": "The machine does not have the memory that training needs.",
    "MW-403": "The fine-tuning method does not fit the base model.",
    "MW-404": "The tracker that training reports to refused.",
    # 5xx: gates of evaluation and packaging
    "MW-501": "A packaged variant disagrees with the trained model beyond the tolerance.",
    "MW-502": "A limit on quality or speed that the recipe sets was not met.",
    "MW-503": "No model inside the limits of `compress` was found; the nearest one is in the report.",
    # 6xx: bundles and artifacts
    "MW-601": "The folder is not a bundle, or its bundle.json cannot be read.",
    "MW-602": "A file of the bundle is missing, changed or not declared.",
    "MW-603": "A golden row gave another answer on this machine.",
    "MW-604": "An artifact of an earlier run is damaged or of a newer schema.",
    "MW-605": "The variant asked for is not in the bundle.",
    "MW-606": "An input row does not match the bundle's input schema.",
    "MW-607": "The proof of a compressed bundle does not carry over to this machine.",
    # 61x: monitoring
    "MW-611": "There is too little recorded traffic of the bundle to monitor.",
    "MW-612": "The bundle holds no reference for monitoring that this release reads.",
    # 62x: places to run
    "MW-620": "The file does not hold a measured capacity.",
    "MW-621": "The file does not hold a scaling policy.",
    "MW-622": "A name or a number cannot be written into the files of a place to run.",
    "MW-623": "The service could not be started to measure it.",
    "MW-624": "There is nothing to measure the service with.",
    "MW-625": "The promise is not kept at any rate.",
    "MW-626": "The folder holds what `mw deploy` did not write, or what was changed since.",
    "MW-627": "The capacity was measured for another bundle.",
    # 63x: what watches a service
    "MW-630": "The name of the bundle cannot stand in rules and dashboards.",
    "MW-631": "The address is no webhook that alerts can be sent to.",
    # 64x: scaling, simulated or real, and many files
    "MW-640": "The trace of traffic is not known or cannot be read.",
    "MW-645": "No file matches what is to be predicted.",
    "MW-646": "The outputs of many files need a folder.",
    "MW-647": "The application of Ray Serve was given wrong arguments.",
    "MW-648": "Two files would have one output.",
    "MW-649": "Some of many files could not be predicted.",
    # 65x: the registry, and renewing a model
    "MW-650": "The registry holds no such model, version or stage, or a name that cannot be one.",
    "MW-651": "A bundle of the registry is not signed as asked, or the key cannot be used.",
    "MW-652": "The registry cannot be used: what lies there is none, or it refused.",
    "MW-653": "The model cannot be renewed from what was given: recipe, traffic or model.",
    "MW-654": "The labels that were given cannot be used.",
    "MW-655": "The renewed model is not shown to be good enough; the old one stays.",
    "MW-656": "The service did not take the new model, or took it back.",
    "MW-657": "The listener for alerts cannot be started as asked.",
    # 7xx: the service
    "MW-701": "The request body is malformed.",
    "MW-702": "The request's shape is wrong; the error names the field.",
    "MW-703": "The model or the route is not known to this service.",
    "MW-704": "The request is larger than the service accepts.",
    "MW-705": "The content type is not accepted.",
    "MW-706": "The service is overloaded or draining.",
    "MW-707": "The deadline of the request passed.",
    "MW-708": "The key is missing or not allowed to do this.",
    "MW-709": "The service failed on this request; the fault is ours.",
    "MW-710": "The address or port cannot be listened on.",
    "MW-711": "The caller sends more than the rate of its key.",
    "MW-712": "A service that listens beyond this machine, or that can be changed, needs keys.",
    "MW-713": "The file of keys, or a file of TLS, cannot be used.",
    # 8xx: the environment
    "MW-801": "An optional library is not installed.",
    "MW-802": "The disk is full or the folder is read-only.",
    "MW-803": "Another run is writing to the same folder.",
    "MW-804": "A file that a command was given does not exist or cannot be read.",
    "MW-805": "A command was called with arguments that do not go together.",
    "MW-806": "A plug-in part could not be loaded or two parts share a name.",
    # 9xx: ours
    "MW-901": "Modelwright failed in a way it should not have.",
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: its code, where it is, what was seen and expected, and the fix."""

    code: str
    seen: str
    expected: str = ""
    fix: str = ""
    file: str | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        """`FILE:LINE`, `FILE`, or nothing."""
        if self.file is None:
            return ""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        head = f"{self.code} {self.place + ': ' if self.place else ''}{self.seen}"
        lines = [head]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, str | int | None]:
        """The JSON form that `--json` prints."""
        return {
            "code": self.code,
            "file": self.file,
            "line": self.line,
            "seen": self.seen,
            "expected": self.expected,
            "fix": self.fix,
        }


class ModelwrightError(Exception):
    """The root of the tree; carries its problems and its exit code."""

    exit_code = 1

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UserError(ModelwrightError):
    """Something that the user can change."""

    exit_code = 2

    def __init__(
        self,
        code: str,
        seen: str,
        *,
        expected: str = "",
        fix: str = "",
        file: str | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(
            [Problem(code=code, seen=seen, expected=expected, fix=fix, file=file, line=line)]
        )

    @property
    def problem(self) -> Problem:
        return self.problems[0]


class RecipeError(UserError):
    """All mistakes of one recipe."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        ModelwrightError.__init__(self, problems)


class GateError(ModelwrightError):
    """A gate failed: which limit, by how much, and the nearest that is reachable."""

    exit_code = 3

    def __init__(self, code: str, seen: str, *, expected: str = "", fix: str = "") -> None:
        super().__init__([Problem(code=code, seen=seen, expected=expected, fix=fix)])


class InternalError(ModelwrightError):
    """A fault of ours."""

    def __init__(self, seen: str) -> None:
        super().__init__(
            [
                Problem(
                    code="MW-901",
                    seen=seen,
                    fix="report it with the trace above and the recipe",
                )
            ]
        )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is close."""
    folded = {candidate.lower().replace("_", "-"): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower().replace("_", "-"), folded, n=1, cutoff=0.55)
    return folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A fix sentence: the nearest name if there is one, else the whole list."""
    names = sorted(known)
    close = nearest(name, names)
    return f"did you mean `{close}`?" if close else "one of: " + ", ".join(names)
