"""A small copy of the data sets, in the same layout, for the programs' --quick.

Every k-th row is taken, so that data sorted by label keeps all its labels.
"""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

TRAIN_ROWS, OTHER_ROWS = 600, 160


def copy_some(data: Path, folder: Path, names: Sequence[str]) -> Path:
    """Copy a few hundred rows of each file of the named data sets; returns `folder`."""
    for name in names:
        for source in sorted((data / name).iterdir()):
            target = folder / name / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(source, target, TRAIN_ROWS if "train" in source.name else OTHER_ROWS)
    return folder


def _copy(source: Path, target: Path, rows: int) -> None:
    name = source.name.removesuffix(".gz")
    if name.endswith(".csv"):
        _write(target, _some_csv(_read(source).decode(), rows).encode())
    elif name.endswith(".conll"):
        sentences = [part for part in _read(source).decode().split("\n\n") if part.strip()]
        _write(target, ("\n\n".join(_every(sentences, rows)) + "\n").encode())
    elif name.endswith("ubyte"):
        _write(target, _some_idx(_read(source), rows))
    else:
        shutil.copyfile(source, target)


def _every(items: Sequence[str], rows: int) -> Sequence[str]:
    """About `rows` items, evenly spaced."""
    return items[:: max(1, len(items) // rows)][:rows]


def _some_csv(text: str, rows: int) -> str:
    head, *body = csv.reader(io.StringIO(text))
    step = max(1, len(body) // rows)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([head, *body[::step][:rows]])
    return out.getvalue()


def _some_idx(content: bytes, rows: int) -> bytes:
    """The first rows of an IDX file (LeCun's format: type, rank, sizes, then bytes)."""
    rank = content[3]
    count, *sides = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    size = 1
    for side in sides:
        size *= side
    kept, start = min(rows, count), 4 + 4 * rank
    head = content[:4] + struct.pack(f">{rank}I", kept, *sides)
    return head + content[start : start + kept * size]


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
