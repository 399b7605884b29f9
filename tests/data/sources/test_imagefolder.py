"""Image folders: the class is the folder, damaged images are set aside."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from modelwright.errors import UserError

Image = pytest.importorskip("PIL.Image")


def picture(colour: int, format: str = "PNG", size: int = 24) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((size, size), colour + 20).convert("RGB").save(out, format)
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in ("cat/b.png", "cat/a.jpg", "dog/deep/c.PNG"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(3, "JPEG" if name.endswith("jpg") else "PNG"))
    (root / ".DS_Store").write_bytes(b"junk")
    (root / "cat" / "._a.jpg").write_bytes(b"junk")
    (root / "notes.md").write_text("no image")
    return root


def test_the_class_is_the_folder_and_hidden_files_are_passed_over(read, open_as, folder):
    good, broken = read("imagefolder", folder)
    assert [(row.file, row.values["label"]) for row in good] == [
        ("cat/a.jpg", "cat"),
        ("cat/b.png", "cat"),
        ("dog/deep/c.PNG", "dog"),
    ]
    assert good[0].values["image"] == (folder / "cat/a.jpg").read_bytes()
    assert broken == []
    assert open_as("imagefolder", folder).columns() == ["image", "label"]


def test_a_split_is_addressed_by_its_folder(read, open_as, folder, tmp_path):
    for split in ("train", "test"):
        (tmp_path / "all").mkdir(exist_ok=True)
        (tmp_path / "all" / split).symlink_to(folder)
    assert len(read("imagefolder", tmp_path / "all" / "train")[0]) == 3


def test_a_folder_of_splits_asks_for_one(open_as, tmp_path):
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        (tmp_path / split / "cat" / "a.png").write_bytes(picture(1))
    with pytest.raises(UserError, match=r"MW-201[\s\S]*test: .*/test, train: .*/train"):
        open_as("imagefolder", tmp_path).columns()


@pytest.mark.parametrize("wrapper", ["", "train/", "archive/train/"])
def test_a_zip_reads_like_a_folder_also_with_folders_around(read, tmp_path, wrapper):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(f"{wrapper}cat/a.png", picture(1))
        archive.writestr(f"{wrapper}dog/b.png", picture(2))
        archive.writestr("__MACOSX/cat/._a.png", b"junk")
    good, broken = read("imagefolder", tmp_path / "a.zip")
    assert [row.values["label"] for row in good] == ["cat", "dog"]
    assert good[0].file == f"a.zip/{wrapper}cat/a.png"
    assert broken == []


def test_a_split_inside_a_zip_is_addressed_too(read, open_as, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for split in ("train", "test"):
            archive.writestr(f"{split}/cat/a.png", picture(1))
            archive.writestr(f"{split}/dog/a.png", picture(1))
    assert len(read("imagefolder", tmp_path / "a.zip/test")[0]) == 2
    with pytest.raises(UserError, match=r"train: .*a.zip/train"):
        open_as("imagefolder", tmp_path / "a.zip").columns()


@pytest.mark.parametrize("damage", ["rubbish", "empty", "cut"])
def test_damaged_images_are_set_aside(read, folder, damage):
    whole = picture(5, "JPEG", 200)
    content = {"rubbish": b"not an image", "empty": b"", "cut": whole[: len(whole) // 2]}[damage]
    (folder / "cat" / "a.jpg").write_bytes(content)
    good, broken = read("imagefolder", folder)
    assert len(good) == 2
    assert [(row.reason, row.file) for row in broken] == [("corrupt-image", "cat/a.jpg")]
    assert "object at" not in broken[0].detail
    assert len(read("imagefolder", folder, verify=False)[0]) == 3


def test_images_without_a_class_folder_have_no_label(read, open_as, tmp_path):
    (tmp_path / "a.png").write_bytes(picture(1))
    assert open_as("imagefolder", tmp_path).columns() == ["image"]
    assert list(read("imagefolder", tmp_path)[0][0].values) == ["image"]


def test_a_renamed_class_is_another_content(open_as, folder):
    before = open_as("imagefolder", folder).fingerprint()
    (folder / "cat").rename(folder / "cats")
    assert open_as("imagefolder", folder).fingerprint() != before


def test_a_folder_without_images_is_an_error(open_as, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match="MW-201"):
        open_as("imagefolder", tmp_path).columns()


def test_cifar_is_read_whole(read, data):
    good, broken = read("imagefolder", data / "cifar10_subset" / "test.zip")
    assert len(good) == 1000
    assert broken == []
    assert len({row.values["label"] for row in good}) == 10
