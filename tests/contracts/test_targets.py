"""What every place to run keeps to: the same files each time, three commands, nothing injected."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright import plugs
from modelwright.artifacts.bundle import read_bundle
from modelwright.artifacts.capacity import Capacity, Load
from modelwright.deploy.ordering import Choices, Order, ordered
from modelwright.deploy.policy import Policy
from modelwright.errors import UserError

TARGETS = plugs.names("target")
MARK = "hostile"
POLICY = Policy(minimum=1, maximum=12)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HEAVY = re.compile(r"(^|/)(wheels|bundle)/")


def _capacity(bundle: Path, machine: str = "a processor") -> Capacity:
    manifest = read_bundle(bundle)
    return Capacity(
        bundle=manifest["name"], version=manifest["version"], variant=manifest["default"],
        machine=machine, cores=2, slo_p99_ms=50.0, per_second=200.0, memory_mb=300.0,
        ready_seconds=2.5, loads=(Load(200.0, 1.0, 9.0, 45.0, 1.5, 1.72),),
    )  # fmt: skip


def _files(target: str, order: Order) -> dict[str, str | bytes | Path]:
    """Everything but the wheels and the bundle, which are bytes and not made of the order's words."""
    plug = plugs.load("target", target)
    place = plug.cls(plug.config())
    files = dict(place.files(order)) | {"README.md": place.readme(order)}
    return {name: content for name, content in files.items() if not _HEAVY.search(name)}


