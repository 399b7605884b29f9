"""A bundle's traffic, recorded as the service records it, and what monitoring says of it."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from modelwright.artifacts.bundle import read_bundle, seal_bundle
from modelwright.artifacts.traffic import TrafficWriter
from modelwright.cli import main
from modelwright.engines import Bundle
from modelwright.errors import UserError
from modelwright.monitor import watching
from modelwright.monitor.page import page
from modelwright.monitor.stage import Findings, MonitorRequest, run
from modelwright.monitor.watching import LATEST, promoted

SAMPLES = Path(__file__).parents[2] / "src" / "modelwright" / "samples" / "helpdesk"
FOREIGN = [
    "soupe",
    "pain",
    "fromage",
    "tomate",
    "recette",
    "cuisson",
    "four",
    "beurre",
    "farine",
    "sucre",
    "poivre",
    "ail",
]


@pytest.fixture(scope="module")
def messages() -> list[str]:
    """Texts like those that the bundle was judged on."""
    with (SAMPLES / "test.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def record(bundle: Path, folder: Path, texts: list[str], *, inputs: bool = True) -> list[Any]:
    """Answer texts and keep them as `mw serve --traffic` does."""
    opened = Bundle.open(bundle)
    answers = opened.predict(texts)
    writer = TrafficWriter(folder, "requests", 1 << 30)
    start = time.time_ns() // 1_000_000
    writer.add(
        [
            {
                "time": start + place,
                "request_id": f"r{place}",
                "index": 0,
                "model": opened.manifest["name"],
                "version": opened.manifest["version"],
                "input": json.dumps(text, ensure_ascii=False) if inputs else None,
                "prediction": json.dumps(answer),
                "label": answer["label"],
                "score": answer["score"],
            }
            for place, (text, answer) in enumerate(zip(texts, answers, strict=True))
        ]
    )
    writer.close()
    opened.close()
    return answers


def tell(folder: Path, labels: dict[str, Any]) -> None:
    """Keep true answers as the service does."""
    writer = TrafficWriter(folder, "feedback", 1 << 30)
    now = time.time_ns() // 1_000_000
    rows = [
        {"time": now, "request_id": name, "index": 0, "model": "tiny", "version": ""}
        | {"label": json.dumps(label)}
        for name, label in labels.items()
    ]
    writer.add(rows)
    writer.close()


def chosen(messages: list[str], rows: int) -> list[str]:
    return random.Random(0).choices(messages, k=rows)


def foreign(rows: int) -> list[str]:
    draw = random.Random(1)
    return [" ".join(draw.choices(FOREIGN, k=8)) for _ in range(rows)]


@pytest.fixture(scope="module")
def shifted(
    tiny_bundle: Path, messages: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Findings]:
    """Traffic of which a fifth is about something else."""
    folder = tmp_path_factory.mktemp("shifted")
    record(tiny_bundle, folder, chosen(messages, 240) + foreign(60))
    return folder, run(MonitorRequest(tiny_bundle, folder))


def test_traffic_like_the_test_rows_is_left_in_peace(
    tiny_bundle: Path, messages: list[str], tmp_path: Path
) -> None:
    record(tiny_bundle, tmp_path, chosen(messages, 300))
    found = run(MonitorRequest(tiny_bundle, tmp_path))
    assert found.alarms == []
    assert found.rows == 300
    assert {one.name for one in found.signals} >= {"length", "unseen-words", "labels", "embedding"}


def test_a_foreign_topic_alarms_and_is_shown(shifted: tuple[Path, Findings]) -> None:
    found = shifted[1]
    assert "unseen-words" in found.alarms
    words = next(one for one in found.signals if one.name == "unseen-words")
    assert words.examples
    assert any(set(text.split()) <= set(FOREIGN) for text in words.examples)
    assert words.moved is not None
    assert words.moved.window > words.moved.reference


def test_answers_alone_are_enough_where_inputs_may_not_be_kept(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    record(tiny_bundle, tmp_path, ["refund please"] * 300, inputs=False)
    found = run(MonitorRequest(tiny_bundle, tmp_path))
    assert "labels" in found.alarms
    length = next(one for one in found.signals if one.name == "length")
    assert length.moved is None
    assert "serve.record.inputs" in length.missing
    shown = page(found)
    assert "not compared: inputs are not recorded" in shown
    assert "未比较:未记录输入" in shown


def test_feedback_tells_the_quality_with_its_interval(
    tiny_bundle: Path, messages: list[str], tmp_path: Path
) -> None:
    answers = record(tiny_bundle, tmp_path, chosen(messages, 200))
    labels = {f"r{place}": one["label"] for place, one in enumerate(answers)}
    tell(tmp_path, {name: "wrong" if name < "r15" else label for name, label in labels.items()})
    tell(tmp_path, {"r1": answers[1]["label"], "nobody": "x"})  # told again: the last one counts
    (metric,) = run(MonitorRequest(tiny_bundle, tmp_path)).live
    wrong = sum(name < "r15" for name in labels) - 1
    assert (metric.metric, metric.rows) == ("accuracy", 200)
    assert metric.value == pytest.approx(1 - wrong / 200)
    assert metric.low < metric.value < metric.high


def test_quality_below_the_test_interval_alarms(
    tiny_bundle: Path, messages: list[str], tmp_path: Path
) -> None:
    record(tiny_bundle, tmp_path, chosen(messages, 150))
    tell(tmp_path, {f"r{place}": "no such label" for place in range(150)})
    assert "accuracy" in run(MonitorRequest(tiny_bundle, tmp_path)).alarms


def test_a_few_wrong_answers_alarm_nobody(
    tiny_bundle: Path, messages: list[str], tmp_path: Path
) -> None:
    record(tiny_bundle, tmp_path, chosen(messages, 150))
    tell(tmp_path, {"r0": "no such label"})
    found = run(MonitorRequest(tiny_bundle, tmp_path))
    assert found.live[0].rows == 1
    assert "accuracy" not in found.alarms


def test_true_answers_count_although_the_window_has_moved_on(
    tiny_bundle: Path, messages: list[str], tmp_path: Path
) -> None:
    record(tiny_bundle, tmp_path, chosen(messages, 400))
    tell(tmp_path, {f"r{place}": "no such label" for place in range(120)})
    found = run(MonitorRequest(tiny_bundle, tmp_path, rows=150))
    assert (found.rows, found.live[0].rows) == (150, 120)
    assert "accuracy" in found.alarms


def test_accuracy_is_estimated_without_labels(shifted: tuple[Path, Findings]) -> None:
    estimate = shifted[1].estimate
    assert estimate is not None
    assert 0 < estimate.low < estimate.value < estimate.high < 1


def test_only_rows_of_this_version_count(tiny_bundle: Path, tmp_path: Path) -> None:
    record(tiny_bundle, tmp_path, ["refund please"] * 120)
    other = tmp_path / "other"
    shutil.copytree(tiny_bundle, other)
    told = json.loads((other / "bundle.json").read_text(encoding="utf-8"))
    (other / "bundle.json").write_text(json.dumps(told | {"version": "another"}), encoding="utf-8")
    with pytest.raises(UserError, match=r"0 recorded answers of tiny another; there are rows of"):
        run(MonitorRequest(other, tmp_path))


def test_a_bundle_without_sketches_says_what_to_do(tiny_bundle: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(tiny_bundle, old)
    (old / "reference" / "sketches.json").unlink()
    with pytest.raises(UserError, match=r"MW-612.*no sketches") as caught:
        run(MonitorRequest(old, tmp_path))
    assert "mw run RECIPE" in caught.value.problem.fix


@pytest.mark.parametrize("damage", ["", "{", '{"schema": 1}', '{"schema": 7}', "[]", "\x00"])
def test_damaged_sketches_are_named(tiny_bundle: Path, tmp_path: Path, damage: str) -> None:
    old = tmp_path / "old"
    shutil.copytree(tiny_bundle, old)
    (old / "reference" / "sketches.json").write_text(damage, encoding="utf-8")
    with pytest.raises(UserError, match=r"MW-612.*sketches\.json"):
        run(MonitorRequest(old, tmp_path))


def test_a_damaged_file_of_traffic_is_passed_over(
    tiny_bundle: Path, messages: list[str], tmp_path: Path
) -> None:
    record(tiny_bundle, tmp_path, chosen(messages, 150))
    (tmp_path / "requests-29990101T000000-000000000-1.parquet").write_bytes(b"PAR1 half")
    assert run(MonitorRequest(tiny_bundle, tmp_path)).rows == 150


def test_the_command_is_a_gate(
    tiny_bundle: Path,
    shifted: tuple[Path, Findings],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["monitor", str(tiny_bundle), "--traffic", str(shifted[0])]
    assert main.run([*words, "--out", str(tmp_path / "page.html"), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert "unseen-words" in told["alarms"]
    assert "unseen-words" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert main.run([*words, "--since", "yesterday"]) == 2
    assert main.run([*words, "--since", "2999-01-01"]) == 2
    assert "MW-611" in capsys.readouterr().err


def test_what_callers_sent_is_no_part_of_the_page(tiny_bundle: Path, tmp_path: Path) -> None:
    attack = "<script>alert('x')</script> soupe fromage"
    record(tiny_bundle, tmp_path, [f"{attack} {n}" for n in range(150)])
    shown = page(run(MonitorRequest(tiny_bundle, tmp_path)))
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown


def test_beside_the_service_it_tells_prometheus(
    tiny_bundle: Path, shifted: tuple[Path, Findings]
) -> None:
    words = [str(tiny_bundle), "--traffic", str(shifted[0]), "--every", "3600", "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "modelwright", "monitor", *words], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            told = scraped(process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
    scores = [line for line in told.splitlines() if line.startswith("modelwright_drift_score{")]
    unseen = next(line for line in scores if 'signal="unseen-words"' in line)
    assert float(unseen.rpartition(" ")[2]) > 1
    assert 'modelwright_drift_rows{model="tiny"} 300.0' in told
    assert 'modelwright_quality_floor{metric="accuracy",model="tiny"}' in told


def test_the_bundle_beside_it_is_watched_once_it_gives_all_answers(
    tiny_bundle: Path, messages: list[str], tmp_path: Path
) -> None:
    old, new = (shutil.copytree(tiny_bundle, tmp_path / name) for name in ("old", "new"))
    seal_bundle(new, {**read_bundle(new), "description": "renewed"})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "bundle.json").write_text("{")
    request, manifest = MonitorRequest(old, tmp_path / "traffic"), read_bundle(old)
    assert promoted(request, manifest) is None
    record(old, request.traffic, messages[:10])
    record(new, request.traffic, messages[:LATEST])
    assert promoted(request, manifest) == new.resolve()
    record(old, request.traffic, messages[:1])  # a canary answers beside it
    assert promoted(request, manifest) is None


LEAN = """
import sys
for name in ("torch", "transformers", "onnx", "sklearn", "scipy", "PIL", "httpx", "tzdata"):
    sys.modules[name] = None
