"""The page to try a model: whole in one file, typed by the bundle, and safe."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from modelwright.serve import create_app
from modelwright.serve.page import answers, asks
from modelwright.testing.doubles import FakeBundle


def fetch(*bundles: FakeBundle) -> tuple[str, str]:
    with TestClient(create_app(list(bundles))) as client:
        response = client.get("/")
        assert response.headers["content-type"].startswith("text/html")
        return response.text, response.headers["content-security-policy"]


def known(html: str) -> dict:
    return json.loads(re.search(r'id="known">(.*?)</script>', html, re.DOTALL).group(1))


def test_only_the_pages_own_style_and_script_may_run():
    html, policy = fetch(FakeBundle())
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    for text in (style, script):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_nothing_is_fetched_from_elsewhere():
    html, _ = fetch(FakeBundle())
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", html)
    assert "@import" not in html
    assert "url(" not in html.replace('href="data:,"', "")
    assert "innerHTML" not in html
    assert " style=" not in html
    assert "onclick=" not in html


def test_a_bundles_words_cannot_end_the_script(tmp_path: Path):
    label = "</script><script>alert(1)</script>&"
    html, _ = fetch(FakeBundle((label, "b"), name="<b>").save(tmp_path))
    assert html.count("</script>") == 2
    assert known(html)["models"][0]["name"] == "<b>"


@pytest.mark.parametrize(
    ("bundle", "form", "shown"),
    [
        (FakeBundle(), "text", "label"),
        (FakeBundle(multi_label=True), "text", "labels"),
        (FakeBundle(pair=True), "pair", "label"),
        (FakeBundle(task="token-classification"), "text", "entities"),
        (FakeBundle(task="text-regression"), "text", "number"),
        (FakeBundle(task="image-classification"), "image", "label"),
    ],
)
def test_the_form_and_the_answer_follow_the_bundles_schemas(
    bundle: FakeBundle, form: str, shown: str
):
    is_image = bundle.task.modality == "image"
    assert asks(bundle.manifest["input"], accepts_files=is_image) == form
    assert answers(bundle.manifest["output"]) == shown


def test_a_shape_that_nobody_foresaw_is_asked_and_shown_as_json():
    assert (
        asks({"type": "object", "properties": {"x": {"type": "number"}}}, accepts_files=False)
        == "json"
    )
    assert answers({"type": "object", "properties": {"x": {"type": "array"}}}) == "json"


def test_the_examples_are_the_bundles_golden_inputs(tmp_path: Path):
    html, _ = fetch(FakeBundle().save(tmp_path))
    assert "银行卡丢了怎么办" in known(html)["models"][0]["examples"]


def test_every_word_is_there_in_both_languages():
    html, _ = fetch(FakeBundle())
    words = known(html)["words"]
    assert words["en"].keys() == words["zh"].keys()
    used = set(re.findall(r'data-word="(\w+)"', html)) | set(re.findall(r'\bword\("(\w+)"', html))
    assert used <= words["en"].keys()
