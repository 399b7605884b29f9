"""The page's fixed sentences in both languages, and figures as people read them."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from typing import Any, TypeGuard

from markupsafe import Markup, escape

_PACKAGE = "modelwright.pipeline.page"
LANGUAGES = ("en", "zh")
_JOINT = re.compile(r"([_/.-])(?=\w)")
_SHARES = (
    "accuracy", "f1", "precision", "recall", "ece", "hamming_loss", "token_accuracy",
)  # fmt: skip


@cache
def table() -> dict[str, list[str]]:
    """Key to [English, Chinese]."""
    text = resources.files(_PACKAGE).joinpath("templates/words.json").read_text("utf-8")
    return json.loads(text)


def say(key: str, **values: Any) -> Markup:
    """A sentence in both languages; the page shows one. Values are escaped."""
    return Markup("").join(
        Markup('<span class="{0}" lang="{0}">{1}</span>').format(language, _filled(key, i, values))
        for i, language in enumerate(LANGUAGES)
    )


def plain(key: str, language: str = "en", **values: Any) -> Markup:
    """A sentence in one language, for attributes and text inside charts."""
    return _filled(key, LANGUAGES.index(language), values)


def chart_text(key: str, x: object, y: object, css: str = "", anchor: str = "start") -> Markup:
    """The sentence as two SVG texts, of which the page shows one."""
    shape = Markup('<text x="{}" y="{}" class="{} {}" text-anchor="{}" lang="{}">{}</text>')
    return Markup("").join(
        shape.format(x, y, language, css, anchor, language, plain(key, language))
        for language in LANGUAGES
    )


def known(prefix: str, name: str) -> Markup:
    """The words for a name of the product (metric, stage, reason), or the name itself."""
    key = f"{prefix}.{name}"
    return say(key) if key in table() else Markup("<span>{}</span>").format(name)


def within(prefix: str, name: str) -> Markup:
    """As `known`, for the middle of a sentence: Accuracy becomes accuracy, F1 stays."""
    words = table().get(f"{prefix}.{name}")
    if words is None:
        return known(prefix, name)
    lower = [word[0].lower() + word[1:] if word[1:2].islower() else word for word in words]
    return Markup("").join(
        Markup('<span class="{0}" lang="{0}">{1}</span>').format(language, word)
        for language, word in zip(LANGUAGES, lower, strict=True)
    )


def _filled(key: str, index: int, values: dict[str, Any]) -> Markup:
    sentence = table()[key][index]
    return Markup(sentence).format(**{name: escape(value) for name, value in values.items()})


def is_share(metric: str) -> bool:
    """Whether a metric is a share that is read as percent."""
    return any(metric == name or metric.endswith("_" + name) for name in _SHARES)


def _present(value: object) -> TypeGuard[float]:
    """Whether a file holds the figure."""
    return isinstance(value, (int, float))


def figure(metric: str, value: float | None) -> str:
    """A metric's value: 92.9% for shares, 0.873 otherwise."""
    return percent(value) if is_share(metric) else number(value)


def percent(value: float | None, digits: int = 1) -> str:
    """0.9288 as 92.9%."""
    return f"{100 * value:.{digits}f}%" if _present(value) else "–"


def number(value: float | None) -> str:
    """Three decimals below 10, then fewer."""
    if not _present(value):
        return "–"
    size = abs(value)
    return f"{value:.3f}" if size < 10 else f"{value:.1f}" if size < 1000 else f"{value:,.0f}"


def whole(value: float | None) -> str:
    """Thousands with commas."""
    return f"{value:,.0f}" if _present(value) else "–"


def milliseconds(value: float | None) -> str:
    """Two significant figures or so."""
    if not _present(value):
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """0.4 s, 42 s, 3 min 20 s, 2 h 05 min."""
    if not _present(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def megabytes(size: float | None) -> str:
    """Bytes as MB (10^6)."""
    if not _present(size):
        return "–"
    value = size / 1e6
    return f"{value:.1f} MB" if value < 100 else f"{value:,.0f} MB"


def points(metric: str, value: float) -> str:
    """A difference of a metric: percentage points for shares, with its sign."""
    written = f"{100 * value:+.1f}" if is_share(metric) else f"{value:+.3f}"
    return written.replace("-", "−")


def tick(metric: str, value: float) -> str:
    """A round value on an axis."""
    return f"{100 * value:.4g}%" if is_share(metric) else f"{value:.3g}"


def breakable(name: object) -> Markup:
    """A name that may be broken after _, -, / and ., where a word has no spaces."""
    return Markup(_JOINT.sub(r"\1<wbr>", str(escape(name))))
