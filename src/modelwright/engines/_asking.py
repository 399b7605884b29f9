"""A few inputs from a command line: checked like a request, answered at once."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import UserError

if TYPE_CHECKING:
    from modelwright.engines import Bundle


def ask(bundle: Bundle, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Answers for texts, for paths of images, or for pairs written as two texts after each other.

    Raises:
        UserError: MW-606 for an input that the bundle refuses, MW-804 for a missing image,
            MW-805 for half a pair.
    """
    inputs = _inputs(bundle, texts)
    for number, item in enumerate(inputs, start=1):
        if (fault := bundle.fault(item)) is not None:
            where = f" ({fault.field})" if fault.field else ""
            raise UserError(
                "MW-606",
                f"input {number}{where}: {fault.message}",
                expected=f"what {bundle.manifest['name']} reads",
                fix="change that input",
            )
    return bundle.predict(inputs)


def _inputs(bundle: Bundle, texts: Sequence[str]) -> list[Any]:
    if bundle.task.modality == "image":
        return [_image(path) for path in texts]
    if not bundle.task.spec.pair:
        return list(texts)
    if len(texts) % 2:
        raise UserError(
            "MW-805",
            f"{len(texts)} texts were given, the model reads pairs",
            expected="an even number: first, second, first, second, ...",
            fix='mw predict BUNDLE "first text" "second text"',
        )
    return [
        {"text": first, "text_pair": second}
        for first, second in zip(texts[::2], texts[1::2], strict=True)
    ]


def _image(path: str) -> str:
    from modelwright.encoders.image import open_image

    try:
        data = Path(path).read_bytes()
        open_image(data)
    except (OSError, ValueError) as error:
        raise UserError(
            "MW-804",
            f"cannot read {path} as an image: {error}",
            expected="an image file (png, jpeg, ...)",
            fix="check the path",
            file=path,
        ) from error
    return base64.b64encode(data).decode()
