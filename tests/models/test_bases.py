"""A recipe's `base` to files: catalogue, folder, hub and scratch, and what is refused and why."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import UserError
from modelwright.models import bases
from modelwright.models.bases import resolve, scratch_sizes
from modelwright.models.catalogue import CATALOGUE


def problem_of(name: str, modality: str = "text", folder: Path = Path()) -> Any:
    with pytest.raises(UserError) as caught:
        resolve(name, modality, folder)
    problem = caught.value.problem
    assert problem.fix
    assert problem.expected
    return problem


# -- catalogue ------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [n for n, e in CATALOGUE.items() if e.origin == "package"])
def test_a_base_of_the_catalogue_is_the_published_one(name: str) -> None:
    base = resolve(name, CATALOGUE[name].modality, Path())
    assert base.origin == "package"
    assert base.licence == CATALOGUE[name].licence != "unknown"
    assert base.digest in CATALOGUE[name].digests.values()
    assert base.config["model_type"] == CATALOGUE[name].family


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_tampered_file_of_the_catalogue_is_refused(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = resolve("minilm-l6", "text", Path()).folder
    assert real is not None
    package = tmp_path / "tampered_weights"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in os.listdir(real):
        os.symlink(real / name, package / "model" / name)
    (package / "model" / file).unlink()
    (package / "model" / file).write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    entry = CATALOGUE["minilm-l6"]
    values = {**entry.__dict__, "package": "tampered_weights"}
    monkeypatch.setitem(bases.CATALOGUE, "minilm-l6", type(entry)(**values))
    problem = problem_of("minilm-l6")
    assert problem.code == "MW-303"
    assert file in problem.seen


def test_a_catalogue_base_whose_package_is_missing_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = CATALOGUE["minilm-l6"]
    values = {**entry.__dict__, "package": "not_installed_here"}
    monkeypatch.setitem(bases.CATALOGUE, "minilm-l6", type(entry)(**values))
    problem = problem_of("minilm-l6")
    assert problem.code == "MW-801"
    assert "modelwright[train]" in problem.fix


@pytest.mark.parametrize(
    ("name", "meant"),
    [("minilm-l", "minilm-l6"), ("MiniLM_L6", "minilm-l6"), ("scrach", "scratch")],
)
def test_an_unknown_name_is_told_with_the_nearest_one(name: str, meant: str) -> None:
    problem = problem_of(name)
    assert problem.code == "MW-301"
    assert problem.fix == f"did you mean `{meant}`?"


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "a/b/c", "~/nowhere"])
def test_a_folder_that_is_not_there_is_told(name: str) -> None:
    assert problem_of(name).code == "MW-301"


# -- scratch --------------------------------------------------------------------------------------
@pytest.mark.parametrize(("modality", "most"), [("text", 7), ("image", 6)])
def test_every_scratch_size_has_its_family(modality: str, most: int) -> None:
    sizes = scratch_sizes(modality)
    assert len(sizes) == most
    for size in sizes:
        base = resolve(f"scratch:{size}", modality, Path())
        assert (base.size, base.folder, base.config) == (size, None, {})
    assert resolve("scratch", modality, Path()).size == "small"


def test_an_unknown_scratch_size_is_told_with_the_nearest_one() -> None:
    problem = problem_of("scratch:smal")
    assert problem.code == "MW-301"
    assert problem.fix == "did you mean `small`?"
    assert "vit-tiny" not in problem.expected


# -- folders --------------------------------------------------------------------------------------
@pytest.fixture
def folder(bert_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert_folder, tmp_path / "base"))


def change(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def test_a_folder_is_found_relative_to_the_recipe_and_to_home(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = resolve("base", "text", folder.parent)
    assert (base.origin, base.folder, base.licence) == ("folder", folder, "unknown")
    assert resolve("./base", "text", folder.parent).digest == base.digest
    monkeypatch.setenv("HOME", str(folder.parent))
    assert resolve("~/base", "text", Path("/")).folder == folder


def test_the_licence_is_read_from_the_model_card(folder: Path) -> None:
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\n# A model\n")
    assert resolve("base", "text", folder.parent).licence == "mit"


def test_the_digest_tells_one_set_of_weights_from_another(folder: Path) -> None:
    before = resolve("base", "text", folder.parent).digest
    (folder / "notes.txt").write_text("no part of the model")
    assert resolve("base", "text", folder.parent).digest == before
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert resolve("base", "text", folder.parent).digest != before


def test_pickled_weights_alone_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    problem = problem_of("base", folder=folder.parent)
    assert problem.code == "MW-303"
    assert "safetensors" in problem.expected


def test_a_folder_without_a_config_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert problem_of("base", folder=folder.parent).code == "MW-301"


def test_a_base_that_wants_its_own_code_is_refused(folder: Path) -> None:
    change(folder, auto_map={"AutoModel": "modeling_own.OwnModel"})
    assert problem_of("base", folder=folder.parent).code == "MW-304"


@pytest.mark.parametrize(
    ("values", "modality", "reason"),
    [
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, "text", "generating"),
        ({"model_type": "gpt2", "architectures": ["GPT2Model"]}, "text", "generating"),
        ({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}, "text", "generating"),
        ({"is_decoder": True}, "text", "generating"),
        ({"model_type": "t5", "is_encoder_decoder": True}, "text", "encoder-decoder"),
        ({"model_type": "vit", "image_size": 224}, "text", "reads images"),
        ({"model_type": "resnet", "num_channels": 3}, "text", "reads images"),
        ({}, "image", "reads text"),
        ({"model_type": "clip", "text_config": {}, "vision_config": {}}, "text", "together"),
        ({"model_type": "clip", "text_config": {}, "vision_config": {}}, "image", "together"),
        ({"quantization_config": {"bits": 4}}, "text", "quantized"),
        ({"model_type": ""}, "text", "no model_type"),
    ],
)
def test_a_base_that_does_not_fit_is_refused_with_the_reason(
    folder: Path, values: dict[str, Any], modality: str, reason: str
) -> None:
    change(folder, **values)
    problem = problem_of("base", modality, folder.parent)
    assert problem.code == "MW-302"
    assert reason in problem.seen
    assert "scratch:" in problem.fix


# -- hub ------------------------------------------------------------------------------------------
@dataclass
class Hub:
    """A small model hub: one repository, what it was asked."""

    folder: Path
    asked: list[str] = field(default_factory=list)
    url: str = ""
    commit: str = "a" * 40

    def files(self) -> dict[str, Path]:
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in paths}


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            hub.asked.append(f"{self.command} {path}")
            listing = "/api/models/acme/tiny"
            if path in (listing, f"{listing}/revision/main", f"{listing}/revision/{hub.commit}"):
                siblings = [{"rfilename": name} for name in hub.files()]
                known = {
                    "id": "acme/tiny",
                    "modelId": "acme/tiny",
                    "sha": hub.commit,
                    "private": False,
                }
                self.answer(json.dumps({**known, "siblings": siblings}).encode(), {})
            elif path.startswith("/api/models/acme/tiny/tree/"):
                tree = [
                    {"type": "file", "path": name, "size": file.stat().st_size,
                     "oid": hashlib.sha1(file.read_bytes()).hexdigest()}
                    for name, file in hub.files().items()
                ]  # fmt: skip
                self.answer(json.dumps(tree).encode(), {})
            elif path.startswith("/acme/tiny/resolve/"):
                name = path.split("/", 5)[5]
                data = hub.files()[name].read_bytes()
                etag = hashlib.sha256(data).hexdigest()
                self.answer(data, {"ETag": f'"{etag}"', "X-Repo-Commit": hub.commit})
            else:
                self.answer(
                    b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"}, 404
                )

        def answer(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


@pytest.fixture
def hub(folder: Path) -> Iterator[Hub]:
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (folder / "pytorch_model.bin").write_bytes(b"pickled; nobody should fetch this")
    (folder / "modeling_own.py").write_text("raise SystemExit('code of others ran')")
    found = Hub(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(found))
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


PROGRAM = """
import json, sys
from pathlib import Path
from modelwright.errors import UserError
from modelwright.models.bases import resolve

