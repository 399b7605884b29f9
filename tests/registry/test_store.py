"""Bundles come out of a registry as they went in, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelwright.artifacts.bundle import changed_files, read_bundle
from modelwright.errors import UserError
from modelwright.registry import files
from modelwright.registry.store import models, pull, push, safe, set_stage
from modelwright.runtime.files import read_json, write_json

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*")
SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture(params=["folder", "s3", "mlflow"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "registry")
    if request.param == "s3":
        return f"{request.getfixturevalue('s3')}/{tmp_path.name}"
    pytest.importorskip("mlflow")
    return f"mlflow:sqlite:///{tmp_path / 'mlflow.db'}"


def refused(code: str, call, *arguments, **more) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments, **more)
    assert caught.value.problem.code == code, caught.value
    return str(caught.value)


# -- every kind of registry -----------------------------------------------------------------------
def test_a_bundle_comes_out_as_it_went_in_with_stages_and_who_did_what(
    url: str, tmp_path: Path, keys: tuple[Path, Path], make_bundle
):
    one, two = make_bundle(tmp_path / "1", "a", "b"), make_bundle(tmp_path / "2", "a", "b", "c")
    first = push(one, url, key=keys[0])
    second = push(two, url, stage="canary", reason="for a trial")
    assert (first.new, first.stage, second.stage) == (True, "candidate", "canary")
    again = push(one, url)
    assert (again.new, again.stage) == (False, "")
    out = tmp_path / "out"
    got = pull(f"intents:{first.record.version[:6]}", url, out, key=keys[1])
    assert got.signature == "verified"
    assert not changed_files(out, read_bundle(out))
    assert sorted(p.name for p in out.rglob("*")) == sorted(p.name for p in one.rglob("*"))
    assert read_json(out / "bundle.json") == read_json(one / "bundle.json")
    pull("intents:" + first.record.version, url, out)  # once more changes nothing

    _, before = set_stage(url, "intents", second.record.version, "production", reason="better")
    assert before == ""
    [model] = models(url, "intents")
    v1, v2 = first.record.version, second.record.version
    assert model.stages == {"candidate": v1, "production": v2}
    assert [(e.what, e.version, e.stage) for e in model.history] == [
        ("push", v1, ""), ("stage", v1, "candidate"), ("push", v2, ""), ("stage", v2, "canary"),
        ("stage", v2, "production"),
    ]  # fmt: skip
    assert all("@" in event.by and event.at.endswith("Z") for event in model.history)
    assert model.history[-1].reason == "better"
    assert pull("intents@production", url, tmp_path / "p").record.version == v2
    assert pull("intents", url, tmp_path / "q").record.version == v2
    refused("MW-651", pull, f"intents:{v2}", url, tmp_path / "r", key=keys[1])
    assert not (tmp_path / "r").exists()
    signed = push(two, url, key=keys[0]).record
    assert signed.signed
    assert pull("intents", url, tmp_path / "r", key=keys[1]).signature == "verified"


def test_what_is_not_there_is_told_with_the_nearest(url: str, bundle: Path, tmp_path: Path):
    assert models(url) == []
    assert "push one" in refused("MW-650", pull, "intents", url, tmp_path / "o")
    version = push(bundle, url).record.version
    assert "did you mean `intents`" in refused("MW-650", pull, "intent", url, tmp_path / "o")
    assert version in refused("MW-650", pull, "intents:0000", url, tmp_path / "o")
    refused("MW-650", pull, "intents@production", url, tmp_path / "o")
    assert "did you mean `production`" in refused(
        "MW-650", set_stage, url, "intents", version, "prodction"
    )
    refused("MW-650", push, bundle, url, stage="live")
    refused("MW-650", models, url, "intent")


# -- nothing half ---------------------------------------------------------------------------------
KILLED = """
import os, signal, sys
from pathlib import Path
from modelwright.registry import files, store
whole, count = files.FileRegistry._put, 0
def put(self, path, place):
    global count
    count += 1
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    whole(self, path, place)
files.FileRegistry._put = put
store.push(Path(sys.argv[1]), sys.argv[2])
"""


def test_a_push_that_is_killed_leaves_no_version_and_the_same_command_goes_on(
    bundle: Path, tmp_path: Path
):
    url = str(tmp_path / "registry")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(bundle), url], check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert list(Path(url).rglob("*.json"))  # it had begun
    assert models(url) == []
    refused("MW-650", pull, "intents", url, tmp_path / "out")
    assert push(bundle, url).new
    pull("intents", url, tmp_path / "out")


def test_many_pushes_at_once_give_one_version_and_no_event_is_lost(
    bundle: Path, tmp_path: Path, make_bundle
):
    url = str(tmp_path / "registry")
    with ThreadPoolExecutor(8) as pool:
        versions = {one.record.version for one in pool.map(lambda _: push(bundle, url), range(8))}
    [model] = models(url)
    assert [one.version for one in model.versions] == list(versions)
    pull("intents", url, tmp_path / "out")
    other = push(make_bundle(tmp_path / "2", "x", "y"), url).record.version
    wanted = versions | {other}
    before = len(models(url)[0].history)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda v: set_stage(url, "intents", v, "production"), sorted(wanted) * 8))
    [model] = models(url)
    assert len(model.history) == before + 16
    assert model.stages["production"] == model.history[-1].version


# -- nothing false --------------------------------------------------------------------------------
def test_a_changed_file_never_leaves_the_registry(bundle: Path, tmp_path: Path):
    url = str(tmp_path / "registry")
    version = push(bundle, url).record.version
    stored = tmp_path / "registry" / "intents" / "versions" / version
    golden = stored / "golden.jsonl"
    golden.write_bytes(golden.read_bytes() + b" ")
    assert "golden.jsonl" in refused("MW-602", pull, "intents", url, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [p for p in tmp_path.iterdir() if p.name.startswith(".out")] == []
    golden.unlink()
    assert "missing" in refused("MW-652", pull, "intents", url, tmp_path / "out")


def test_who_can_write_to_the_registry_cannot_forge_a_signed_bundle(
    bundle: Path, tmp_path: Path, keys: tuple[Path, Path], make_bundle, make_keys
):
    """Digests, version and record are all made anew by the forger; the signature is not."""
    url = str(tmp_path / "registry")
    version = push(bundle, url, key=keys[0]).record.version
    place = tmp_path / "registry" / "intents" / "versions"
    forged = make_bundle(tmp_path / "forged", "bad", "worse")
    record = read_json(place / f"{version}.json")
    push(forged, str(tmp_path / "mine"))
    [other] = (tmp_path / "mine" / "intents" / "versions").glob("*.json")
    fake = read_json(other)
    shutil.copytree(forged, place / fake["version"])
    write_json(place / f"{fake['version']}.json", {**record, **fake})
    shutil.copyfile(
        place / f"{version}.signature.json", place / f"{fake['version']}.signature.json"
    )
    pull(f"intents:{fake['version']}", url, tmp_path / "unverified")
    said = refused("MW-651", pull, f"intents:{fake['version']}", url, tmp_path / "o", key=keys[1])
    assert "does not hold" in said
    assert not (tmp_path / "o").exists()
    stranger = make_keys(tmp_path, "stranger")[1]
    refused("MW-651", pull, f"intents:{version}", url, tmp_path / "o", key=stranger)
    (place / f"{version}.signature.json").write_text("{}")
    refused("MW-651", pull, f"intents:{version}", url, tmp_path / "o", key=keys[1])


def test_keys_that_cannot_be_used_are_told_with_how_to_make_one(bundle: Path, tmp_path: Path):
    url = str(tmp_path / "registry")
    (tmp_path / "bad.pem").write_text("no key")
    assert "openssl" in refused("MW-651", push, bundle, url, key=tmp_path / "bad.pem")
    assert "openssl" in refused("MW-804", push, bundle, url, key=tmp_path / "none.pem")
    assert models(url) == []


def test_a_manifest_cannot_write_outside_of_the_folder(bundle: Path, tmp_path: Path):
    url = str(tmp_path / "registry")
    version = push(bundle, url).record.version
    manifest = tmp_path / "registry" / "intents" / "versions" / version / "bundle.json"
    content = read_json(manifest)
    for name in ("../evil", "/tmp/evil", "a\\..\\evil"):
        manifest.write_text(json.dumps({**content, "files": {name: "0" * 64}}))
        refused("MW-602", pull, "intents", url, tmp_path / "sub" / "out")
    assert not (tmp_path / "sub" / "evil").exists()


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "", ".hidden", "-rf", "a\0b", "a b", "x" * 101, "con", "a\nb", "模" * 80],
)
def test_names_that_could_leave_the_registry_are_refused(name: str, tmp_path: Path):
    refused("MW-650", safe, name, "name")
    refused("MW-650", pull, name, str(tmp_path), tmp_path / "out")


def test_names_may_be_chinese(tmp_path: Path, make_bundle):
    url = str(tmp_path / "登记")
    push(make_bundle(tmp_path / "b", name="客服意图"), url, stage="production")
    assert pull("客服意图@production", url, tmp_path / "出").record.name == "客服意图"
    assert [one.name for one in models(url)] == ["客服意图"]


def test_a_folder_with_something_else_is_left_alone(bundle: Path, tmp_path: Path):
    url = str(tmp_path / "registry")
    push(bundle, url)
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    refused("MW-802", pull, "intents", url, out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_damaged_records_and_events_are_named(bundle: Path, tmp_path: Path):
    url = str(tmp_path / "registry")
    version = push(bundle, url).record.version
    place = tmp_path / "registry" / "intents"
    record = place / "versions" / f"{version}.json"
    good = record.read_text()
    record.write_text(good[: len(good) // 2])
    assert f"{version}.json" in refused("MW-652", models, url)
    record.write_text(good.replace(version, "f" * 12))
    assert "tells of" in refused("MW-652", models, url)
    record.write_text(good)
    next(iter((place / "history").iterdir())).write_text("[]")
    refused("MW-652", models, url)


def test_a_place_that_cannot_be_written_or_reached_is_told(bundle: Path, tmp_path: Path, s3: str):
    (tmp_path / "file").write_text("")
    refused("MW-802", push, bundle, str(tmp_path / "file" / "registry"))
    assert "does not exist" in refused("MW-652", push, bundle, "s3://no-such-bucket/models")
    refused("MW-201", push, bundle, "nonsense://x/y")


def test_a_bundle_that_was_changed_is_not_pushed(bundle: Path, tmp_path: Path):
    (bundle / "golden.jsonl").write_text("{}")
    refused("MW-602", push, bundle, str(tmp_path / "registry"))
    refused("MW-601", push, tmp_path, str(tmp_path / "registry"))
    assert not (tmp_path / "registry").exists()


def test_only_declared_files_are_fetched(bundle: Path, tmp_path: Path):
    url = str(tmp_path / "registry")
    version = push(bundle, url).record.version
    (tmp_path / "registry" / "intents" / "versions" / version / "evil.py").write_text("boom")
    pull("intents", url, tmp_path / "out")
    assert not (tmp_path / "out" / "evil.py").exists()
    assert files.declared_files(b'{"files": {"a/b": "0"}}') == ["a/b"]
