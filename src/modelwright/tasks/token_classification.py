"""Token classification: entities in a text, from tagged words or from character spans.

Rows are words with BIO tags (BIOES and BILOU are understood), or a text with a list of
{start, end, label}. A user sees characters of the text as it was sent, never a tokenizer's pieces.
Long texts are read in overlapping windows; each word is answered by the window in which it stands
farthest from an edge.

    task: token-classification
    data: {source: notes.jsonl, columns: {text: text, spans: entities}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, final

from pydantic import BaseModel, ConfigDict

from modelwright.errors import UserError
from modelwright.tasks import (
    Canonical,
    Features,
    LossSettings,
    Prediction,
    Role,
    Row,
    RowProblem,
    Task,
    TaskSpec,
)
from modelwright.tasks._classes import softmax
from modelwright.tasks._texts import MAX_CHARACTERS, TEXT_ALIASES, required_text
from modelwright.tasks._words import check_entities, cut, cut_at, entities_of, join, tags_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch

    from modelwright.metrics.evidence import SpanEvidence

VERSION = 2
IGNORED = -100


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class TokenClassification(Task):
    """See the module."""

    name: ClassVar[str] = "token-classification"
    modality = "text"
    head = "token"
    metrics = (
        "f1",
        "precision",
        "recall",
        "macro_f1",
        "token_accuracy",
        "token_macro_f1",
    )
    roles: ClassVar[tuple[Role, ...]] = (
        Role("tokens", False, False, ("tokens", "words", "chars", "词", "字"), "the words"),
        Role("tags", False, True, ("tags", "ner_tags", "labels", "标注"), "a tag for each word"),
        Role("text", False, False, TEXT_ALIASES, "the text, where spans mark the entities"),
        Role("spans", False, True, ("spans", "entities", "annotations", "实体"), "marked entities"),
    )

    @property
    def main_metric(self) -> str:
        return "f1"

    @classmethod
    def schema(cls, *, multi_label: bool, pair: bool) -> pa.Schema:
        import pyarrow as pa

        numbers = pa.list_(pa.int32())
        return pa.schema(
            [
                pa.field("text", pa.string()),
                pa.field("starts", numbers),
                pa.field("ends", numbers),
                pa.field("tags", pa.list_(pa.string())),
            ]
        )

    @classmethod
    def canonical(cls, values: Mapping[str, Any], options: Mapping[str, Any]) -> Canonical:
        if values.get("tokens") is not None:
            text, words, tags, repairs = _from_words(values["tokens"], values.get("tags"))
        else:
            text = required_text(values.get("text"), "text")
            if values.get("spans") is None:
                raise RowProblem("missing-label", "neither tags nor spans")
            entities = check_entities(text, values["spans"])
            words = cut_at(text, entities)
            tags, repairs = tags_of(words, entities), []
        row = {
            "text": text,
            "starts": [start for start, _ in words],
            "ends": [end for _, end in words],
            "tags": tags,
        }
        return Canonical(row, repairs)

    @classmethod
    def row_labels(cls, row: Row) -> list[str]:
        return [tag[2:] for tag in row["tags"] if tag.startswith("B-")]

    @classmethod
    def learn_spec(cls, train: pa.Table, *, language: str, options: Mapping[str, Any]) -> TaskSpec:
        import pyarrow.compute as pc

        seen = {str(tag) for tag in pc.unique(pc.list_flatten(train["tags"])).to_pylist()}
        types = sorted({tag[2:] for tag in seen if tag != "O"})
        if not types:
            raise UserError(
                "MW-205",
                "no word of the training rows carries a tag besides O",
                expected="tagged entities",
                fix="check `data.columns.tags` (or `spans`)",
            )
        labels = ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))
        return TaskSpec(labels=labels, language=language, options=dict(options))

    @property
    def outputs(self) -> int:
        return len(self.spec.labels)

    def example(self, row: Row) -> Any:
        return {"text": row["text"], "words": list(zip(row["starts"], row["ends"], strict=True))}

    def encode(self, inputs: Sequence[Any], encoder: Any) -> list[Features]:
        texts, words = [], []
        for item in inputs:
            text, spans = _words_of(item)
            texts.append(text)
            words.append(spans)
        features = encoder.windows(texts, words)
        for feature in features:
            index = feature["example"]
            feature["text"], feature["spans"] = texts[index], words[index]
            feature["tokens"] = isinstance(inputs[index], dict) and "tokens" in inputs[index]
        return features

    def input_fault(self, item: Any) -> tuple[str, str] | None:
        if not isinstance(item, dict) or not item.get("words"):
            return None
        end = 0
        for index, (start, stop) in enumerate(item["words"]):
            if not end <= start < stop <= len(item["text"]):
                return f"words[{index}]", (
                    f"[{start}, {stop}] is not a span of the text's {len(item['text'])} characters "
                    "after the word before it"
                )
            end = stop
        return None

    def target(self, row: Row, feature: Features) -> Any:
        index = {tag: number for number, tag in enumerate(self.spec.labels)}
        targets = [IGNORED] * len(feature["input_ids"])
        for word, position in zip(feature["words"], feature["positions"], strict=True):
            if targets[position] == IGNORED:  # of words that share a token, the first one tells
                targets[position] = index.get(row["tags"][word], IGNORED)
        return targets

    def loss(
        self, logits: torch.Tensor, targets: torch.Tensor, settings: LossSettings
    ) -> torch.Tensor:
        import torch
        import torch.nn.functional as F

        weights = settings.class_weights
        weight = None if weights is None else torch.tensor(weights, device=logits.device)
        return F.cross_entropy(
            logits.float().flatten(0, 1),
            targets.flatten(),
            weight=weight,
            ignore_index=IGNORED,
            label_smoothing=settings.label_smoothing,
        )

    def decode(
        self, logits: Sequence[np.ndarray], features: Sequence[Features]
    ) -> list[Prediction]:
        found: list[Prediction] = []
        for (tags, confidences), feature in zip(
            self._word_tags(logits, features), _examples(features), strict=True
        ):
            entities: list[dict[str, Any]] = []
            for start, end, label, first, last in entities_of(feature["spans"], tags):
                entity = {
                    "text": feature["text"][start:end],
                    "label": label,
                    "start": start,
                    "end": end,
                    "score": round(min(confidences[first:last]), 6),
                }
                if feature.get("tokens"):
                    entity |= {"start_token": first, "end_token": last}
                entities.append(entity)
            found.append({"entities": entities})
        return found

    def _word_tags(
        self, logits: Sequence[np.ndarray], features: Sequence[Features]
    ) -> list[tuple[list[str], list[float]]]:
        """Tag and confidence of every word of every example, windows joined."""
        found: list[tuple[list[str], list[float]]] = []
        for row, feature in zip(logits, features, strict=True):
            if feature["example"] == len(found):
                words = len(feature["spans"])
                found.append((["O"] * words, [1.0] * words))
            if not feature["positions"]:
                continue
            tags, confidences = found[feature["example"]]
            probabilities = softmax(row[feature["positions"]])
            best = probabilities.argmax(axis=1)
            before = -1
            for place, word in enumerate(feature["words"]):
                tag = self.spec.labels[int(best[place])]
                shared = feature["positions"][place] == before  # one token is no two entities
                tags[word] = f"I-{tag[2:]}" if shared and tag != "O" else tag
                confidences[word] = float(probabilities[place, best[place]])
                before = feature["positions"][place]
        return found

    def evidence(
        self, rows: Sequence[Row], logits: Sequence[np.ndarray], features: Sequence[Features]
    ) -> SpanEvidence:
        from modelwright.metrics.evidence import SpanEvidence

        answers = self._word_tags(logits, features)
        return SpanEvidence(
            [row["tags"] for row in rows],
            [tags for tags, _ in answers],
            [confidences for _, confidences in answers],
        )

    def agreement(self, first: Sequence[Prediction], second: Sequence[Prediction]) -> float:
        def key(prediction: Prediction) -> set[tuple[int, int, str]]:
            return {(e["start"], e["end"], e["label"]) for e in prediction["entities"]}

        pairs = list(zip(first, second, strict=True))
        return sum(key(a) == key(b) for a, b in pairs) / len(pairs) if pairs else 1.0

    def input_schema(self) -> dict[str, Any]:
        text = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}
        span = {"type": "array", "items": {"type": "integer", "minimum": 0}}
        return {
            "anyOf": [
                text,
                {
                    "type": "object",
                    "properties": {
                        "text": text,
                        "words": {"type": "array", "items": {**span, "minItems": 2, "maxItems": 2}},
                    },
                    "required": ["text"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {
                        "tokens": {
                            "type": "array",
                            "items": {"type": "string", "minLength": 1},
                            "minItems": 1,
                        }
                    },
                    "required": ["tokens"],
                    "additionalProperties": False,
                },
            ]
        }

    def output_schema(self) -> dict[str, Any]:
        kinds = sorted({tag[2:] for tag in self.spec.labels if tag != "O"})
        entity = {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "label": {"type": "string", "enum": kinds},
                "start": {"type": "integer", "minimum": 0},
                "end": {"type": "integer", "minimum": 0},
                "score": {"type": "number", "minimum": 0, "maximum": 1},
                "start_token": {"type": "integer", "minimum": 0},
                "end_token": {"type": "integer", "minimum": 1},
            },
            "required": ["text", "label", "start", "end", "score"],
        }
        return {
            "type": "object",
            "properties": {"entities": {"type": "array", "items": entity}},
            "required": ["entities"],
        }


def _from_words(tokens: Any, tags: Any) -> tuple[str, list[tuple[int, int]], list[str], list[str]]:
    from modelwright.metrics.spans import repair_bio, to_bio

    if not isinstance(tokens, (list, tuple)) or not all(isinstance(t, str) for t in tokens):
        raise RowProblem("wrong-type", "the words are not a list of text")
    if not any(token.strip() for token in tokens):
        raise RowProblem("empty-text", "no word has a visible character")
    if tags is None:
        raise RowProblem("missing-label", "the words carry no tags")
    if len(tokens) != len(tags):
        raise RowProblem("wrong-tag-count", f"{len(tokens)} words but {len(tags)} tags")
    kept = [(token, str(tag)) for token, tag in zip(tokens, tags, strict=True) if token.strip()]
    text, words = join([token for token, _ in kept])
    try:
        normal = to_bio([tag for _, tag in kept])
    except ValueError as error:
        raise RowProblem("unknown-tag", str(error)) from error
    repaired, changes = repair_bio(normal)
    if any(tag in ("B", "I") for tag in repaired):
        raise RowProblem("unknown-tag", "a tag names no type: B or I alone")
    repairs = ["invalid-bio"] if changes else []
    return text, words, repaired, repairs + ["empty-word"] * (len(kept) < len(tokens))


def _words_of(item: Any) -> tuple[str, list[tuple[int, int]]]:
    """Text and word spans of a request input."""
    if isinstance(item, str):
        return item, cut(item)
    if "tokens" in item:
        return join(item["tokens"])
    if item.get("words") is None:
        return item["text"], cut(item["text"])
    return item["text"], [(start, end) for start, end in item["words"]]


def _examples(features: Sequence[Features]) -> list[Features]:
    """The first feature of each example, however many windows it has."""
    found: list[Features] = []
    for feature in features:
        if feature["example"] == len(found):
            found.append(feature)
    return found
