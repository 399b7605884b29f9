"""The report's chart of a compression as a browser runs it; skipped where there is no chromium."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwright.pipeline.page import render

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="chromium is not installed"),
]


def _kinds() -> dict[str, Any]:
    """The samples of the page's own test."""
    path = Path(__file__).with_name("test_page_compression.py")
    spec = importlib.util.spec_from_file_location("page_samples", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.KINDS


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for kind, build in _kinds().items():
        folder = tmp_path_factory.mktemp(kind)
        (folder / "details").mkdir()
        (folder / "details" / "compression.json").write_text(json.dumps(build()), "utf-8")
        found[kind] = render(folder)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)


def opened(browser: Any, path: Path, width: int, faults: list[str], locale: str = "en") -> Any:
    page = browser.new_page(viewport={"width": width, "height": 900}, locale=locale)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.on("dialog", lambda dialog: faults.append(dialog.message) or dialog.dismiss())
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("width", [1200, 390])
def test_a_point_tells_its_figures_to_mouse_keyboard_and_both_languages(
    browser: Any, reports: dict[str, Path], width: int
) -> None:
    faults: list[str] = []
    page = opened(browser, reports["met"], width, faults)
    tip, chosen = page.locator("#small .tip"), page.locator("#small .dot.chosen")
    assert tip.inner_text() == ""
    chosen.hover()
    assert "0.40 / 0.48 ms" in tip.inner_text()
    assert "loses at most 0.71 points: proven" in tip.inner_text()
    page.locator("#small h2").hover()
    assert tip.inner_text() == ""
    chosen.focus()
    page.keyboard.press("ArrowRight")
    assert tip.inner_text().startswith("whole network <script>"), "shown as it is, not run"
    assert "drop not tested" in tip.inner_text()
    page.get_by_role("button", name="中文").click()
    chosen.click()
    assert "至多下降 0.71 个百分点：已证明" in tip.inner_text()
    assert faults == []
    page.close()


def test_the_table_is_copied_as_tab_separated_text(browser: Any, reports: dict[str, Path]) -> None:
    faults: list[str] = []
    page = opened(browser, reports["met"], 1200, faults)
    page.get_by_role("button", name="Copy the table").click()
    assert page.locator("#small .copied").is_visible()
    page.evaluate(
        "document.body.appendChild(Object.assign(document.createElement('textarea'), {id: 'into'}))"
    )
    page.locator("#into").focus()
    page.keyboard.press("Control+v")
    lines = page.locator("#into").input_value().splitlines()
    assert lines[0].split("\t")[:4] == ["Model", "Form", "p50 ms", "p95 ms"]
    assert [len(line.split("\t")) for line in lines] == [9] * 5
    assert lines[2].split("\t")[-1] == "0.71"
    assert faults == []
    page.close()


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("kind", ["met", "nearest", "tagging", "images", "single", "costly"])
def test_every_kind_fits_and_its_circles_lie_inside_the_chart(
    browser: Any, reports: dict[str, Path], width: int, kind: str
) -> None:
    faults: list[str] = []
    page = opened(browser, reports[kind], width, faults, "zh-CN")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    box = page.locator("svg.front").bounding_box()
    for dot in page.locator("svg.front .dot").all():
        found = dot.bounding_box()
        assert found["y"] + found["height"] <= box["y"] + box["height"]
        assert found["x"] >= box["x"] - 1
        assert found["x"] + found["width"] <= width
    assert faults == []
    page.close()
