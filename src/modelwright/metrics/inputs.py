"""What every measure demands of its arrays, so that nothing wrong is measured in silence.

Each function takes the argument's name, for the error text, and whatever numpy can read as an
array; it returns the array in one known type or raises `ValueError`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Booleans: TypeAlias = NDArray[np.bool_]

# Softmax in half precision sums to 1 only this closely.
_SUM_TOLERANCE = 5e-3
_SHAPES = {1: "(rows,)", 2: "(rows, columns)"}


def reals(name: str, values: ArrayLike, axes: int = 1) -> Floats:
    """Finite numbers with `axes` axes, as float64."""
    array = _filled(name, np.asarray(values), axes)
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name} must hold numbers, got {array.dtype}")
    numbers = array.astype(np.float64, copy=False)
    _refuse(name, ~np.isfinite(numbers), numbers, "finite numbers")
    return numbers


def class_ids(name: str, values: ArrayLike, classes: int | None = None) -> Integers:
    """Class ids (N,), each at least 0 and, where `classes` is given, below it."""
    array = _filled(name, np.asarray(values), axes=1)
    if array.dtype.kind not in "bui":
        raise ValueError(f"{name} must hold whole class ids, got {array.dtype}")
    ids = array.astype(np.int64, copy=False)
    if classes is None:
        _refuse(name, ids < 0, ids, "class ids of at least 0")
        return ids
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}")
    _refuse(name, (ids < 0) | (ids >= classes), ids, f"class ids from 0 to {classes - 1}")
    return ids


def flags(name: str, values: ArrayLike, axes: int = 1) -> Booleans:
    """Booleans, or the numbers 0 and 1, with `axes` axes."""
    array = _filled(name, np.asarray(values), axes)
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name} must hold 0 and 1 or booleans, got {array.dtype}")
    _refuse(name, (array != 0) & (array != 1), array, "0 and 1 or booleans")
    return array.astype(np.bool_, copy=False)


def shares(name: str, values: ArrayLike, axes: int = 1) -> Floats:
    """Numbers from 0 to 1 with `axes` axes."""
    numbers = reals(name, values, axes)
    _refuse(name, (numbers < 0) | (numbers > 1), numbers, "numbers from 0 to 1")
    return numbers


def probabilities(name: str, values: ArrayLike) -> Floats:
    """Class probabilities (N, C); each row sums to 1, give or take half-precision rounding."""
    rows = shares(name, values, axes=2)
    sums = rows.sum(axis=1)
    _refuse(f"the row sums of {name}", np.abs(sums - 1) > _SUM_TOLERANCE, sums, "1 in every row")
    return rows


def same_rows(**arrays: NDArray[np.generic]) -> None:
    """Refuse arrays that differ in their number of rows."""
    (first, rows), *others = [(name, len(array)) for name, array in arrays.items()]
    for name, count in others:
        if count != rows:
            raise ValueError(f"{first} has {rows} rows but {name} has {count}")


def same_shape(**arrays: NDArray[np.generic]) -> None:
    """Refuse arrays that differ in any axis."""
    (first, shape), *others = [(name, array.shape) for name, array in arrays.items()]
    for name, other in others:
        if other != shape:
            raise ValueError(f"{first} has shape {shape} but {name} has {other}")


def _filled(name: str, array: NDArray[Any], axes: int) -> NDArray[Any]:
    if array.size == 0:
        raise ValueError(f"{name} is empty: at least one row is needed")
    if array.ndim != axes:
        raise ValueError(f"{name} must have shape {_SHAPES[axes]}, got {array.shape}")
    return array


def _refuse(name: str, wrong: Booleans, array: NDArray[Any], expected: str) -> None:
    """Raise if any place is `wrong`, naming the first."""
    if not wrong.any():
        return
    place = np.unravel_index(int(wrong.argmax()), wrong.shape)
    where = ", ".join(str(int(index)) for index in place)
    raise ValueError(f"{name} must hold {expected}, got {array[place]} at [{where}]")
