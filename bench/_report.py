"""What all bench programs share: arguments, rows, the table, the JSON form, measuring processes.

    {"program", "commit", "machine", "versions", "rows":
        [{"what", "value", "unit", "peer", "peer_value", "ratio", "at_least", "aim"}]}

A ratio above 1 means ours is better. `judged` says whether `at_least` and `aim` speak of the value
or of the ratio, `better` which way the value improves. Nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SOURCE = ROOT / "src"


def arguments(doc: str | None, quick: str, *, data: bool = True) -> argparse.ArgumentParser:
    """A parser with the arguments that every program has; `data`: whether it reads data sets."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=data, help="folder with the data sets")
    parser.add_argument("--json", type=Path, required=True, help="where the result is written")
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def row(
    what: str,
    value: float | None,
    unit: str,
    *,
    better: Literal["higher", "lower"] = "higher",
    judged: Literal["value", "ratio"] = "value",
    **more: Any,
) -> dict[str, Any]:
    """One row of the contract's form.

    Args:
        what: in the words of the figure asked for.
        value: ours; None when it could not be measured.
        unit: of the value.
        better: which way the value improves.
        judged: what `at_least` and `aim` speak of.
        more: peer, peer_value, at_least, aim; `ratio` where it isn't ours to the peer's; any
            further keys are kept.
    """
    peer_value = more.pop("peer_value", None)
    ratio = more.pop("ratio", None)
    if ratio is None and value and peer_value:
        ratio = value / peer_value if better == "higher" else peer_value / value
    return {
        "what": what,
        "value": _rounded(value),
        "unit": unit,
        "peer": more.pop("peer", None),
        "peer_value": _rounded(peer_value),
        "ratio": _rounded(ratio),
        "at_least": more.pop("at_least", None),
        "aim": more.pop("aim", None),
        "better": better,
        "judged": judged,
        **more,
    }


def _rounded(value: float | None) -> float | None:
    """Five significant digits: more would claim what a shared machine can't tell."""
    return None if value is None else float(f"{value:.5g}")


def verdict(line: Mapping[str, Any]) -> str:
    """`aim`, `enough` or `short`; empty where nothing was asked for."""
    seen = line["ratio"] if line["judged"] == "ratio" else line["value"]
    if line["at_least"] is None and line["aim"] is None:
        return ""
    if seen is None:
        return "not measured"
    lower = line["judged"] == "value" and line["better"] == "lower"
    for name, word in (("aim", "aim"), ("at_least", "enough")):
        limit = line[name]
        if limit is not None and (seen <= limit if lower else seen >= limit):
            return word
    return "short"


def report(
    program: str,
    rows: Sequence[dict[str, Any]],
    out: Path | None,
    libraries: Sequence[str],
    **more: Any,
) -> None:
    """Print the table and write the JSON; `more` goes beside the rows (conditions, notes)."""
    print_table(rows)
    document = {
        "program": f"bench/{program}",
        "commit": commit(),
        "machine": machine(),
        "versions": versions(libraries),
        **more,
        "rows": list(rows),
    }
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"\nwritten to {out}")


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Two lines a row: what it is, then the figures."""
    for line in rows:
        print(f"\n{line['what']}")
        cells = [f"{_number(line['value'])} {line['unit']}"]
        if line["peer"]:
            cells.append(f"{line['peer']}: {_number(line['peer_value'])}")
        if line["ratio"] is not None:
            cells.append(f"ratio {line['ratio']:.2f}")
        if line["at_least"] is not None or line["aim"] is not None:
            asked = f"{line['at_least']} / {line['aim']}"
            cells.append(f"asked ({line['judged']}) {asked}: {verdict(line)}")
        print("    " + "   ".join(cells))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"


# -- processes ------------------------------------------------------------------------------------


def environment(**more: str) -> dict[str, str]:
    """This process's environment with our package on the path and quiet libraries."""
    path = os.pathsep.join(part for part in (str(SOURCE), os.environ.get("PYTHONPATH")) if part)
    quiet = {"TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **quiet, "PYTHONPATH": path, **more}


def measure(command: Sequence[str | Path], **variables: str) -> dict[str, Any]:
    """Run a measuring process; the last line of its output is its JSON result."""
    done = subprocess.run(
        [str(part) for part in command],
        env=environment(**variables), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


# -- where and with what --------------------------------------------------------------------------


def commit() -> str:
    """The commit that was measured, `+` when files were changed since."""
    command = ["git", "describe", "--always", "--dirty=+"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def machine() -> dict[str, object]:
    """Processor, cores, memory, and how busy it was at the end."""
    _our_package()
    from modelwright.runtime.machine import describe

    return {**describe(), "load": [round(load, 2) for load in os.getloadavg()]}


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Python and the libraries that matter to a program."""
    _our_package()
    from modelwright.runtime.libraries import versions as installed

    return {"python": sys.version.split()[0], **installed(*libraries)}


def _our_package() -> None:
    if str(SOURCE) not in sys.path:
        sys.path.insert(0, str(SOURCE))
