"""What tasks on one or two texts share: reading, encoding and asking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelwright.tasks import Features, RowProblem

TEXT_ALIASES = (
    "text", "sentence", "sentence1", "text1", "question", "content", "review", "utterance",
    "query", "premise", "title", "document", "body", "message", "comment", "tweet", "sms",
    "文本", "内容", "句子", "句子1", "评论", "问题", "标题",
)  # fmt: skip
PAIR_ALIASES = (
    "text_pair", "sentence2", "text2", "hypothesis", "question2", "answer", "文本2", "句子2",
)  # fmt: skip
MAX_CHARACTERS = 200_000


def required_text(value: Any, role: str) -> str:
    """The value as text.

    Raises:
        RowProblem: missing-text, empty-text or wrong-type.
    """
    if value is None:
        raise RowProblem("missing-text", f"{role} is missing")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise RowProblem("wrong-type", f"{role} is {type(value).__name__}, not text")
    if not value.strip():
        raise RowProblem("empty-text", f"{role} is empty")
    return value


def encode_texts(inputs: Sequence[Any], encoder: Any, *, pair: bool) -> list[Features]:
    """Strings, or {"text", "text_pair"} objects, to one feature each."""
    if pair:
        texts = [item["text"] for item in inputs]
        features = encoder.sequences(texts, [item["text_pair"] for item in inputs])
    else:
        features = encoder.sequences(
            [item["text"] if isinstance(item, dict) else item for item in inputs]
        )
    for index, feature in enumerate(features):
        feature["example"] = index
    return features


def text_schema(*, pair: bool) -> dict[str, Any]:
    """JSON Schema of one text (a string, or an object with it) or of a pair."""
    text = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}
    if pair:
        return {
            "type": "object",
            "properties": {"text": text, "text_pair": text},
            "required": ["text", "text_pair"],
            "additionalProperties": False,
        }
    wrapped = {
        "type": "object",
        "properties": {"text": text},
        "required": ["text"],
        "additionalProperties": False,
    }
    return {"anyOf": [text, wrapped]}
