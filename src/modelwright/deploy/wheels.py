"""The libraries that a service needs, pinned, from what is installed here; each as a wheel again.

What was measured with is what runs: versions are those of this environment. Libraries that a service
never calls are left out, with the reason.

    needs("onnxruntime", image=False, records=False) -> {"numpy": "2.4.6", ...}
    wheel("numpy") -> ("numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl", bytes)
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from modelwright import __version__, plugs
from modelwright.runtime.libraries import missing

OURS = "modelwright"
SERVICE = (
    *("pydantic", "ruamel.yaml", "typer", "rich", "numpy", "tokenizers"),
    *("starlette", "uvicorn", "httptools", "prometheus-client"),
)
"""What `mw serve` imports, whatever the engine."""
UNCALLED = {
    "huggingface-hub": "tokenizers names it to download with; a service reads its bundle alone",
    "sympy": "onnxruntime names it for its tools",
    "openvino-telemetry": "openvino works without sending what it is used for",
    "setuptools": "torch names it to compile with",
    "triton": "torch names it for graphics processors",
}
_EPOCH = (1980, 1, 1, 0, 0, 0)
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def needs(engine: str, *, image: bool, records: bool) -> dict[str, str]:
    """Versions by name of every library that a service needs, sorted.

    Args:
        engine: name of the engine plug.
        image: whether the model reads images.
        records: whether requests are recorded, in Parquet.

    Raises:
        UserError: MW-801 when one of them is not installed here.
    """
    plug = plugs.load("engine", engine)
    roots = [(name, "serve") for name in SERVICE] + list(plug.requires.items())
    if engine == "torch":
        roots += [("transformers", "train"), ("safetensors", "train")]
    roots += [("pillow", "serve")] if image else []
    roots += [("pyarrow", "serve")] if records else []
    found: dict[str, str] = {}
    for name, extra in roots:
        try:
            _collect(name, found)
        except metadata.PackageNotFoundError as error:
            raise missing(str(error.name or name), extra) from error
    return dict(sorted(found.items()))


def _collect(name: str, found: dict[str, str]) -> None:
    key = _canonical(name)
    if key in found or key in UNCALLED:
        return
    distribution = metadata.distribution(name)
    found[key] = distribution.version
    for required in _required(distribution):
        _collect(required, found)


def _required(distribution: metadata.Distribution) -> Iterator[str]:
    """Names that a distribution requires here, without its extras."""
    for line in distribution.requires or ():
        wanted, _, marker = line.partition(";")
        if not marker or _holds(marker.strip()):
            yield _NAME.match(wanted.strip())[0]  # type: ignore[index]


def _holds(marker: str) -> bool:
    """Whether an environment marker is true of this interpreter, no extra being asked for."""
    from packaging.markers import InvalidMarker, Marker

    try:
        return Marker(marker).evaluate({"extra": ""})
    except InvalidMarker:
        return False


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(pins: dict[str, str]) -> str:
    """The text of requirements.txt; a build of a version, as torch's `+cpu`, is not named."""
    lines = [f"{name}=={version.partition('+')[0]}" for name, version in pins.items()]
    return "\n".join(lines) + "\n"


def wheel(name: str) -> tuple[str, bytes]:
    """An installed library as the wheel that it came from, the same bytes each time.

    Raises:
        UserError: MW-801 when it is not installed.
    """
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise missing(name, "serve") from error
    stem = _stem(distribution)
    about = _parsed(distribution.read_text("WHEEL") or "")
    tags = about.get("Tag", ["py3-none-any"])
    files = dict(_installed(distribution))
    files[f"{stem}.dist-info/WHEEL"] = _wheel_file(tags, about)
    return f"{stem}-{_compressed(tags)}.whl", _archive(files, f"{stem}.dist-info")


@cache
def own_wheel() -> tuple[str, bytes]:
    """This very package as a wheel: what measured the bundle is what serves it."""
    root = Path(__file__).parents[1]
    stem = f"{OURS}-{__version__}"
    files = {
        f"{OURS}/{path.relative_to(root).as_posix()}": path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
        and not path.is_relative_to(root / "samples")
    }  # fmt: skip
    info = f"{stem}.dist-info"
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {OURS}\nVersion: {__version__}\nLicense: Apache-2.0\n"
    ).encode()
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nmw = modelwright.cli.main:main\n"
    files[f"{info}/WHEEL"] = _wheel_file(["py3-none-any"], {})
    return f"{stem}-py3-none-any.whl", _archive(files, info)


def _stem(distribution: metadata.Distribution) -> str:
    """NAME-VERSION as its own files have it."""
    for file in distribution.files or ():
        if file.parts[0].endswith(".dist-info"):
            return file.parts[0].removesuffix(".dist-info")
    return f"{re.sub('[^A-Za-z0-9.]+', '_', distribution.metadata['Name'])}-{distribution.version}"


def _installed(distribution: metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    """Files of a distribution as a wheel holds them: no scripts, no compiled Python, no records of
    how it was installed."""
    left_out = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "WHEEL"}
    for file in distribution.files or ():
        name = file.as_posix()
        if name.startswith("..") or file.suffix == ".pyc" or "__pycache__" in file.parts:
            continue
        if ".dist-info" in file.parts[0] and file.name in left_out:
            continue
        path = Path(str(file.locate()))
        if path.is_file():
            yield name, path.read_bytes()


def _archive(files: dict[str, bytes], info: str) -> bytes:
    """A wheel's bytes, RECORD among them."""
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in sorted(files.items())]
    record.append(f"{info}/RECORD,,")
    everything = {**files, f"{info}/RECORD": ("\n".join(record) + "\n").encode()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in sorted(everything.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = (0o755 if name.endswith(".so") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data, compresslevel=1)
    return out.getvalue()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _parsed(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def _wheel_file(tags: Iterable[str], about: dict[str, Any]) -> bytes:
    pure = about.get("Root-Is-Purelib", ["true"])[0]
    lines = ["Wheel-Version: 1.0", f"Generator: {OURS}", f"Root-Is-Purelib: {pure}"]
    return "\n".join([*lines, *(f"Tag: {tag}" for tag in tags), ""]).encode()


def _compressed(tags: Iterable[str]) -> str:
    """`cp311-cp311-a`, `cp311-cp311-b` to `cp311-cp311-a.b`, as file names have them."""
    parts = [tag.split("-") for tag in tags]
    return "-".join(".".join(dict.fromkeys(one[place] for one in parts)) for place in range(3))
