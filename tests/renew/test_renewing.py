"""From recorded traffic to a better model, or to the proof that there is none."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from modelwright.cli import main as cli
from modelwright.engines import Bundle
from modelwright.errors import UserError
from modelwright.registry.store import models, set_stage
from modelwright.renew.asked import FEEDBACK, Asked
from modelwright.renew.stage import renew
from modelwright.runtime.files import read_json

SOURCE = Path(__file__).parents[2] / "src"


def asked(desk, **more) -> Asked:
    return replace(Asked(desk.recipe, desk.traffic, budget=40), **more)


@pytest.mark.slow
def test_labels_for_a_foreign_topic_make_a_better_model_and_each_decision_is_recorded(shared_desk):
    desk = shared_desk
    url = str(desk.folder / "registry")
    waiting = renew(asked(desk, registry=url))
    assert waiting.status == "labelling"
    assert waiting.steps["choose"]["rows"] <= 40
    labels = desk.fill(waiting.folder / "to-label.csv")
    done = renew(asked(desk, labels=(str(labels),), registry=url))
    assert done.folder == waiting.folder
    assert done.status == "ready"
    old, new = done.steps["compare"]
    assert (old["pool"], new["pool"]) == ("old", "new")
    assert old["rows"] == 32
    assert new["value"] > new["baseline"]
    assert "account_login" in Bundle.open(done.bundle).manifest["labels"]
    assert Bundle.open(done.bundle).manifest["base"]["id"].startswith("./tiny-")
    lineage = read_json(done.folder / "data" / "lineage.json")
    assert lineage["sources"] == {"filled.csv": sum(lineage["new"].values())}
    rows = lines_of(done.folder / "data" / "test.jsonl")
    assert rows[0]["from"].startswith("test.csv:")
    assert rows[-1]["from"].startswith("filled.csv:")
    [model] = models(url)
    assert model.stages == {"candidate": done.steps["train"]["version"]}
    journal = (desk.folder / "runs" / "tiny-renewal" / "renewal.jsonl").read_text(encoding="utf-8")
    steps = [json.loads(line)["step"] for line in journal.splitlines()]
    assert steps == ["model", "choose", "merge", "train", "compare", "push", "ready"]
    report = (done.folder / "report.md").read_text(encoding="utf-8")
    assert "| 32 old | accuracy |" in report

    # the same command has the same answer at once, and nothing is done twice
    begun = time.monotonic()
    assert renew(asked(desk, labels=(str(labels),), registry=url)).steps == done.steps
    assert time.monotonic() - begun < 5
    assert len(models(url)[0].history) == 2

    # the next round begins from this model, and does not ask for what is known now
    set_stage(url, "tiny", done.steps["train"]["version"], "production")
    try:
        again = renew(asked(desk, registry=url))
        chosen = {row["text"] for row in rows_of(again.folder / "to-label.csv")}
    except UserError as error:  # nothing is left that is worth a label
        assert error.problem.code == "MW-653"
        chosen = set()
    learnt = lines_of(done.folder / "data" / "train.jsonl")
    assert not chosen & {row["text"] for row in learnt}


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_wrong_labels_are_rejected_by_the_old_rows_with_how_much_is_missing(desk, capsys):
    """Every new label is turned round: the model that learns them is worse, and exit is 3."""
    recipe = desk.recipe.read_text(encoding="utf-8")
    desk.recipe.write_text(recipe.replace("max_drop: 40", "max_drop: 1"), encoding="utf-8")
    waiting = renew(asked(desk))
    labels = desk.fill(waiting.folder / "to-label.csv", lambda row: "gift_card")
    words = ["renew", str(desk.recipe), "--traffic", str(desk.traffic), "--labels", str(labels)]
    assert cli.run(words) == 3
    said = capsys.readouterr().err
    assert "MW-655" in said
    assert "1 allowed" in said
    assert "renew: {max_drop:" in said
    state = read_json(waiting.folder / "renewal.json")
    assert state["status"] == "rejected"
    assert cli.run(words) == 3  # and again, without training
    assert "these labels were tried" in capsys.readouterr().err
    desk.recipe.write_text(recipe.replace("max_drop: 40", "max_drop: 100"), encoding="utf-8")
    assert cli.run(words) == 0  # allowed now, and compared again without training
    decisions = read_json(waiting.folder / "renewal.json")["decisions"]
    assert [one["step"] for one in decisions].count("train") == 1
    assert decisions[-1]["step"] == "ready"


@pytest.mark.slow
def test_feedback_alone_is_enough_and_a_killed_renewal_goes_on(desk, record):
    foreign = [text for text, label in desk.truth.items() if label == "account_login"]
    record(
        desk.folder / "told",
        [(text, "") for text in foreign],
        dict.fromkeys(range(len(foreign)), "account_login"),
    )
    words = [
        sys.executable, "-m", "modelwright", "renew", str(desk.recipe),
        "--traffic", str(desk.folder / "told"), "--labels", FEEDBACK, "--json",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "finetune: running" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    done = renew(asked(desk, traffic=desk.folder / "told", labels=(FEEDBACK,)))
    assert done.status == "ready"
    assert done.number == 1
    assert done.steps["merge"]["sources"] == {"feedback": 30}
    assert [one["step"] for one in done.decisions].count("merge") == 1


def test_what_cannot_be_renewed_is_told_before_anything_is_done(desk, tmp_path: Path, record):
    def refused(code: str, **more) -> str:
        with pytest.raises(UserError) as caught:
            renew(asked(desk, **more))
        assert caught.value.problem.code == code, caught.value
        return str(caught.value)

    refused("MW-804", traffic=tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "holds no request" in refused("MW-653", traffic=tmp_path / "empty")
    record(tmp_path / "silent", [(None, "x")], {})
    assert "inputs: true" in refused("MW-653", traffic=tmp_path / "silent")
    (tmp_path / "empty" / "requests-1.parquet").write_bytes(b"half")
    assert "cannot be read" in refused("MW-653", traffic=tmp_path / "empty")
    refused("MW-804", labels=("none.csv",))
    refused("MW-601", model=tmp_path)
    desk.recipe.write_text("name: tiny\ntask: token-classification\ndata: {source: train.csv}\n")
    refused("MW-653")
    assert not list(desk.folder.glob("runs/tiny-renewal/*/to-label.csv"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,text,label,answer,why\nreq-1:0,a,,,\n", "0 labelled rows"),
        ("a,b\n1,2\n", "has the columns a, b"),
        ("text,label\nhello,gift_card\n", "1 labelled rows"),
    ],
)
def test_labels_that_cannot_be_used_are_told_and_the_round_stays_open(desk, content, said):
    path = desk.folder / "标签.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="MW-654") as caught:
        renew(asked(desk, labels=(str(path),)))
    assert said in str(caught.value)


def test_labels_that_the_model_does_not_know_are_set_aside_unless_they_may_come(desk):
    recipe = desk.recipe.read_text(encoding="utf-8")
    desk.recipe.write_text(recipe.replace("new_labels: true", "new_labels: false"))
    lines = [f'"{text}",account_login' for text in list(desk.truth)[30:]]
    path = desk.folder / "labels.csv"
    path.write_text("text,label\n" + "\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match="MW-654"):
        renew(asked(desk, labels=(str(path),)))
