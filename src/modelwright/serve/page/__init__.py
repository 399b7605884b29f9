"""The page at `/`: one file, typed by the bundles, that needs no network and no library.

`render` puts style, script and what is known of the models into the HTML. The script is the only
one that may run: `CSP` allows it by its hash. Everything a user or a model says is set as text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwright.serve._model import ServedModel

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "page.css").read_text(encoding="utf-8")
_WORDS = (_FOLDER / "words.json").read_text(encoding="utf-8")
_SCRIPT = (_FOLDER / "page.js").read_text(encoding="utf-8")
_MAX_EXAMPLE_BYTES = 50_000


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


CSP = "; ".join(
    (
        "default-src 'none'",
        f"script-src {_hash(_SCRIPT)}",
        f"style-src {_hash(_STYLE)}",
        "connect-src 'self'",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def render(models: Sequence[ServedModel], *, keyed: bool = False) -> str:
    """The whole page; `keyed` where the commands it shows need a key."""
    told = [about(model) for model in models]
    known = {"models": told, "words": json.loads(_WORDS), "keyed": keyed}
    page = (_FOLDER / "page.html").read_text(encoding="utf-8")
    for mark, text in (
        ("/*STYLE*/", _STYLE),
        ("/*SCRIPT*/", _SCRIPT),
        ("/*KNOWN*/", _inside_script(known)),
    ):
        before, _, after = page.partition(mark)
        page = before + text + after
    return page


def about(model: ServedModel) -> dict[str, Any]:
    """What the page must know of a model to ask it and to show its answer."""
    manifest = model.manifest
    quality = manifest.get("quality") or {}
    main = (quality.get("metrics") or {}).get(quality.get("main", ""), {})
    return {
        "name": model.name,
        "version": model.version,
        "task": manifest["task"],
        "variant": model.bundle.variant.get("name", ""),
        "asks": asks(manifest["input"], accepts_files=model.accepts_files),
        "answers": answers(manifest["output"]),
        "parameters": list(model.parameters_schema["properties"]),
        "maxLength": _longest(manifest["input"]),
        "labels": len(manifest.get("labels") or ()),
        "metric": {"name": quality.get("main", ""), "value": main.get("value")},
        "examples": [
            example["input"]
            for example in model.examples
            if len(json.dumps(example["input"])) < _MAX_EXAMPLE_BYTES
        ],
    }


def asks(schema: Mapping[str, Any], *, accepts_files: bool) -> str:
    """The form that an input schema needs: image, pair, text, or json where nothing fits."""
    if accepts_files:
        return "image"
    for branch in schema.get("anyOf", [schema]):
        if branch.get("type") == "string":
            return "text"
        if {"text", "text_pair"} <= branch.get("properties", {}).keys():
            return "pair"
    return "json"


def answers(schema: Mapping[str, Any]) -> str:
    """How an answer is shown: entities, labels, label, number, or json where nothing fits."""
    properties = schema.get("properties", {})
    for name, shown in (("entities", "entities"), ("labels", "labels"), ("label", "label")):
        if name in properties:
            return shown
    numbers = [key for key, part in properties.items() if part.get("type") == "number"]
    return "number" if len(numbers) == 1 else "json"


def _longest(schema: Mapping[str, Any]) -> int:
    for branch in schema.get("anyOf", [schema]):
        for part in (branch, *branch.get("properties", {}).values()):
            if "maxLength" in part:
                return int(part["maxLength"])
    return 0


def _inside_script(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