from modelwright.cli.main import run
sys.exit(run(["monitor", *sys.argv[1:]]))
"""


def test_no_library_that_a_services_image_leaves_out_is_needed(
    tiny_bundle: Path, shifted: tuple[Path, Findings]
) -> None:
    words = [str(tiny_bundle), "--traffic", str(shifted[0]), "--variant", "onnx-fp32", "--json"]
    tell(shifted[0], {f"r{place}": "refund_status" for place in range(0, 300, 3)})
    done = subprocess.run(
        [sys.executable, "-c", LEAN, *words], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONTZPATH": ""},  # as where no time zones are installed
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    told = {one["name"]: one for one in json.loads(done.stdout)["signals"]}
    assert told["embedding"]["rows"] == 300
    assert told["unseen-words"]["score"] > 1


def test_a_variant_that_is_not_there_is_named(
    tiny_bundle: Path, shifted: tuple[Path, Findings]
) -> None:
    with pytest.raises(UserError, match="no-such"):
        run(MonitorRequest(tiny_bundle, shifted[0], variant="no-such"))


def test_a_check_that_breaks_is_counted_and_the_next_one_made(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_request: MonitorRequest) -> Findings:
        raise MemoryError

    monkeypatch.setattr(watching, "run", broken)
    gauges = watching.Gauges()
    for _ in range(2):
        watching._check(MonitorRequest(tiny_bundle, tmp_path), gauges, "tiny", None)
    assert gauges.registry.get_sample_value(
        "modelwright_monitor_failures_total", {"model": "tiny"}
    ) == 2  # fmt: skip


def scraped(process: subprocess.Popen[str]) -> str:
    """What Prometheus would read after the first check."""
    assert process.stderr is not None
    address = ""
    for line in process.stderr:
        if "http://" in line:
            address = line[line.index("http://") :].strip()
        if "alarm:" in line:
            break
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())
