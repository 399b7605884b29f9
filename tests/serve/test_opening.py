"""A bundle is served only with the files that were packaged, and run as this machine does it best."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelwright.artifacts.bundle import read_bundle
from modelwright.engines import Bundle
from modelwright.errors import UserError
from modelwright.serve import Settings
from modelwright.serve._deploying import Deployer
from modelwright.serve._opening import choose_streams, open_verified
from modelwright.serve._service import Service
from modelwright.serve.problems import ServiceError
from modelwright.testing.doubles import FakeBundle

TEXTS = ["refund please", "close my account", "gift card " * 9, "hello"]
INT8 = Path("variants/onnx-int8")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a bit of the model": lambda folder: flipped(folder / INT8 / "model.onnx"),
    "the tokenizer": lambda folder: flipped(folder / "tokenizer" / "tokenizer.json"),
    "the golden rows": lambda folder: (folder / "golden.jsonl").write_text(""),
    "a file more": lambda folder: (folder / INT8 / "runtime.json").write_text("{}"),
    "a file less": lambda folder: (folder / INT8 / "model.onnx").unlink(),
}


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundles" / "changed"))


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_file_is_refused_at_the_start_and_by_the_admin_port(what: str, bundle: Path):
    open_verified(bundle, "onnx-int8").close()
    CHANGES[what](bundle)
    with pytest.raises(UserError, match="MW-602"):
        open_verified(bundle, "onnx-int8")
    service = Service([FakeBundle()], Settings())
    deployer = Deployer(service, lambda path: open_verified(path, "onnx-int8"), bundle.parent, None)
    name = read_bundle(bundle)["name"]
    with pytest.raises(ServiceError, match="MW-602"):
        asyncio.run(deployer.load(name, "changed", "stable", 0.0))
    assert list(service.slots) == ["fake"]
    service.close(5)


def test_the_files_of_other_variants_are_not_read(bundle: Path):
    shutil.rmtree(bundle / "variants" / "torch-fp32")
    opened = open_verified(bundle, "onnx-int8")
    assert opened.variant["name"] == "onnx-int8"
    opened.close()


def test_a_bundle_that_runs_calls_side_by_side_gives_the_same_answers(tiny_bundle: Path):
    opened = Bundle.open(tiny_bundle, "onnx-int8")
    expected = [opened.predict([text])[0] for text in TEXTS]
    beside = opened.engine.spread(3)
    assert beside is not None
    opened.run_by(beside)
    assert (opened.limits.workers, opened.limits.rows) == (3, 1)
    with ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(lambda text: opened.predict([text])[0], TEXTS * 10))
    for place, answer in enumerate(answers):
        assert answer["label"] == expected[place % len(TEXTS)]["label"]
        assert answer["scores"] == pytest.approx(expected[place % len(TEXTS)]["scores"], abs=1e-4)
    opened.close()


def test_streams_are_tried_where_nobody_said_what_is_best(tiny_bundle: Path):
    opened = Bundle.open(tiny_bundle, "onnx-int8")
    choose_streams(opened, 2)
    assert opened.limits.workers in (1, 2)
    assert opened.predict(TEXTS[:1])[0]["label"]
    opened.close()
    told = Bundle.open(tiny_bundle, "onnx-int8", threads=1)
    assert told.engine.spread(2) is None
    told.close()
