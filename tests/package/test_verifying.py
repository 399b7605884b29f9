"""Verify finds what changed, replays golden rows, and opens nothing of a hostile folder."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.artifacts.bundle import content_version, is_inside, read_bundle, seal_bundle
from modelwright.engines import Bundle
from modelwright.errors import UserError
from modelwright.package.verifying import difference, read_golden, replay, verify

Edit = Callable[[dict[str, Any]], Any]


def manifest_of(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))


def edit(bundle: Path, change: Edit, *, sealed: bool = False) -> None:
    """Change bundle.json as somebody would who hopes not to be noticed."""
    manifest = manifest_of(bundle)
    change(manifest)
    if sealed:
        manifest["version"] = content_version(manifest)
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")


def problems_of(bundle: Path) -> list[str]:
    found = verify(bundle)
    assert not found.holds
    assert found.variants == {}, "a changed bundle must not be opened"
    assert {problem.code for problem in found.problems} == {"MW-602"}
    return [problem.seen for problem in found.problems]


# -- an honest bundle -----------------------------------------------------------------------------
def test_the_bundle_that_was_packaged_holds(tiny_bundle: Path) -> None:
    found = verify(tiny_bundle)
    assert found.problems == []
    assert found.holds
    assert found.variants == {"torch-fp32": 8, "onnx-fp32": 8, "onnx-int8": 8}
    assert found.licences == ["base scratch:tiny: yours"]
    assert found.version == manifest_of(tiny_bundle)["version"]


def test_a_bundle_may_be_moved_and_copied(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "其他 place" / "b"))
    assert verify(copy).holds


def test_a_variant_whose_runtime_is_missing_is_passed_over(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
        monkeypatch.setitem(sys.modules, name, None)
    found = verify(bundle)
    assert found.holds
    assert found.variants == {"torch-fp32": None, "onnx-fp32": 8, "onnx-int8": 8}


def test_a_licence_that_is_not_free_is_remarked_on(bundle: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["base"] = {"id": "acme/tiny", "licence": "cc-by-nc-4.0"}

    edit(bundle, change, sealed=True)
    (remark,) = verify(bundle).licences
    assert "cc-by-nc-4.0" in remark
    assert "check" in remark


# -- changed files --------------------------------------------------------------------------------
def files_of(bundle: Path) -> list[str]:
    return sorted(manifest_of(bundle)["files"])


def test_every_changed_file_is_found(bundle: Path) -> None:
    for name in files_of(bundle):
        path = bundle / name
        before = path.read_bytes()
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        (seen,) = problems_of(bundle)
        assert seen.startswith(name + " has sha256")
        path.write_bytes(before)
    assert verify(bundle).holds


def test_every_missing_file_is_found(bundle: Path) -> None:
    for name in files_of(bundle):
        (bundle / name).rename(bundle.parent / "away")
        assert problems_of(bundle) == [f"{name} is missing"]
        (bundle.parent / "away").rename(bundle / name)


@pytest.mark.parametrize("name", ["extra.txt", "variants/torch-fp32/model.bin", ".hidden", "a/b/c"])
def test_a_file_that_was_not_packaged_is_found(bundle: Path, name: str) -> None:
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_bytes(b"")
    assert problems_of(bundle) == [f"{name} is not declared in bundle.json"]


@pytest.mark.parametrize("key", ["labels", "default", "quality", "task_spec", "lineage", "input"])
def test_an_edited_bundle_json_is_found(bundle: Path, key: str) -> None:
    def change(manifest: dict[str, Any]) -> None:
        before = manifest[key]
        manifest[key] = before[::-1] if isinstance(before, (list, str)) else {**before, "x": 1}

    edit(bundle, change)
    assert problems_of(bundle) == ["bundle.json does not match its own version"]


def test_all_that_changed_is_told_at_once(bundle: Path) -> None:
    (bundle / "card.md").unlink()
    (bundle / "more.md").touch()
    edit(bundle, lambda manifest: manifest.update(name="other"))
    assert len(problems_of(bundle)) == 3


# -- hostile bundles ------------------------------------------------------------------------------
def refused(bundle: Path, *, expected: str = "") -> None:
    for act in (read_bundle, verify, Bundle.open):
        with pytest.raises(UserError) as caught:
            act(bundle)
        assert caught.value.problem.code == "MW-601"
        assert expected in caught.value.problem.seen
        assert caught.value.problem.fix


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"x"', "3", "\ufeff{}", "{'a': 1}"])
def test_a_bundle_json_that_holds_no_object_is_refused(bundle: Path, text: str) -> None:
    (bundle / "bundle.json").write_text(text, encoding="utf-8")
    refused(bundle)


def test_bytes_that_are_no_text_are_refused(bundle: Path) -> None:
    (bundle / "bundle.json").write_bytes(b"\xff\xfe\x00\x80")
    refused(bundle, expected="cannot be read")


KEYS = [
    "schema",
    "name",
    "version",
    "task",
    "task_spec",
    "variants",
    "default",
    "files",
    "input",
    "output",
]


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_refused(bundle: Path, key: str) -> None:
    edit(bundle, lambda manifest: manifest.pop(key), sealed=key != "version")
    refused(bundle, expected=key)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [None, 3.5, [], "x"])
def test_a_key_of_another_type_is_refused(bundle: Path, key: str, value: Any) -> None:
    if isinstance(value, str) and key in {"name", "version", "task", "default"}:
        pytest.skip("text is what it should be")
    edit(bundle, lambda manifest: manifest.update({key: value}), sealed=key != "version")
    refused(bundle)


@pytest.mark.parametrize("schema", [0, 2, 99, -1, "1"])
def test_another_schema_is_refused(bundle: Path, schema: Any) -> None:
    edit(bundle, lambda manifest: manifest.update(schema=schema), sealed=True)
    refused(bundle)


OUTSIDE = ["../secret", "/etc/passwd", "a/../../secret", "..", "a\\b", "", "C:\\x"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_file_outside_the_bundle_is_refused(bundle: Path, name: str) -> None:
    edit(bundle, lambda manifest: manifest["files"].update({name: "0" * 64}), sealed=True)
    refused(bundle, expected="outside")


@pytest.mark.parametrize(
    "name", ["../../elsewhere", "/tmp/elsewhere", "a/b", "..", "", ".", 3, None]
)
@pytest.mark.parametrize("key", ["name", "engine"])
def test_a_variant_that_points_elsewhere_is_refused(bundle: Path, key: str, name: Any) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["variants"][0][key] = name
        manifest["default"] = manifest["variants"][0]["name"]

    edit(bundle, change, sealed=True)
    refused(bundle)


def test_a_bundle_without_variants_is_refused(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest.update(variants=[]), sealed=True)
    refused(bundle, expected="no variant")
    edit(bundle, lambda manifest: manifest.update(variants=["onnx-fp32"]), sealed=True)
    refused(bundle)


def test_a_folder_that_is_no_bundle_says_where_one_is(bundle: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_bundle(bundle.parent)
    assert str(bundle) in caught.value.problem.fix
    refused(bundle.parent / "nowhere")


@given(st.text(max_size=30))
def test_a_declared_name_that_is_inside_never_leads_out(name: str) -> None:
    root = Path("some/bundle").resolve()
    if is_inside(name) and "\x00" not in name:
        assert root in [*(root / name).resolve().parents, (root / name).resolve()]


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["task_spec"].pop("labels"),
        lambda m: m["task_spec"].update(unknown=1),
        lambda m: m["task_spec"].update(labels=3),
        lambda m: m["task_spec"].pop("name"),
    ],
)
def test_a_task_that_cannot_be_restored_is_a_damaged_bundle(bundle: Path, change: Edit) -> None:
    edit(bundle, change, sealed=True)
    with pytest.raises(UserError) as caught:
        Bundle.open(bundle)
    assert caught.value.problem.code == "MW-602"


@pytest.mark.parametrize("variant", ["torch-fp32", "onnx-fp32", "onnx-int8"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "garbage"])
def test_a_damaged_model_file_is_told_and_not_a_trace(
    bundle: Path, variant: str, damage: str
) -> None:
    name = "model.safetensors" if variant.startswith("torch") else "model.onnx"
    path = bundle / "variants" / variant / name
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(
            {"empty": b"", "cut": data[: len(data) // 2], "garbage": b"x" * 99}[damage]
        )
    with pytest.raises(UserError) as caught:
        Bundle.open(bundle, variant)
    assert caught.value.problem.code == "MW-602"
    assert "mw verify" in caught.value.problem.fix


@pytest.mark.parametrize("name", ["tokenizer.json", "encoder.json"])
def test_a_damaged_tokenizer_is_told_and_not_a_trace(bundle: Path, name: str) -> None:
    (bundle / "tokenizer" / name).write_text("{}")
    with pytest.raises(UserError) as caught:
        Bundle.open(bundle, "onnx-fp32")
    assert caught.value.problem.code == "MW-602"


def test_an_unknown_variant_is_told_with_the_nearest_one(bundle: Path) -> None:
    with pytest.raises(UserError) as caught:
        Bundle.open(bundle, "onnx-fp23")
    assert caught.value.problem.code == "MW-605"
    assert "onnx-fp32" in caught.value.problem.fix


# -- golden rows ----------------------------------------------------------------------------------
def test_golden_rows_are_real_rows_with_the_answer_of_every_variant(tiny_bundle: Path) -> None:
    rows = list(read_golden(tiny_bundle))
    manifest = manifest_of(tiny_bundle)
    assert len(rows) == len({row["input"] for row in rows}) == 8
    for row in rows:
        assert set(row["outputs"]) == {entry["name"] for entry in manifest["variants"]}
        assert row["output"] == row["outputs"][manifest["default"]]


@pytest.mark.parametrize("variant", ["torch-fp32", "onnx-fp32", "onnx-int8"])
def test_golden_rows_give_their_answers_again(tiny_bundle: Path, variant: str) -> None:
    problems, rows = replay(tiny_bundle, variant)
    assert problems == []
    assert rows == 8


def test_a_golden_row_that_answers_differently_is_told_with_its_line(bundle: Path) -> None:
    rows = list(read_golden(bundle))
    wrong = "gift_card" if rows[2]["output"]["label"] != "gift_card" else "refund_status"
    for answer in (rows[2]["output"], *rows[2]["outputs"].values()):
        answer["label"] = wrong
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"
    (bundle / "golden.jsonl").write_text(text, encoding="utf-8")
    seal_bundle(bundle, manifest_of(bundle))
    found = verify(bundle)
    assert {problem.code for problem in found.problems} == {"MW-603"}
    assert [problem.line for problem in found.problems] == [3, 3, 3]
    assert wrong in found.problems[0].expected


@pytest.mark.parametrize(
    ("expected", "answer", "same"),
    [
        ({"label": "a", "score": 0.5}, {"label": "a", "score": 0.51}, True),
        ({"label": "a", "score": 0.5}, {"label": "a", "score": 0.6}, False),
        ({"label": "a"}, {"label": "b"}, False),
        ({"label": "a"}, {}, False),
        ({"value": 1000.0}, {"value": 1010.0}, True),
        ({"value": 1000.0}, {"value": 1100.0}, False),
        ({"entities": [{"start": 1, "label": "X"}]}, {"entities": []}, False),
        ({"entities": [{"start": 1, "label": "X"}]}, {"entities": [{"start": 2, "label": "X"}]}, False),
        ({"entities": [{"start": 900}]}, {"entities": [{"start": 901}]}, False),
        ({"labels": ["a"]}, {"labels": ["a"]}, True),
        ({"score": 0.5}, {"score": float("nan")}, False),
        ({"score": 0.5}, {"score": None}, False),
    ],
)  # fmt: skip
def test_answers_are_the_same_up_to_rounding(expected: Any, answer: Any, same: bool) -> None:
    assert (difference(expected, answer, 0.02) == "") is same
