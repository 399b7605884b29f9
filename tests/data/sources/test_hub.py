"""Hub data sets, from a local folder and from a hub-like server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modelwright.data.sources.hub import Address, parse
from modelwright.errors import UserError

pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

FEATURES = {
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
}
README = """---
configs:
- config_name: default
  data_files:
  - {split: train, path: data/train-*}
  - {split: test, path: data/test-*}
dataset_info:
  features:
  - {name: text, dtype: string}
  - name: label
    dtype:
      class_label:
        names: {'0': neg, '1': pos}
---
"""


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("hf://squad", Address("squad")),
        ("hf://squad/train", Address("squad", None, "train")),
        ("hf://PolyAI/banking77", Address("PolyAI/banking77")),
        ("hf://PolyAI/banking77/test", Address("PolyAI/banking77", None, "test")),
        ("hf://owner/name/train[:10%]", Address("owner/name", None, "train[:10%]")),
        ("hf://owner/name/odd", Address("owner/name", None, "odd")),
        ("hf://glue:sst2", Address("glue", "sst2")),
        ("hf://glue:sst2/odd", Address("glue", "sst2", "odd")),
        ("hf:///data/set/test", Address("/data/set", None, "test")),
    ],
)
def test_a_location_is_taken_apart(location, address):
    assert parse(location) == address


@pytest.mark.parametrize("location", ["hf://", "hf://a/b/c/d"])
def test_a_location_that_names_nothing_is_an_error(location):
    with pytest.raises(UserError, match="MW-201"):
        parse(location)


def write_set(folder: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    for split, rows in (("train", ["good", "bad", "fine"]), ("test", ["ok"])):
        table = pa.table({"text": rows, "label": pa.array([1, 0, 1][: len(rows)], pa.int64())})
        info = json.dumps({"info": {"features": FEATURES}})
        table = table.replace_schema_metadata({"huggingface": info})
        pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    (folder / "README.md").write_text(README)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = pytest.importorskip("datasets.config")
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return write_set(tmp_path / "set")


def test_a_local_folder_reads_like_a_hub_set(read, open_as, folder):
    source = open_as("hub", f"hf://{folder}")
    assert source.columns() == ["text", "label"]
    assert source.label_names() == {"label": ["neg", "pos"]}
    good, broken = read("hub", f"hf://{folder}")
    assert [row.values for row in good] == [
        {"text": "good", "label": 1},
        {"text": "bad", "label": 0},
        {"text": "fine", "label": 1},
    ]
    assert broken == []


def test_splits_and_columns_are_chosen(read, open_as, folder):
    assert len(read("hub", f"hf://{folder}/test")[0]) == 1
    assert len(read("hub", f"hf://{folder}/train[:2]")[0]) == 2
    assert read("hub", f"hf://{folder}", columns=["text"])[0][0].values == {"text": "good"}
    with pytest.raises(UserError, match=r"MW-202[\s\S]*did you mean `label`"):
        open_as("hub", f"hf://{folder}", columns=["lable"]).columns()


def test_the_fingerprint_follows_the_content(open_as, folder):
    train = open_as("hub", f"hf://{folder}/train").fingerprint()
    assert open_as("hub", f"hf://{folder}/train").fingerprint() == train
    assert open_as("hub", f"hf://{folder}/test").fingerprint() != train


def test_a_wrong_split_is_told_with_those_that_exist(open_as, folder):
    with pytest.raises(UserError, match=r"MW-201[\s\S]*train"):
        open_as("hub", f"hf://{folder}/validation").columns()


def test_a_missing_folder_is_told(open_as, folder):
    with pytest.raises(UserError, match=r"MW-107[\s\S]*did you mean"):
        open_as("hub", f"hf://{folder}s").columns()


def test_images_come_as_bytes(read, tmp_path, folder):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    image.new("RGB", (4, 4)).save(tmp_path / "photos" / "cat" / "a.png")
    good, _ = read("hub", f"hf://{tmp_path}/photos")
    assert good[0].values["image"].startswith(b"\x89PNG")


SHA = "0123456789abcdef0123456789abcdef01234567"


class _Hub(BaseHTTPRequestHandler):
    """As much of the hub's HTTP as loading a data set of plain files takes."""

    root: Path
    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        wanted = json.loads(body).get("paths", [])
        self._json([entry for entry in self._tree() if entry["path"] in wanted])

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.asked.append(self.command + " " + self.path)
        name = "owner/tiny"
        if path in (f"/api/datasets/{name}", f"/api/datasets/{name}/revision/{SHA}") or (
            path == f"/api/datasets/{name}/revision/main"
        ):
            files = [
                {"rfilename": entry["path"]} for entry in self._tree() if entry["type"] == "file"
            ]
            return self._json(
                {"id": name, "sha": SHA, "siblings": files, "private": False, "tags": []}
            )
        if path.startswith(f"/api/datasets/{name}/tree/"):
            under = path.removeprefix(f"/api/datasets/{name}/tree/").partition("/")[2]
            return self._json(self._tree(under, deep="recursive=true" in self.path.lower()))
        if path.startswith(f"/datasets/{name}/resolve/"):
            file = self.root / path.removeprefix(f"/datasets/{name}/resolve/").partition("/")[2]
            return self._file(file) if file.is_file() else self._error("EntryNotFound")
        return self._error("RepoNotFound")

    def _tree(self, under: str = "", deep: bool = True) -> list[dict[str, object]]:
        folder = self.root / under
        return [
            {
                "type": "file" if file.is_file() else "directory",
                "oid": f"{len(file.name):040x}",
                "size": file.stat().st_size,
                "path": file.relative_to(self.root).as_posix(),
            }
            for file in sorted(folder.rglob("*") if deep else folder.glob("*"))
        ]

    def _send(self, body: bytes, code: int, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: object) -> None:
        self._send(json.dumps(value).encode(), 200, Content_Type="application/json")

    def _file(self, file: Path) -> None:
        self._send(file.read_bytes(), 200, ETag=f'"{len(file.name):040x}"', X_Repo_Commit=SHA)

    def _error(self, kind: str) -> None:
        self._send(b'{"error": "not found"}', 404, X_Error_Code=kind)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    handler = type("Hub", (_Hub,), {"root": write_set(tmp_path / "served"), "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.asked
    server.shutdown()
    thread.join()
    server.server_close()


def read_in_new_process(location: str, endpoint: str, home: Path, **more: str) -> dict:
    """The hub's libraries read HF_ENDPOINT once, at import, so the reading has its own process."""
    program = (
        "import json\nfrom modelwright.errors import UserError\n"
        "from modelwright.data.sources._opening import open_source\n"
        "try:\n"
        f"    source = open_source({location!r})\n"
        "    rows = [row.values for row in source.rows()]\n"
        "    print(json.dumps({'rows': rows, 'labels': source.label_names()}))\n"
        "except UserError as error:\n"
        "    print(json.dumps({'error': str(error)}))\n"
    )
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), **more}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_set_of_another_hub_is_read_and_kept_for_work_without_a_network(hub, tmp_path):
    endpoint, asked = hub
    first = read_in_new_process("hf://owner/tiny/train", endpoint, tmp_path / "home")
    assert "error" not in first, (first, asked)
    assert first["rows"][0] == {"text": "good", "label": 1}
    assert first["labels"] == {"label": ["neg", "pos"]}
    assert any("resolve" in path for path in asked)
    again = read_in_new_process(
        "hf://owner/tiny/train", endpoint, tmp_path / "home", HF_HUB_OFFLINE="1"
    )
    assert again == first


def test_a_set_that_the_hub_does_not_have_is_told(hub, tmp_path):
    found = read_in_new_process("hf://owner/other", hub[0], tmp_path / "home")
    assert found["error"].startswith("MW-207 hf://owner/other")
    assert "HF_TOKEN" in found["error"]
