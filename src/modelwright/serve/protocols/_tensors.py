"""Tensors of the Open Inference Protocol: JSON or the binary tensor data extension, and back.

Every input and output here is BYTES or FP64, since models read texts and images and answer with
labels, scores and structures (as JSON in BYTES).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from modelwright.engines._schema import kind_of
from modelwright.serve.problems import ServiceError

_WHOLE = [f"{sign}{bits}" for sign in ("INT", "UINT") for bits in (8, 16, 32, 64)]
DATATYPES = frozenset(["BOOL", "FP16", "FP32", "FP64", "BF16", "BYTES", *_WHOLE])
_TEXT, _NUMBER = "BYTES", "FP64"


# -- in -------------------------------------------------------------------------------------------
def read_tensor(tensor: Any, place: str, binary: bytes | None) -> tuple[str, list[Any]]:
    """A request's tensor: its name and one value for each input.

    Args:
        tensor: the JSON object.
        place: what it is called in errors.
        binary: its data where that is not in the JSON.

    Raises:
        ServiceError: MW-702.
    """
    if not isinstance(tensor, dict):
        raise wrong(place, f"expected an object, got {kind_of(tensor)}")
    name, shape, datatype = (tensor.get(key) for key in ("name", "shape", "datatype"))
    if not isinstance(name, str) or not name:
        raise wrong(f"{place}.name", "is required, a string")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise wrong(f"{place}.datatype", "is required, a datatype of the protocol like BYTES")
    if datatype != _TEXT:
        raise wrong(f"{place}.datatype", f"expected BYTES, got {datatype}")
    sizes = _shape(shape, f"{place}.shape")
    if binary is not None:
        if "data" in tensor:
            raise wrong(f"{place}.data", "is given in JSON and in binary")
        values = _unpack(binary, f"{place}.data")
    elif "data" in tensor:
        values = _flat(tensor["data"], sizes, f"{place}.data")
    else:
        raise wrong(f"{place}.data", "is required and missing")
    if len(values) != math.prod(sizes):
        detail = f"the shape {list(sizes)} holds {math.prod(sizes):,} values, got {len(values):,}"
        raise wrong(f"{place}.data", detail)
    return name, values


def _shape(shape: Any, place: str) -> tuple[int, ...]:
    """[N] or [N, 1]."""
    sizes = shape if isinstance(shape, list) else []
    whole = all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in sizes)
    if not sizes or not whole:
        raise wrong(place, "is required, a list of whole numbers")
    if len(sizes) > 2 or (len(sizes) == 2 and sizes[1] != 1):
        raise wrong(place, f"expected [N] or [N, 1], got {sizes[:4]}")
    return tuple(sizes)


def _flat(data: Any, sizes: Sequence[int], place: str) -> list[Any]:
    """Values in row-major order, from nested or flat data."""
    if not isinstance(data, list):
        raise wrong(place, f"expected a list, got {kind_of(data)}")
    if len(sizes) == 2 and data and all(isinstance(one, list) for one in data):
        for index, one in enumerate(data):
            if len(one) != 1:
                raise wrong(f"{place}[{index}]", f"expected 1 value, got {len(one)}")
        return [one[0] for one in data]
    return data


def _unpack(data: bytes, place: str) -> list[str]:
    """Elements of BYTES: four bytes of length, little-endian, then the bytes."""
    found: list[str] = []
    at = 0
    while at < len(data):
        end = at + 4
        size = int.from_bytes(data[at:end], "little")
        if end + size > len(data):
            raise wrong(place, f"element {len(found)} is longer than the data")
        try:
            found.append(data[end : end + size].decode("utf-8"))
        except UnicodeDecodeError:
            raise wrong(place, f"element {len(found)} is not UTF-8") from None
        at = end + size
    return found


# -- out ------------------------------------------------------------------------------------------
def write_tensor(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """A response's tensor: numbers as FP64, texts as BYTES, structures as JSON in BYTES."""
    if values and isinstance(values[0], Mapping) and _numbers(values):
        return {
            "name": name,
            "datatype": _NUMBER,
            "shape": [len(values), len(values[0])],
            "data": [number for one in values for number in one.values()],
            "parameters": {"labels": json.dumps(list(values[0]), ensure_ascii=False)},
        }
    numeric = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in values)
    if numeric:
        data: list[Any] = [float(one) for one in values]
    else:
        data = [one if isinstance(one, str) else _json(one) for one in values]
    datatype = _NUMBER if numeric else _TEXT
    tensor = {"name": name, "datatype": datatype, "shape": [len(values)], "data": data}
    if not numeric and not all(isinstance(one, str) for one in values):
        tensor["parameters"] = {"content_type": "json"}
    return tensor


def _numbers(values: Sequence[Any]) -> bool:
    """Whether all are objects of numbers with the same keys in the same order."""
    first = list(values[0])
    return bool(first) and all(
        isinstance(one, Mapping)
        and list(one) == first
        and all(isinstance(number, (int, float)) for number in one.values())
        for one in values
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def to_binary(tensor: dict[str, Any]) -> bytes:
    """Move a tensor's data out of the JSON; the tensor then says how many bytes it takes."""
    data = tensor.pop("data")
    if tensor["datatype"] == _NUMBER:
        packed = struct.pack(f"<{len(data)}d", *data)
    else:
        encoded = [one.encode("utf-8") for one in data]
        packed = b"".join(len(one).to_bytes(4, "little") + one for one in encoded)
    tensor["parameters"] = {**tensor.get("parameters", {}), "binary_data_size": len(packed)}
    return packed


def described(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A tensor of a model's metadata, from the JSON Schema of a field."""
    if schema.get("type") in ("number", "integer"):
        return {"name": name, "datatype": _NUMBER, "shape": [-1]}
    if name == "scores" and schema.get("type") == "object":
        return {"name": name, "datatype": _NUMBER, "shape": [-1, len(schema["properties"])]}
    return {"name": name, "datatype": _TEXT, "shape": [-1]}


def wrong(field: str, detail: str, fix: str = "") -> ServiceError:
    """MW-702 for a member of the request."""
    return ServiceError("MW-702", detail, field=field, fix=fix)