@pytest.fixture(scope="module")
def copy(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a bundle that records, for which most is written."""
    folder = tmp_path_factory.mktemp("hostile") / "bundle"
    shutil.copytree(tiny_bundle, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["serve"]["record"] = {"share": 1.0, "inputs": True}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def order(copy: Path) -> Order:
    return ordered(copy, _capacity(copy), POLICY, Choices())


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_order_gives_the_same_bytes(target: str, order: Order) -> None:
    assert _files(target, order) == _files(target, order)


@pytest.mark.parametrize("target", TARGETS)
def test_every_path_stays_in_the_folder_and_every_text_ends_with_a_line(
    target: str, order: Order
) -> None:
    for name, content in _files(target, order).items():
        assert re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", name), name
        assert ".." not in name
        if isinstance(content, str):
            assert content.endswith("\n"), name
            assert not re.search(r"[ \t]+$", content, re.MULTILINE), name


@pytest.mark.parametrize("target", TARGETS)
def test_three_commands_at_most_and_they_stand_in_the_readme(target: str, order: Order) -> None:
    plug = plugs.load("target", target)
    place = plug.cls(plug.config())
    commands = place.commands(order)
    assert 1 <= len(commands) <= 3
    readme = place.readme(order)
    for sentence, command in commands:
        assert sentence.endswith(".")
        assert command.split("\n")[0] in readme
    assert "Measured: " in readme


@pytest.mark.parametrize("target", TARGETS)
def test_the_arithmetic_stands_beside_the_numbers(target: str, order: Order) -> None:
    text = "\n".join(text for text in _files(target, order).values() if isinstance(text, str))
    assert "200.0 requests/s with the 99th percentile within 50 ms" in text
    sizing = order.sizing
    whys = [sizing.cores.why, sizing.in_flight.why, sizing.per_minute.why]
    assert any(why in text for why in whys)


def _shape(value: Any) -> Any:
    """What a document is made of, without its texts and numbers."""
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shape(inner) for inner in value]
    return type(value).__name__


def _shapes(files: dict[str, str | bytes | Path]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, content in files.items():
        if not isinstance(content, str):
            continue
        if name.endswith((".yaml", ".yml", ".json")) and "dashboard" not in name:
            found[name] = [_shape(one) for one in yaml.load_all(content, _LOADER)]
        else:
            found[name] = [line.split("#")[0].strip() != "" for line in content.splitlines()]
    return found


HOSTILE = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(list("\n\r\"'`$#{}%\\:;&|<>")),
    min_size=1, max_size=24,
).map(lambda text: f"{text}{MARK}{text}") | st.sampled_from(
    [f"a\nRUN {MARK}", f'"\n  evil: {MARK}', f"${{{MARK}}}", f"{{{{ {MARK} }}}}", f"$({MARK})",
     f"`{MARK}`", f"%n{MARK}", f"'; {MARK} #", f"名字{MARK}😀", f"a\u2028{MARK}", f"\x00{MARK}",
     f"---\n{MARK}: 1", f"a\r\n{MARK}", f"*{MARK}", f"!Sub '${{{MARK}}}'", f"<script>{MARK}</script>"]
)  # fmt: skip
PLACES = ("name", "version", "task", "label", "default", "licence", "machine", "image", "namespace",
          "receiver")  # fmt: skip


def _hostile_order(bundle: Path, place: str, text: str) -> Order:
    """An order with the text in one place.

    Raises:
        UserError: when that is not accepted.
    """
    manifest = json.loads((bundle / "bundle.json").read_text())
    capacity, choices = _capacity(bundle), Choices()
    if place == "machine":
        capacity = replace(capacity, machine=text)
    elif place in ("image", "namespace", "receiver"):
        choices = replace(choices, **{place: text})
    elif place == "label":
        manifest["labels"] = [text, *manifest["labels"][1:]]
    elif place == "licence":
        manifest["base"] = {"id": text, "licence": text, "digest": text}
    else:
        manifest[place] = text
        capacity = replace(capacity, **{
            {"name": "bundle", "version": "version", "default": "variant"}.get(place, "machine"): text
        })  # fmt: skip
        if place == "default":
            manifest["variants"][0]["name"] = text
    path = bundle / "bundle.json"
    before = path.read_bytes()
    path.write_text(json.dumps(manifest))
    try:
        return ordered(bundle, capacity, POLICY, choices)
    finally:
        path.write_bytes(before)


class Shapes(dict[str, dict[str, Any]]):
    """By target; its repr is short, for hypothesis shows arguments."""

    def __repr__(self) -> str:
        return "Shapes"


@pytest.fixture(scope="module")
def benign(order: Order) -> Shapes:
    return Shapes({target: _shapes(_files(target, order)) for target in TARGETS})


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), HOSTILE)
def test_no_word_of_a_bundle_a_file_or_a_user_becomes_structure(
    copy: Path, benign: Shapes, place: str, text: str
) -> None:
    """It is refused, or it stands in data and comments and every file keeps its shape."""
    try:
        order = _hostile_order(copy, place, text)
    except UserError as error:
        assert error.problem.code in {"MW-601", "MW-605", "MW-620", "MW-622", "MW-627"}
        return
    for target in TARGETS:
        files = _files(target, order)
        if place == "receiver":
            continue  # an accepted address, and one object more
        if re.fullmatch(r"[A-Za-z0-9._/:-]+", text):
            continue  # an accepted name may stand anywhere, and name files
        assert _shapes(files) == benign[target], (target, place, text)
        for name, content in files.items():
            if not name.endswith((".yaml", ".yml", ".json", ".md")) and isinstance(content, str):
                lines = [line for line in content.splitlines() if MARK in line]
                assert all(line.startswith("#") for line in lines), (name, lines)


@pytest.mark.parametrize(
    "place", ["name", "version", "task", "default", "image", "namespace", "receiver"]
)
@pytest.mark.parametrize("text", ["a\nb", "${X}", "{{ x }}", 'a"b', "a'b", "a b", "$(x)", "名"])
def test_names_that_stand_in_commands_and_keys_are_refused(
    copy: Path, place: str, text: str
) -> None:
    with pytest.raises(UserError):
        _hostile_order(copy, place, text)


@pytest.mark.parametrize("section", [{"every_s": "1; hostile"}, {"rows": -1}, {"x": 1}, "hostile"])
def test_a_monitor_section_that_no_recipe_has_is_refused(
    copy: Path, section: Any, tmp_path: Path
) -> None:
    manifest = json.loads((copy / "bundle.json").read_text()) | {"monitor": section}
    (tmp_path / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"monitor of bundle\.json cannot be used"):
        ordered(tmp_path, _capacity(tmp_path), POLICY, Choices())