found = []
for name in sys.argv[1:]:
    try:
        base = resolve(name, "text", Path("."))
        found.append([base.origin, base.id, base.licence, base.digest, str(base.folder)])
    except UserError as error:
        found.append([error.problem.code, error.problem.seen, error.problem.fix])
print(json.dumps(found))
"""


def ask(endpoint: str, home: Path, *names: str) -> tuple[list[list[str]], str]:
    source = Path(bases.__file__).parents[2]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "PYTHONPATH": str(source),
        "HF_HUB_DOWNLOAD_TIMEOUT": "5", "HF_HUB_ETAG_TIMEOUT": "5", "HF_HUB_DISABLE_XET": "1",
        "no_proxy": "127.0.0.1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *names],
        env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_hub_model_is_fetched_once_without_its_code_and_its_pickles(
    hub: Hub, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (first, again, missing), said = ask(hub.url, home, "acme/tiny", "acme/tiny", "acme/none")
    assert first == again
    origin, name, licence, digest, place = first
    assert (origin, name, licence) == ("hub", "acme/tiny", "apache-2.0")
    assert digest == resolve("base", "text", hub.folder.parent).digest
    names = {path.name for path in Path(place).iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"pytorch_model.bin", "modeling_own.py"}
    fetched = [asked for asked in hub.asked if asked.startswith("GET") and "safetensors" in asked]
    assert len(fetched) == 1
    code, seen, fix = missing
    assert code == "MW-301"
    assert "acme/none" in seen
    assert "minilm-l6" in fix
    assert "Traceback" not in said
    offline, _ = ask("http://127.0.0.1:9", home, "acme/tiny")
    assert offline[0] == first


def test_a_hub_that_does_not_answer_is_told_with_what_works_without_one(tmp_path: Path) -> None:
    ((code, seen, fix),), said = ask("http://127.0.0.1:9", tmp_path, "acme/tiny")
    assert code == "MW-301"
    assert "acme/tiny" in seen
    assert "minilm-l6" in fix
    assert "Traceback" not in said
