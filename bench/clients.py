"""Clients that people already have, unchanged, at the live service.

    .venv/bin/python bench/clients.py --json OUT [--quick] [--bundle DIR] [--only NAME ...]

OpenAI's, Triton's, KServe's and MLServer's clients, each from the package index into its own
environment, ask `mw serve` with keys on; the programs are peers/ask_NAME.py. What they are answered
is compared with the bundle's own answers. The bundle is --bundle, or one made of the sample data.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from _peers import Peer, install, installed, python_of
from _report import HERE, ROOT, arguments, environment, measure, report, row, say
from _servers import OURS, running
from startup import make_bundle, mw

TEXTS = ["Where is my parcel?", "I want my money back.", "Cancel my account, please 😀"]
OPENAI, OIP = "OpenAI's embeddings", "Open Inference Protocol v2 over REST"
CLIENTS = (
    Peer("ask-openai", "openai", ("openai",), OPENAI, torch=False),
    Peer("ask-triton", "tritonclient", ("tritonclient[http]",), OIP, torch=False),
    Peer("ask-kserve", "kserve", ("kserve==0.21.0",), OIP, torch=False),
    Peer("ask-mlserver", "mlserver", ("mlserver==1.7.1", "httpx"), OIP, torch=False),
)
OFFLINE = """import json, sys
from modelwright import Bundle
print(json.dumps(Bundle.open(sys.argv[1]).predict(json.loads(sys.argv[2]))))
"""


def main() -> None:
    """Parse, ask, report."""
    parser = arguments(__doc__, "a bundle of a few steps, installed clients only", data=False)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--only", nargs="*", help="names of clients")
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "clients")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    chosen = [one for one in CLIENTS if not options.only or one.title in options.only]
    failed: dict[str, str] = {}
    for peer in chosen:
        missing = "not installed" if options.quick and not installed(peer) else install(peer)
        if missing:
            failed[peer.title] = missing
    asking = [one for one in chosen if one.title not in failed]
    with tempfile.TemporaryDirectory(prefix="modelwright-clients-") as name:
        bundle = options.bundle or make_bundle(Path(name), quick=options.quick)
        found = ask(asking, bundle, options.work)
    rows = [row_of(peer, found[peer.title]) for peer in asking]
    report(
        "clients.py", rows, options.json, ("modelwright", "uvicorn", "starlette"),
        quick=options.quick, found=found, failed=failed,
    )  # fmt: skip


def ask(peers: list[Peer], bundle: Path, work: Path) -> dict[str, Any]:
    """What each client found, by name."""
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    keys = work / "keys.json"
    keys.unlink(missing_ok=True)
    made = subprocess.run(
        [*mw(), "keys", "add", "clients", "--file", str(keys), "--scope", "predict", "--json"],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    variables = {
        "MODEL": str(manifest["name"]),
        "KEY": str(json.loads(made.stdout)["key"]),
        "TEXTS": json.dumps(TEXTS),
        "EXPECTED": json.dumps(
            measure([sys.executable, "-c", OFFLINE, bundle.resolve(), json.dumps(TEXTS)])
        ),
    }
    filled = {"bundle": str(bundle), "variant": manifest["default"], "model": "", "plain": ""}
    server = replace(OURS, command=(*OURS.command, "--keys", str(keys)))
    found = {}
    with running(server, filled, work / "service.log") as live:
        for peer in peers:
            say(f"  {peer.title}")
            found[peer.title] = asked_by(peer, {**variables, "PORT": str(live.port)})
    return found


def asked_by(peer: Peer, variables: Mapping[str, str]) -> dict[str, Any]:
    """Run a client's program."""
    program = HERE / "peers" / f"{peer.name.replace('-', '_')}.py"
    try:
        return measure([python_of(peer), program], **{**variables, "PYTHONPATH": ""})
    except SystemExit as error:
        return {"versions": {}, "checks": {"it runs": str(error)[-600:]}}


def row_of(peer: Peer, found: dict[str, Any]) -> dict[str, Any]:
    """A client's row."""
    checks: dict[str, str] = found["checks"]
    good = sum(not why for why in checks.values())
    wrong = {name: why for name, why in checks.items() if why}
    version = found["versions"].get(peer.title, "")
    return row(
        f"{peer.title} {version} by {peer.given}".strip(), 100 * good / len(checks), "% of its checks",
        at_least=100, aim=100, checks=len(checks), wrong=wrong,
    )  # fmt: skip


if __name__ == "__main__":
    main()
