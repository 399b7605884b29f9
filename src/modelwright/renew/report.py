"""report.md of a round: what was decided, on what grounds, and how to go on."""

from __future__ import annotations

from typing import Any

from modelwright.renew.rounds import Round
from modelwright.runtime.files import write_text

_ENDS = {
    "running": "was cut off, or waits; the same command goes on",
    "labelling": "waits for labels",
    "ready": "the renewed model may be served",
    "promoted": "the renewed model is in service",
    "rejected": "the old model stays: the renewed one is not shown to be good enough",
    "rolled-back": "the old model stays: the service took the canary back",
}


def write_report(now: Round, name: str) -> None:
    """Write the round's `report.md`."""
    lines = [f"# Renewal {now.number} of {name}", "", f"**{now.status}**: {_ENDS[now.status]}.", ""]
    if compared := now.steps.get("compare"):
        lines += _compared(compared)
    if merged := now.steps.get("merge"):
        lines += _merged(merged)
    lines += ["## Decisions", "", "| when | step | decision |", "| --- | --- | --- |"]
    for one in now.decisions:
        lines.append(f"| {one['at']} | {one['step']} | {_cell(one['decision'])} |")
    write_text(now.folder / "report.md", "\n".join(lines) + "\n")


def _compared(verdicts: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Old model against new",
        "",
        "| test rows | | old | new | loses at most (95%) | allowed | only old right | only new right |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in verdicts:
        bound = f"{100 * one['bound']:.2f} points"
        lines.append(
            f"| {one['rows']:,} {one['pool']} | {one['metric']} | {one['baseline']:.4f} | "
            f"{one['value']:.4f} | {bound} | {one['allowed_points']:g} | {one['only_baseline']} | "
            f"{one['only_candidate']} |"
        )
    return [*lines, "", f"Bounds by {verdicts[0]['method']}.", ""]


def _merged(merged: dict[str, Any]) -> list[str]:
    lines = ["## Rows", "", "| | train | validation | test |", "| --- | --- | --- | --- |"]
    for kind in ("old", "new"):
        counts = [f"{merged[kind].get(split, 0):,}" for split in ("train", "validation", "test")]
        lines.append(f"| {kind} | {' | '.join(counts)} |")
    lines += ["", *(f"- {count} from {_cell(place)}" for place, count in merged["sources"].items())]
    for reason, count in merged["aside"].items():
        lines.append(f"- {count} set aside: {_cell(reason)}")
    lines += [f"  - {_cell(example)}" for example in merged["examples"]]
    return [*lines, ""]


def _cell(text: str) -> str:
    """Text of others as plain words of a table: no markup, one line."""
    plain = " ".join(str(text).split())
    for sign in "\\`*_[]<>|":
        plain = plain.replace(sign, f"\\{sign}" if sign not in "<>" else f"&#{ord(sign)};")
    return plain
