"""The search's folder: what a killed process leaves, who may write, what is made once."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any

import pytest

from modelwright import plugs
from modelwright.compress import memory
from modelwright.compress.points import Point, Workshop, allowed_passes
from modelwright.compress.session import alone
from modelwright.compress.stage import pass_options
from modelwright.errors import UserError
from modelwright.models.checkpoint import TrainedModel
from modelwright.recipe.schema import Part


def load(name: str) -> Any:
    plug = plugs.load("pass", name)
    return plug.cls(plug.config())


def test_a_point_after_half_a_line_is_read_again(workshop: Workshop) -> None:
    (workshop.session.request.scratch / "points.jsonl").write_text('{"id": "p1", "par')
    found = Point("p2", None, "a", [], "a", "a", "fp32", 1, None, {}, {}, 1.0)
    workshop.add(found)
    assert Workshop(workshop.session, {}).points == [found]


def test_half_written_folders_of_a_killed_process_are_removed(workshop: Workshop) -> None:
    half = workshop.session.request.scratch / "networks" / ".abc.1.tmp"
    half.mkdir(parents=True)
    Workshop(workshop.session, {})
    assert not half.exists()


def test_a_network_is_opened_once_and_its_time_is_kept(workshop: Workshop) -> None:
    workshop.passes["layers"] = load("layers")
    path = [{"pass": "layers", "choice": {"kept": [1]}}]
    made = workshop.network(path)
    assert (workshop.session.request.scratch / "spent.json").is_file()
    assert workshop.network(path) is made


def test_a_second_search_in_a_folder_waits_for_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entered = threading.Event()

    def second() -> None:
        with alone(tmp_path):
            entered.set()

    other = threading.Thread(target=second)
    with alone(tmp_path):
        other.start()
        assert not entered.wait(0.2)
    other.join(5)
    assert entered.is_set()
    assert "waiting for it to end" in capsys.readouterr().err


def test_memory_that_takes_too_long_to_tell_is_not_told(
    learnt: TrainedModel, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SECONDS", 0.01)
    assert memory.memory_mb(tmp_path, "torch", learnt, workshop.session.probe) is None


def test_a_pass_keeps_its_options_beside_the_group_it_is_in() -> None:
    parts = [Part(name="int8-static", options={"calibration_rows": 300}), Part(name="quantize")]
    for order in (parts, parts[::-1]):
        found = pass_options(order)
        assert found["int8-static"] == {"calibration_rows": 300}
        assert found["bf16"] == {}


def test_a_pass_that_the_model_cannot_take_is_told_and_refused_where_it_was_named(
    learnt: TrainedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copy.deepcopy(learnt)
    model.network.backbone.config.model_type = "unheard-of"  # type: ignore[union-attr]
    assert list(allowed_passes({"fp32": {}, "layers": {}}, model)) == ["fp32"]
    assert "layers is left out: there is no family file" in capsys.readouterr().err
    with pytest.raises(UserError, match="names layers, which this model cannot take"):
        allowed_passes({"fp32": {}, "layers": {}}, model, named={"layers"})
