"""The peers of bench/compression.py: their environments under .bench/, and what they make.

Each peer is one program in peers/ that reads the folder of peers/_handed.py and writes models. An
environment is made once and kept; what a peer made of a model is kept beside that model.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _report import HERE, ROOT, measure, say

TORCH = "torch==2.13.0"
"""Installed first and alone, so that the plain wheel for CPUs satisfies what comes after it."""


@dataclass(frozen=True)
class Peer:
    """A peer's program and environment.

    Attributes:
        name: of its environment; its program is peers/int8_NAME.py.
        title: as rows call it.
        packages: what pip installs.
        given: how the model reaches it.
        torch: whether it needs torch.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    given: str
    torch: bool = True


GRAPH = "the fp32 ONNX graph that we export (BERT, mean pooling, linear head), with its config.json"
# Olive 0.13's search does not run (a custom metric, an evaluator without a type, and every footprint
# fail in its own validation); 0.9.3 does, with the onnx and onnxruntime of its time.
PEERS = (
    Peer("optimum", "optimum-onnx dynamic int8", ("optimum-onnx[onnxruntime]==0.1.0", "onnx==1.23.2"), GRAPH),
    Peer(
        "nncf", "NNCF accuracy-controlled int8",
        ("nncf==3.4.0", "openvino==2026.4.1", "onnx==1.23.2"), GRAPH,
    ),
    Peer(
        "olive", "Olive's search",
        ("olive-ai==0.9.3", "onnx==1.18.0", "onnxruntime==1.22.1", "transformers==4.57.6"), GRAPH,
    ),
)  # fmt: skip


def python_of(peer: Peer) -> Path:
    """The interpreter of a peer's environment."""
    return ROOT / ".bench" / peer.name / "bin" / "python"


def installed(peer: Peer) -> bool:
    """Whether the environment was made to its end."""
    return (ROOT / ".bench" / peer.name / ".ready").is_file()


def install(peer: Peer) -> str:
    """Make the environment if it isn't there; returns why it could not be, or ""."""
    if installed(peer):
        return ""
    say(f"  installing {peer.title} into .bench/{peer.name}")
    folder = ROOT / ".bench" / peer.name
    pip = [str(python_of(peer)), "-m", "pip", "install", "-q"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        *([[*pip, TORCH]] if peer.torch else []),
        [*pip, *peer.packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.strip()[-600:]
    (folder / ".ready").touch()
    return ""


def made(
    handed: Path, work: Path, max_drop: float, only_installed: bool
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Models of all peers, and why others have none.

    Args:
        handed: the folder of peers/_handed.py.
        work: where the peers write; kept.
        max_drop: points that may be lost on validation rows.
        only_installed: leave out peers whose environment isn't there.

    Returns:
        For each model `name`, `peer`, `model`, `runtime`, `python`, `bytes`, `seconds`, `versions`,
        `given`; and errors by name.
    """
    models: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for peer in PEERS:
        if only_installed and not installed(peer):
            continue
        why = install(peer)
        if why:
            failed[peer.title] = why
            continue
        try:
            answer = _made_by(peer, handed, work / peer.name, max_drop)
        except SystemExit as error:
            failed[peer.title] = str(error)[-600:]
            continue
        failed |= answer.get("failed", {})
        for one in answer["made"]:
            more = {key: answer[key] for key in ("runtime", "seconds", "versions")}
            size = shipped(Path(one["model"]), handed)
            models.append(
                {**one, **more, "peer": peer.name, "python": str(python_of(peer)), "bytes": size,
                 "given": peer.given}
            )  # fmt: skip
    return models, failed


def _made_by(peer: Peer, handed: Path, folder: Path, max_drop: float) -> dict[str, Any]:
    kept = folder / "made.json"
    if kept.is_file():
        return json.loads(kept.read_text(encoding="utf-8"))
    say(f"  {peer.title}: making its model")
    folder.mkdir(parents=True, exist_ok=True)
    answer = measure(
        [
            python_of(peer), HERE / "peers" / f"int8_{peer.name}.py",
            "--handed", handed, "--out", folder, "--max-drop", str(max_drop),
        ],
        OLIVE_DISABLE_TELEMETRY="1", CI="true",
    )  # fmt: skip
    kept.write_text(json.dumps(answer, indent=2), encoding="utf-8")
    return answer


def shipped(model: Path, handed: Path) -> int:
    """Bytes of a model's files and its tokenizer."""
    beside = [model, model.with_suffix(".bin")] if model.suffix == ".xml" else [model]
    beside += [path for path in (Path(f"{model}.data"),) if path.is_file()]
    return sum(path.stat().st_size for path in [*beside, handed / "tokenizer.json"])
