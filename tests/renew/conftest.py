"""A tiny trained model, and recorded traffic that holds an intent that it never saw."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from modelwright.artifacts.traffic import TrafficWriter
from modelwright.package import proving

if TYPE_CHECKING:
    from modelwright.pipeline.running import Run

SAMPLES = Path(__file__).parents[2] / "src" / "modelwright" / "samples"
KNOWN = ("close_account", "gift_card", "late_delivery", "refund_status")
FOREIGN = "account_login"


def samples(split: str) -> list[dict[str, str]]:
    with (SAMPLES / "helpdesk" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _record(folder: Path, rows: Sequence[tuple[str, Any]], feedback: dict[int, Any]) -> None:
    """Write inputs as the service does; `feedback`: the truth by place."""
    now = time.time_ns() // 1_000_000

    def common(place: int) -> dict[str, Any]:
        return {
            "time": now, "request_id": f"req-{place}", "index": 0, "model": "tiny", "version": "1",
        }  # fmt: skip

    requests = TrafficWriter(folder, "requests", 10**9)
    requests.add(
        [
            {**common(place), "input": json.dumps(text), "prediction": "{}", "label": answer,
             "score": 0.5}
            for place, (text, answer) in enumerate(rows)
        ]
    )  # fmt: skip
    requests.close()
    told = TrafficWriter(folder, "feedback", 10**9)
    told.add([{**common(place), "label": json.dumps(truth)} for place, truth in feedback.items()])
    told.close()


@dataclass
class Desk:
    """A user's folder: recipe, rows, run; and the traffic of the last days."""

    folder: Path
    truth: dict[str, str]

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.yaml"

    @property
    def traffic(self) -> Path:
        return self.folder / "traffic"

    def fill(self, path: Path, truth: Callable[[dict[str, str]], str] | None = None) -> Path:
        """Fill the empty column, as people would."""
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row["label"] = truth(row) if truth else self.truth.get(row["text"], "")
        filled = path.with_name("filled.csv")
        with filled.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return filled


@pytest.fixture(scope="session", autouse=True)
def _speed_is_not_measured() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proving, "SPEED_SECONDS", 0.02)
        yield


@pytest.fixture
def desk(tiny_run: Run, tmp_path: Path) -> Desk:
    """The tiny recipe, trained, with 60 requests of which 30 are of a foreign intent."""
    return make_desk(tiny_run, tmp_path / "desk")


@pytest.fixture(scope="module")
def shared_desk(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The same for tests that train on it in turn."""
    return make_desk(tiny_run, tmp_path_factory.mktemp("shared") / "desk")


def make_desk(tiny_run: Run, folder: Path) -> Desk:
    shutil.copytree(tiny_run.folder.parents[1], folder)
    recipe = folder / "recipe.yaml"
    more = (
        "renew: {new_labels: true, max_drop: 40, canary: {share: 0.5, requests: 40, seconds: 60}}\n"
    )
    more += "serve: {record: {share: 1.0, inputs: true}}\n"
    recipe.write_text(recipe.read_text(encoding="utf-8") + more, encoding="utf-8")
    usual = [row for row in samples("test") if row["intent"] in KNOWN][:30]
    foreign = [row for row in samples("train") if row["intent"] == FOREIGN][:30]
    rows = [*usual, *foreign]
    _record(folder / "traffic", [(row["text"], row["intent"]) for row in rows], {})
    return Desk(folder, {row["text"]: row["intent"] for row in rows})


@pytest.fixture
def record() -> Callable[..., None]:
    """Writes traffic as the service does."""
    return _record
