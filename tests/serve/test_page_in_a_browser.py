"""The page as a browser runs it; skipped where there is no chromium."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from modelwright.serve import Settings, create_app
from modelwright.serve._keys import new_key, write_keys
from modelwright.serve.stage import bind
from modelwright.testing.doubles import FakeBundle

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="chromium is not installed"),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("bundles"), Settings()) as found:
        yield found


@contextmanager
def served(folder: Path, settings: Settings) -> Iterator[str]:
    import uvicorn

    tagger = FakeBundle(task="token-classification", name="tagger")
    bundles = [FakeBundle(name="intents").save(folder / "intents"), tagger]
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(create_app(bundles, settings), log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)


@pytest.mark.parametrize("width", [1280, 390])
def test_it_answers_speaks_both_languages_and_fits(browser: Any, url: str, width: int):
    page = browser.new_page(viewport={"width": width, "height": 800}, locale="en")
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.goto(url)
    page.get_by_label("Text").fill("<img src=x onerror=alert(1)> my card")
    page.get_by_label("Text").press("Enter")
    expected = FakeBundle().predict(["<img src=x onerror=alert(1)> my card"])[0]
    page.locator(".best").wait_for()
    assert expected["label"] in page.locator(".best").inner_text()
    assert page.locator(".scores li").count() == 3
    assert page.locator("main img").count() == 0

    page.get_by_role("button", name="中文").click()
    assert page.locator("#ask").inner_text() == "提交"
    page.select_option("#models", "tagger")
    page.get_by_label("文本").fill("😀 Ada flew to 北京 today")
    page.get_by_label("文本").press("Control+Enter")
    page.locator("mark").first.wait_for()
    marked = [text.split("\n")[0] for text in page.locator("mark").all_inner_texts()]
    assert any(text.startswith("Ada") for text in marked)
    page.get_by_label("文本").fill("  ")
    page.locator("#ask").click()
    assert page.get_by_role("alert").inner_text() == "请先输入内容。"
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert faults == []
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_with_keys_the_browser_asks_for_one_and_the_page_works(
    browser: Any, width: int, tmp_path: Path
):
    text, key = new_key("alice", ["predict"], 0.0, "")
    write_keys(tmp_path / "keys.json", [key])
    with served(tmp_path, Settings(keys=tmp_path / "keys.json")) as url:
        context = browser.new_context(viewport={"width": width, "height": 800}, locale="en")
        page = context.new_page()
        with pytest.raises(Exception, match="ERR_INVALID_AUTH_CREDENTIALS"):
            page.goto(url)  # nobody answers the browser's question
        context.close()

        known = {"username": "key", "password": text}
        context = browser.new_context(
            viewport={"width": width, "height": 800}, locale="zh-CN", http_credentials=known
        )
        page = context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        assert page.goto(url).status == 200
        page.get_by_label("文本").fill("my card")
        page.locator("#ask").click()
        page.locator(".best").wait_for()
        for shown in ("#curl", "#python"):
            assert "Bearer YOUR_KEY" in page.locator(shown).inner_text()
            assert text not in page.content()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert faults == []
        context.close()
