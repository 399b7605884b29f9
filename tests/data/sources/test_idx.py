"""MNIST's idx format: images as PNG, labels and class names found beside them."""

from __future__ import annotations

import gzip
import io
import json
import struct
from pathlib import Path

import pytest

from modelwright.errors import UserError


def write_idx(path: Path, shape: tuple[int, ...], content: bytes) -> None:
    head = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
    data = head + content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    write_idx(tmp_path / "train-images-idx3-ubyte", (2, 2, 3), bytes(range(12)))
    write_idx(tmp_path / "train-labels-idx1-ubyte", (2,), bytes([1, 0]))
    return tmp_path / "train-images-idx3-ubyte"


def pixels(png: bytes) -> list[int]:
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(png))
    return list(image.tobytes())


def test_each_image_is_a_png_with_its_label(read, open_as, pair):
    good, broken = read("idx", pair)
    assert pixels(good[0].values["image"]) == list(range(6))
    assert pixels(good[1].values["image"]) == list(range(6, 12))
    assert [row.values["label"] for row in good] == [1, 0]
    assert broken == []
    assert open_as("idx", pair).columns() == ["image", "label"]


def test_colour_images_keep_their_colours(read, tmp_path):
    write_idx(tmp_path / "a-images-idx4-ubyte", (1, 1, 2, 3), bytes(range(6)))
    good, _ = read("idx", tmp_path / "a-images-idx4-ubyte")
    assert pixels(good[0].values["image"]) == list(range(6))


def test_compressed_labels_are_found_beside_plain_images(read, pair):
    labels = pair.with_name("train-labels-idx1-ubyte")
    pair.with_name(labels.name + ".gz").write_bytes(gzip.compress(labels.read_bytes()))
    labels.unlink()
    assert [row.values["label"] for row in read("idx", pair)[0]] == [1, 0]


def test_labels_can_be_named_or_absent(read, open_as, pair, tmp_path):
    other = tmp_path / "other"
    pair.with_name("train-labels-idx1-ubyte").rename(other)
    assert open_as("idx", pair).columns() == ["image"]
    assert "label" not in read("idx", pair)[0][0].values
    assert read("idx", pair, labels=str(other))[0][0].values["label"] == 1


@pytest.mark.parametrize("names", [["cat", "dog"], {"1": "dog", "0": "cat"}])
def test_class_names_come_from_labels_json(open_as, pair, names):
    pair.with_name("labels.json").write_text(json.dumps(names))
    assert open_as("idx", pair).label_names() == {"label": ["cat", "dog"]}


def test_class_names_that_cannot_be_read_are_an_error(open_as, pair):
    pair.with_name("labels.json").write_text("{}")
    with pytest.raises(UserError, match=r"MW-201 labels.json"):
        open_as("idx", pair).label_names()


def test_a_folder_with_one_pair_is_enough(read, pair):
    assert len(read("idx", pair.parent)[0]) == 2


def test_a_folder_with_two_pairs_asks_which(read, pair):
    write_idx(pair.with_name("t10k-images-idx3-ubyte"), (1, 1, 1), b"a")
    with pytest.raises(UserError, match=r"MW-201[\s\S]*name the file: t10k-images"):
        read("idx", pair.parent)


def test_other_counts_of_labels_are_an_error(read, pair):
    write_idx(pair.with_name("train-labels-idx1-ubyte"), (3,), bytes([1, 0, 2]))
    with pytest.raises(UserError, match="3 labels for 2 images"):
        read("idx", pair)


def test_images_that_the_file_lacks_are_set_aside_each(read, pair):
    write_idx(pair, (2, 2, 3), bytes(range(8)))
    good, broken = read("idx", pair)
    assert len(good) == 1
    assert [(row.reason, row.number) for row in broken] == [("cut-short", 1)]


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x0d\x03", b"\0\0\x08\x01" + bytes(8), b"PNG rubbish"]
)
def test_another_kind_of_file_is_an_error(read, tmp_path, content):
    (tmp_path / "a-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(UserError, match="MW-201"):
        read("idx", tmp_path / "a-images-idx3-ubyte")


def test_fashion_mnist_is_read_whole(read, open_as, data):
    path = data / "fashion_mnist" / "t10k-images-idx3-ubyte.gz"
    good, broken = read("idx", path)
    assert len(good) == 10000
    assert broken == []
    assert good[0].values["label"] == 9
    assert open_as("idx", path).label_names()["label"][9] == "Ankle boot"
