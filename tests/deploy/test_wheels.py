"""Libraries are pinned as they are installed, and go out as wheels that pip installs."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from modelwright.deploy import wheels
from modelwright.errors import UserError


def test_a_service_needs_no_library_to_train_or_to_download_with() -> None:
    pins = wheels.needs("onnxruntime", image=False, records=False)
    assert pins["numpy"] == metadata.version("numpy")
    assert {"onnxruntime", "starlette", "uvicorn", "tokenizers", "pydantic-core"} <= pins.keys()
    unwanted = {
        "torch",
        "transformers",
        "pyarrow",
        "pillow",
        "huggingface-hub",
        "pandas",
        "openvino",
    }
    assert not unwanted & pins.keys()
    assert list(pins) == sorted(pins)


def test_images_and_recorded_traffic_need_a_library_more() -> None:
    pins = wheels.needs("onnxruntime", image=True, records=True)
    assert {"pillow", "pyarrow"} <= pins.keys()
    assert "openvino" in wheels.needs("openvino", image=False, records=False)


def test_the_text_of_requirements_pins_every_version() -> None:
    assert wheels.requirements({"a": "1.0", "torch": "2.13.0+cpu"}) == "a==1.0\ntorch==2.13.0\n"


@pytest.mark.parametrize("name", ["click", "pygments", "httptools", "ruamel.yaml"])
def test_a_library_as_a_wheel_is_installed_by_pip_as_it_was(name: str, tmp_path: Path) -> None:
    file, data = wheels.wheel(name)
    assert wheels.wheel(name) == (file, data)
    (tmp_path / file).write_bytes(data)
    target = tmp_path / "site"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile",
         "--target", str(target), str(tmp_path / file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ours = next(iter(metadata.distributions(name=name, path=[str(target)])))
    assert ours.version == metadata.version(name)
    for path in ours.files or ():
        if path.suffix in (".py", ".so"):
            original = Path(str(metadata.distribution(name).locate_file(path)))
            assert Path(str(path.locate())).read_bytes() == original.read_bytes()


def test_our_own_wheel_holds_the_package_and_its_command_but_no_samples() -> None:
    file, data = wheels.own_wheel()
    assert wheels.own_wheel() == (file, data)
    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    assert "modelwright/cli/serve.py" in names
    assert any(name.endswith("entry_points.txt") for name in names)
    assert not [name for name in names if "samples/" in name or "__pycache__" in name]


def test_a_library_that_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(UserError) as failed:
        wheels.wheel("no-such-library")
    assert failed.value.problem.code == "MW-801"


def test_a_service_starts_without_the_libraries_that_are_left_out(tiny_bundle: Path) -> None:
    program = """
import sys
from modelwright.deploy.wheels import UNCALLED
out = {name.replace("-", "_") for name in UNCALLED} | {"PIL", "pyarrow", "torch", "transformers"}
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in out:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from modelwright.serve._opening import open_verified
from modelwright.serve.app import create_app
from modelwright.serve.settings import Settings
app = create_app([open_verified(sys.argv[1])], Settings())
assert app.service.state()["ready"], app.service.state()
app.service.close(timeout=5)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny_bundle)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
