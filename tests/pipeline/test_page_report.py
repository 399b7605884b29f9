"""The HTML report: what it shows, what it survives, and what it never lets through."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from modelwright.pipeline.page import render

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
VOID = {"meta", "img", "br", "input", "link", "wbr", "hr"}


def interval(value: float, width: float = 0.02) -> dict[str, float]:
    return {"value": value, "low": value - width, "high": value + width}


def row(text: str = "where is my card", line: int = 7) -> dict[str, Any]:
    return {"text": text, "file": "test.csv", "line": line, "row": line - 2}


def quality(labels: list[str]) -> dict[str, Any]:
    count = len(labels)
    matrix = [[0] * count for _ in labels]
    for i in range(count):
        matrix[i][i] = 9
        matrix[i][(i + 1) % count] += 1
    classes = [
        {"name": name, "precision": 0.9, "recall": 0.9, "f1": 0.9 - 0.3 * (i == 0), "support": 10,
         "predicted": 10, "train_rows": 40 if i else 5}
        for i, name in enumerate(labels)
    ]  # fmt: skip
    average = {"precision": 0.9, "recall": 0.9, "f1": 0.9, "support": 10 * count}
    below = {"value": "phone", "rows": 20, "score": 0.7, "low": 0.6, "high": 0.8, "below": True}
    return {
        "rows": 10 * count, "train_rows": 35 * count, "main": "accuracy", "wrong": count,
        "metrics": {"accuracy": interval(0.9), "macro_f1": interval(0.88)},
        "classes": classes,
        "averages": dict.fromkeys(("micro", "macro", "weighted"), average),
        "confusion": {
            "labels": labels, "matrix": matrix,
            "pairs": [{"gold": labels[0], "predicted": labels[1], "count": 4, "share": 0.4,
                       "back": 1, "examples": [row() | {"score": 0.9}]}],
        },
        "calibration": {
            "of": "rows", "ece": 0.06, "mean_confidence": 0.95, "accuracy": 0.9,
            "temperature": 1.5, "ece_at_temperature": 0.01, "log_loss": 0.5,
            "log_loss_at_temperature": 0.4,
            "curve": [{"low": 0.9, "high": 1.0, "confidence": 0.95, "accuracy": 0.9, "count": 30}],
        },
        "lengths": {"unit": "tokens", "edges": [0, 5, 10], "counts": [20, 10], "mean": 5.0,
                    "p50": 5, "p95": 9, "longest": 12, "truncated": 0},
        "slices": [
            {"kind": "column", "name": "channel", "metric": "accuracy", "values": [
                below,
                {"value": "web", "rows": 10, "score": 0.9, "low": 0.8, "high": 1.0, "below": False},
            ]}
        ],
        "errors": [row() | {"gold": labels[0], "predicted": labels[1], "score": 0.99,
                            "gold_score": 0.01}],
        "mislabelled": {"count": 3, "rows": [row() | {
            "label": labels[0], "suggested": labels[1], "score": 0.1, "gold_score": 0.1,
            "suggested_score": 0.9}]},
        "baselines": [{
            "name": "linear-tfidf", "metric": "accuracy", **interval(0.8), "train_rows": 99,
            "metrics": {"accuracy": 0.8, "macro_f1": 0.78}, "seconds": 1.0,
            "difference": {**interval(0.1), "p_value": 0.001, "mcnemar_p": 0.001}}],
    }  # fmt: skip


def files(labels: list[str] | None = None) -> dict[str, Any]:
    """The JSON files of a whole run."""
    labels = labels or ["refund", "order", "cancel"]
    found = quality(labels)
    speed = [{"batch": 1, "length": 16, "p50_ms": 1.2, "p95_ms": 1.9, "per_second": 800.0}]
    measured = {"split": "test", "rows": 30, "main": "accuracy",
                "metrics": {"accuracy": interval(0.9)}}  # fmt: skip
    return {
        "run.json": {"status": "done", "bundle": "bundle", "stages": [
            {"name": "data", "key": "data-1", "cached": True, "seconds": 1.0,
             "predicted_seconds": 2.0, "peak_mb": 90},
            {"name": "train", "key": "train-1", "cached": False, "seconds": 60.0,
             "predicted_seconds": 50.0, "peak_mb": 900,
             "predicted_peak_mb": 800}]},
        "ledger.json": {"in": 120, "kept": 100, "repaired": 4, "repairs": {"encoding": 4},
                        "dropped": {"missing-label": 15, "exact-duplicate": 5}},
        "details/dataset.json": {
            "task": "text-classification", "labels": labels, "language": "en",
            "rows": {"train": 60, "validation": 10, "test": 30},
            "audit": {"classes": {name: {"train": 20, "validation": 3, "test": 10}
                                  for name in labels},
                      "leaks": {"removed": True, "duplicates": {"rows": 2, "examples": [
                          {"row": "train.csv:3", "like": "test.csv:9", "between": "train and test"}
                      ]}},
                      "language": {"main": "en", "scripts": {"latin": 1.0}},
                      "warnings": ["look at this"]}},
        "details/training.json": {
            "history": [{"step": s, "epoch": s / 50, "loss": 2 / (1 + s)} for s in range(1, 120)],
            "evaluations": [{"epoch": e, "step": 50 * e, "accuracy": 0.5 + 0.1 * e}
                            for e in (1, 2, 3)],
            "best": {"epoch": 3, "step": 150, "metric": "accuracy", "value": 0.8},
            "rows_per_second": 99.0, "seconds": 60.0, "epochs": 3, "precision": "bf16",
            "parameters": 1000, "trained_parameters": 1000, "settings": {"learning_rate": 1e-4},
            "suspicious": [row("odd", 3) | {"file": "train.csv", "label": labels[0],
                                            "suggested": labels[1], "score": 0.02}]},
        "details/report.json": {
            "schema": 1, "task": "text-classification", "split": "test", "note": "", "rows": 30,
            "main": "accuracy", "metrics": found["metrics"], "limits": [], "seconds": {},
            "machine": {"processor": "a processor", "cores": 2},
            "suites": {"quality": found}},
        "bundle/bundle.json": {
            "schema": 1, "name": "support", "version": "abcdef0123456789", "labels": labels,
            "task": "text-classification", "created": "2026-11-22T07:00:00Z",
            "base": {"id": "minilm-l6", "licence": "Apache-2.0", "digest": "53aa"},
            "variants": [{"name": "onnx-int8", "engine": "onnxruntime", "precision": "int8",
                          "bytes": 23_000_000, "quality": measured, "speed": speed,
                          "parity": {"rows": 30, "agreement": 1.0, "max_abs_diff": 1e-4}}],
            "default": "onnx-int8", "lineage": {"code": "modelwright 0.1.0"}},
    }  # fmt: skip


def write(folder: Path, content: dict[str, Any], recipe: str | None = "name: support\n") -> Path:
    for name, value in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    if recipe is not None:
        (folder / "recipe.resolved.yaml").write_text(recipe, encoding="utf-8")
    return folder


def page(folder: Path, content: dict[str, Any] | None = None, **settings: Any) -> str:
    folder.mkdir(exist_ok=True)
    write(folder, files() if content is None else content, **settings)
    return render(folder).read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Checks that tags are closed in order; gathers tags, ids, links and English text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_it_is_one_well_formed_file_that_needs_no_network(tmp_path: Path) -> None:
    text = page(tmp_path)
    reader = read(text)
    for tag, attributes in reader.tags:
        assert tag not in ("link", "iframe", "object", "base")
        source = attributes.get("src") or ""
        assert not source or source.startswith("data:")
        href = attributes.get("href") or "#"
        assert href.startswith("#")
    assert "@import" not in text
    assert "url(" not in text
    assert not re.search(r"https?://", text)
    assert "default-src 'none'" in text


def test_every_link_within_the_page_leads_somewhere(tmp_path: Path) -> None:
    reader = read(page(tmp_path))
    ids = {attributes["id"] for _, attributes in reader.tags if attributes.get("id")}
    links = {a["href"] for tag, a in reader.tags if tag == "a" and a.get("href")}
    assert {link.removeprefix("#") for link in links if link} <= ids


def test_what_a_user_wants_comes_first(tmp_path: Path) -> None:
    text = page(tmp_path)
    order = [
        "good",
        "sure",
        "fast",
        "data",
        "fix",
        "errors",
        "training",
        "cost",
        "recipe",
        "origin",
    ]
    places = [text.index(f'<section id="{name}"') for name in order]
    assert places == sorted(places)
    assert text.index("90.0") < places[0]


def test_the_page_shows_the_figures_of_the_run(tmp_path: Path) -> None:
    text = page(tmp_path)
    for shown in (
        "88.0% – 92.0%", "linear model on TF-IDF", "onnx-int8", "23.0 MB", "minilm-l6",
        "no label", "test.csv:7", "train.csv:3", "a processor",
    ):  # fmt: skip
        assert shown in text, shown


def hostile(value: Any) -> Any:
    """Every text of the data replaced by markup; keys and our own names are kept."""
    ours = {"status", "metric", "main", "kind", "of", "unit", "split", "task", "created"}
    if isinstance(value, dict):
        return {k: v if k in ours and isinstance(v, str) else hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_markup_in_the_data_stays_text(tmp_path: Path) -> None:
    content = hostile(files([f"{HOSTILE}{i}" for i in range(3)]))
    content["ledger.json"]["dropped"] = {HOSTILE: 7}
    content["ledger.json"]["repairs"] = {HOSTILE: 7}
    content["run.json"]["error"] = {"problems": [dict.fromkeys(
        ("code", "file", "line", "seen", "expected", "fix"), HOSTILE)]}  # fmt: skip
    text = page(tmp_path, content, recipe=f"name: {HOSTILE}  # {HOSTILE}\n")
    reader = read(text)
    assert sum(tag == "script" for tag, _ in reader.tags) == 1
    assert not any("onerror" in attributes for _, attributes in reader.tags)
    assert "<img src=x" not in text
    assert "alert(1)" in "".join(reader.words)


@pytest.mark.parametrize("missing", [*files(), "recipe.resolved.yaml"])
def test_a_missing_file_leaves_a_page_that_names_it(missing: str, tmp_path: Path) -> None:
    content = {name: value for name, value in files().items() if name != missing}
    recipe = None if missing == "recipe.resolved.yaml" else "name: support\n"
    text = page(tmp_path, content, recipe=recipe)
    read(text)
    assert f"<code>{missing}</code>" in text


@pytest.mark.parametrize("damaged", list(files()))
@pytest.mark.parametrize("content", ["{", "[]", "null", "{}", ""])
def test_a_damaged_file_does_not_break_the_page(damaged: str, content: str, tmp_path: Path) -> None:
    read(page(tmp_path, files() | {damaged: content}))


def test_an_empty_folder_has_a_page_too(tmp_path: Path) -> None:
    reader = read(page(tmp_path, {}, recipe=None))
    assert sum(tag == "section" for tag, _ in reader.tags) >= 8


def test_a_failed_run_says_why_at_the_top(tmp_path: Path) -> None:
    content = {
        "run.json": {"status": "failed", "stages": [], "error": {"problems": [{
            "code": "MW-204", "file": "tickets.csv", "line": 4, "seen": "31% of rows were dropped",
            "expected": "at most 5%", "fix": "mend the file"}]}}}  # fmt: skip
    text = page(tmp_path, content)
    assert text.index("31% of rows were dropped") < text.index("<main>")
    for said in ("MW-204", "tickets.csv:4", "at most 5%", "mend the file"):
        assert said in text
    assert "The run failed before this part" in text


def without(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {k: without(v, key) for k, v in value.items() if k != key}
    return [without(item, key) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "key",
    ["audit", "slices", "calibration", "baselines", "mislabelled", "lengths", "errors", "confusion",
     "evaluations", "history", "best", "suspicious", "variants", "speed", "parity", "base",
     "peak_mb", "predicted_seconds", "settings", "machine", "repairs", "leaks", "language"],
)  # fmt: skip
def test_a_part_that_was_not_measured_is_left_out(key: str, tmp_path: Path) -> None:
    read(page(tmp_path, without(files(), key)))


def test_regression_has_its_own_charts(tmp_path: Path) -> None:
    content = files()
    report = content["details/report.json"]
    report["main"] = "spearman"
    report["metrics"] = {"spearman": interval(0.7), "rmse": interval(1.2)}
    report["suites"]["quality"] = {
        "wrong": 3, "metrics": report["metrics"], "baselines": [], "slices": [],
        "residuals": {"edges": [-1, 0, 1], "counts": [2, 3], "bias": 0.1, "deviation": 0.5},
        "points": [{"actual": 1.0, "predicted": 1.5, "text": "a <b>"}],
        "errors": [row() | {"gold": 1.0, "predicted": 4.0, "error": 3.0}],
    }  # fmt: skip
    text = page(tmp_path, content)
    read(text)
    assert "0.700" in text
    assert "Predicted against actual" in text
    assert "1.000 → 1.500 · a &lt;b&gt;" in text


def test_tagged_texts_show_gold_and_predicted_entities(tmp_path: Path) -> None:
    content = files()
    found = content["details/report.json"]["suites"]["quality"]
    entity = {"text": "Paris", "label": "LOC", "right": False}
    found["errors"] = [row() | {"gold": [entity], "predicted": [], "wrong": 1, "score": 0.9}]
    found["tags"] = [found["classes"][0] | {"name": "B-LOC"}]
    found["tag_averages"] = found["averages"]
    found["confusion"] = {"labels": None, "matrix": None, "pairs": [
        {"gold": None, "predicted": "LOC", "count": 3, "share": None, "back": 0, "boundary": False,
         "examples": [row() | {"part": "Paris"}]}]}  # fmt: skip
    text = page(tmp_path, content)
    read(text)
    for said in ("Paris <small>LOC</small>", "B-<wbr>LOC", "no entity"):
        assert said in text


def test_77_classes_fit_into_a_megabyte_and_a_half_with_readable_labels(tmp_path: Path) -> None:
    labels = [f"a_rather_long_class_name_number_{i}" for i in range(77)]
    content = files(labels)
    found = content["details/report.json"]["suites"]["quality"]
    for key in ("errors", "mislabelled"):
        rows = found[key] if key == "errors" else found[key]["rows"]
        rows += [copy.deepcopy(rows[0]) | {"text": "x" * 300} for _ in range(100)]
    text = page(tmp_path, content)
    assert len(text.encode()) < 1_500_000
    assert text.count('class="cell-label"') == 2 * 77
    read(text)


def test_charts_have_tooltips(tmp_path: Path) -> None:
    text = page(tmp_path)
    charts = re.findall(r'<svg class="(?:chart|heat).*?</svg>', text, re.DOTALL)
    assert len(charts) > 10
    assert text.count("<title>") > 20


def test_rendering_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    assert page(tmp_path) == page(tmp_path)


def test_colours_follow_the_readers_setting_and_print(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text
