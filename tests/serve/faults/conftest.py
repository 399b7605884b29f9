"""What tests of faults share: the service in this process, and as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from modelwright.serve import Settings, create_app
from modelwright.testing.doubles import FakeBundle

SOURCE = Path(__file__).parents[3] / "src"
PROGRAM = """
import sys
from pathlib import Path
from modelwright.serve import Settings, run
from modelwright.testing.doubles import FakeBundle
bundle = FakeBundle(seconds=float(sys.argv[1])).save(Path(sys.argv[2]))
sys.exit(run([bundle], Settings(port=0), as_json=True))
"""
Serve = Callable[..., TestClient]


@dataclass
class Process:
    """`mw serve` in a session of its own."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    session: int = field(init=False)

    def __post_init__(self) -> None:
        self.session = self.process.pid

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def family(self) -> list[int]:
        """Every process of its session that runs."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(session) == self.session and state != "Z":
                found.append(int(path.parent.name))
        return found


@contextmanager
def _running(folder: Path, seconds: float, flags: Sequence[str]) -> Iterator[Process]:
    process = subprocess.Popen(
        [sys.executable, *flags, "-c", PROGRAM, str(seconds), str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError(process.communicate()[1])
        yield Process(process, json.loads(line))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts the service as a process: `running(seconds=0.5, flags=["-O"])`."""
    with ExitStack() as stack:

        def start(seconds: float = 0.0, flags: Sequence[str] = ()) -> Process:
            return stack.enter_context(_running(tmp_path / "bundle", seconds, flags))

        yield start


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves bundles in this process: `serve(FakeBundle(...), max_items=3)`."""
    with ExitStack() as stack:

        def start(*bundles: FakeBundle, **settings: Any) -> TestClient:
            app = create_app(bundles or [FakeBundle()], Settings(**settings))
            return stack.enter_context(TestClient(app))

        yield start
