"""Where the bytes of a packaged form go: a ledger by tensor, read from the files themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

Entry = dict[str, Any]
"""`{"tensor", "dtype", "shape", "bytes"}`; the rest of a file has no dtype and no shape."""

SMALL = 1024
"""Tensors below this many bytes are told in one sum."""
_DEQUANTIZING = ("Convert", "Subtract", "Multiply", "Reshape", "FakeQuantize")


def size_ledger(folder: Path) -> list[Entry]:
    """Every tensor of a form's folder by falling size, then its other files.

    Reads safetensors, ONNX (its external data, too) and OpenVINO's IR. The bytes of all entries
    together are those of the folder.
    """
    tensors: list[Entry] = []
    others: list[Entry] = []
    outside: set[str] = set()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.name in outside or (path.suffix == ".bin" and path.with_suffix(".xml").is_file()):
            continue  # told with its graph
        found = _tensors(path)
        inside = [entry for entry in found if not entry["file"]]
        outside |= {entry.pop("file") for entry in found}
        rest = path.stat().st_size - sum(entry["bytes"] for entry in inside)
        if path.suffix == ".xml":
            rest += _beside(path)
        tensors += found
        if rest > 0:
            name = path.relative_to(folder).as_posix()
            others.append(_entry(f"{name} without tensors" if found else name, "", [], rest))
    return _summed(tensors) + sorted(others, key=lambda entry: -entry["bytes"])


def attention_fused(folder: Path) -> int | None:
    """Attention layers that the form runs as one operation; None for a form without a graph."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".onnx":
            import onnx

            nodes = onnx.load(str(path), load_external_data=False).graph.node
            return sum("Attention" in node.op_type for node in nodes)
        if path.suffix == ".xml":
            layers = _ir(path).iter("layer")
            return sum(layer.get("type") == "ScaledDotProductAttention" for layer in layers)
    return None


def _entry(tensor: str, dtype: str, shape: list[int], size: int) -> Entry:
    return {"tensor": tensor, "dtype": dtype, "shape": shape, "bytes": size}


def _summed(tensors: list[Entry]) -> list[Entry]:
    ordered = sorted(tensors, key=lambda entry: -entry["bytes"])
    large = [entry for entry in ordered if entry["bytes"] >= SMALL]
    small = ordered[len(large) :]
    if not small:
        return large
    size = sum(entry["bytes"] for entry in small)
    return [*large, _entry(f"{len(small)} small tensors", "", [], size)]


def _tensors(path: Path) -> list[Entry]:
    readers = {".safetensors": _safetensors, ".onnx": _onnx, ".xml": _openvino}
    reader = readers.get(path.suffix)
    found = reader(path) if reader else ()
    return [{"file": "", **entry} for entry in found]


def _safetensors(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    for name, told in header.items():
        if name != "__metadata__":
            start, end = told["data_offsets"]
            yield _entry(name, told["dtype"].lower(), told["shape"], end - start)


def _onnx(path: Path) -> Iterator[Entry]:
    import onnx

    for tensor in onnx.load(str(path), load_external_data=False).graph.initializer:
        outside = {each.key: each.value for each in tensor.external_data}
        size = int(outside["length"]) if outside else len(tensor.raw_data)
        size = size or tensor.ByteSize()
        dtype = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
        yield _entry(tensor.name, dtype, list(tensor.dims), size) | {
            "file": outside.get("location", "")
        }


# -- OpenVINO ---------------------------------------------------------------------------------------
def _ir(path: Path) -> Element:
    from xml.etree import ElementTree

    return ElementTree.parse(path).getroot()


def _beside(path: Path) -> int:
    """Bytes of an IR's weights beside its graph."""
    weights = path.with_suffix(".bin")
    return weights.stat().st_size if weights.is_file() else 0


def _openvino(path: Path) -> Iterator[Entry]:
    """Constants; two that share their bytes are told once."""
    root = _ir(path)
    layers = {layer.get("id", ""): layer for layer in root.iter("layer")}
    users = {edge.get("from-layer"): edge.get("to-layer", "") for edge in root.iter("edge")}
    seen: set[str] = set()
    for number, layer in layers.items():
        data = layer.find("data")
        if layer.get("type") != "Const" or data is None or data.get("offset") in seen:
            continue
        seen.add(data.get("offset", ""))
        shape = [int(each) for each in data.get("shape", "").split(",") if each.strip()]
        name = _named(number, layers, users)
        yield _entry(name, data.get("element_type", ""), shape, int(data.get("size", 0)))


def _named(number: str, layers: dict[str, Element], users: dict[str | None, str]) -> str:
    """A constant's own name, or the operation that it goes into where it has none."""
    own = layers[number].get("name", "")
    if not own.startswith("Constant_"):
        return own
    while number in users:
        number = users[number]
        if layers[number].get("type") not in _DEQUANTIZING:
            break
    return f"{layers[number].get('name', own)} ({own})"
