"""Do two forms of one model answer alike? Used where a model is exported or compressed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelwright.metrics.inputs import same_rows, same_shape


def agreement(a_N: ArrayLike, b_N: ArrayLike) -> float:
    """Share of rows in which two sets of answers (class ids, strings, ...) are equal, in [0, 1]."""
    a, b = _readable("a", a_N), _readable("b", b_N)
    for name, array in (("a", a), ("b", b)):
        if array.ndim != 1:
            raise ValueError(f"{name} must have shape (rows,), got {array.shape}")
    same_rows(a=a, b=b)
    return float(np.equal(a, b).mean())


def max_abs_diff(a: ArrayLike, b: ArrayLike) -> float:
    """Largest absolute difference between two arrays of one shape, at least 0.

    Equal infinities (masked logits, say) do not differ; unequal ones differ by infinity.
    """
    first, second = _readable("a", a), _readable("b", b)
    same_shape(a=first, b=second)
    first, second = first.astype(np.float64), second.astype(np.float64)
    differs = first != second
    return float(np.abs(first[differs] - second[differs]).max(initial=0.0))


def _readable(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.size == 0:
        raise ValueError(f"{name} is empty: at least one row is needed")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{name} holds NaN, first at flat position {np.isnan(array).argmax()}")
    return array
