"""The image's files: pinned, not root, one variant, no secret. `test_podman.py` builds and runs it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]


def test_the_image_is_pinned_has_two_stages_and_is_not_roots(write: Write) -> None:
    text = (write("docker") / "Containerfile").read_text()
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+\.\d+-slim-bookworm$", text, re.MULTILINE)
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]
    lines = text.splitlines()
    assert lines.index("COPY bundle/ /bundle/") > lines.index(
        "COPY --from=libraries /opt/modelwright /opt/modelwright"
    )
    entry = json.loads(next(line for line in lines if line.startswith("ENTRYPOINT "))[11:])
    assert entry[:3] == ["mw", "serve", "/bundle"]
    assert entry[entry.index("--keys") + 1] == "/run/secrets/modelwright/keys.json"


def test_every_library_is_pinned_and_ours_comes_from_a_file_beside(write: Write) -> None:
    folder = write("docker")
    *pins, own = (folder / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][A-Za-z0-9.]*", pin) for pin in pins)
    assert (folder / own).is_file()
    assert [path.name for path in (folder / "wheels").iterdir()] == [own.rpartition("/")[2]]


def test_only_the_variant_that_is_served_goes_into_the_image(write: Write) -> None:
    folder = write("docker", variant="onnx-fp32")
    assert [path.name for path in (folder / "bundle" / "variants").iterdir()] == ["onnx-fp32"]
    assert "--variant" in (folder / "Containerfile").read_text()


def test_keys_and_everything_else_stay_out_of_what_is_sent_to_the_builder(write: Write) -> None:
    folder = write("docker")
    rules = (folder / ".dockerignore").read_text().split()
    assert rules == ["*", "!bundle", "!requirements.txt", "!wheels"]
    assert (folder / ".gitignore").read_text() == "secrets/\n"


def test_a_bundle_that_records_has_room_for_it_and_the_library(
    write: Write, changed_bundle: Callable[..., Path]
) -> None:
    serve = {"slo": {}, "deadline_ms": None, "record": {"share": 0.1, "inputs": False}}
    folder = write("docker", of=changed_bundle(serve=serve))
    text = (folder / "Containerfile").read_text()
    assert '"--traffic", "/var/lib/modelwright"' in text
    assert "--chown=10001:10001 /traffic /var/lib/modelwright" in text
    assert "pyarrow==" in (folder / "requirements.txt").read_text()


@pytest.mark.parametrize("image", ["registry.example.com:5000/models/tiny:7"])
def test_the_image_is_called_as_asked(write: Write, image: str) -> None:
    readme = (write("docker", image=image) / "README.md").read_text()
    assert f"docker build -t {image} -f Containerfile ." in readme
    assert "--memory 640m" in readme
