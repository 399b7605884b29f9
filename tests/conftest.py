"""What every test shares: no network but loopback, few threads, one tiny trained bundle."""

from __future__ import annotations

import csv
import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported; tests share cores
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# a busy machine is no fault of a test
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

if TYPE_CHECKING:
    from modelwright.models.checkpoint import TrainedModel
    from modelwright.pipeline.running import Run

SAMPLES = Path(__file__).parents[1] / "src" / "modelwright" / "samples"
TINY_LABELS = ("close_account", "gift_card", "late_delivery", "refund_status")
TINY_RECIPE = """
name: tiny
task: text-classification
effort: quick
base: scratch:tiny
data:
  columns: {text: text, label: intent}
  splits: {train: train.csv, validation: 0.1, test: test.csv}
finetune: {epochs: 10, learning_rate: 2.0e-3, precision: fp32}
evaluate: {suites: [quality]}
package: {formats: [torch, onnx], golden: 8, max_drop: 100}
"""


def _is_loopback(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a socket of this machine's file system
    host = str(address[0])
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that train come first, so that several processes end at about the same time."""
    slow = {item.path for item in items if "slow" in item.keywords}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """A test that reaches out fails at once, whatever library it uses."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refusing(real: Any) -> Any:
        def call(self: socket.socket, address: Any) -> Any:
            if not _is_loopback(address):
                raise ConnectionRefusedError(f"tests have no network, wanted {address}")
            return real(self, address)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refusing(connect))
        patch.setattr(socket.socket, "connect_ex", refusing(connect_ex))
        yield


def write_tiny_recipe(folder: Path) -> Path:
    """A recipe with 120 training and 32 test rows of four intents beside it."""
    for split, most in (("train", 30), ("test", 8)):
        with (SAMPLES / "helpdesk" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "intent"])
            writer.writeheader()
            for label in TINY_LABELS:
                writer.writerows([row for row in rows if row["intent"] == label][:most])
    recipe = folder / "recipe.yaml"
    recipe.write_text(TINY_RECIPE, encoding="utf-8")
    return recipe


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The whole chain on a tiny recipe, run once: random base, four intents, three variants."""
    from modelwright.package import proving
    from modelwright.pipeline.running import run

    recipe = write_tiny_recipe(tmp_path_factory.mktemp("tiny"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proving, "SPEED_SECONDS", 0.02)
        return run(recipe)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run: Run) -> Path:
    """The bundle of `tiny_run`; copy it before changing anything in it."""
    return tiny_run.bundle


def artifact(run: Run, stage: str) -> Path:
    """The folder in the store of a stage of the run."""
    key = next(record.key for record in run.stages if record.name == stage)
    return run.folder.parents[1] / ".modelwright" / "store" / key


@pytest.fixture(scope="session")
def checkpoint(tiny_run: Run) -> Path:
    """The folder of the trained model of `tiny_run`."""
    return artifact(tiny_run, "finetune")


@pytest.fixture(scope="session")
def dataset(tiny_run: Run) -> Path:
    """The folder of the rows of `tiny_run`."""
    return artifact(tiny_run, "data")


@pytest.fixture(scope="session")
def trained(checkpoint: Path) -> TrainedModel:
    """The trained model of `tiny_run`, opened."""
    from modelwright.models.checkpoint import open_checkpoint

    return open_checkpoint(checkpoint)
