"""Entities: rows in every usual form, and answers at the characters of the text as it was sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from modelwright import plugs
from modelwright.encoders.text import TextEncoder
from modelwright.errors import UserError
from modelwright.metrics.evidence import SpanEvidence
from modelwright.tasks import RowProblem, Task, TaskSpec

CLS = plugs.load("task", "token-classification").cls
LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
TASK: Task = CLS(TaskSpec(labels=LABELS))
Tag = Callable[[str], str]


def answers(
    encoder: TextEncoder, inputs: Sequence[Any], tag: Tag, task: Task = TASK
) -> list[list[tuple[str, str, int, int]]]:
    """What a network would answer that gives each word the tag of its text."""
    features = task.encode(inputs, encoder)
    logits = []
    for feature in features:
        row = np.zeros((len(feature["input_ids"]), len(LABELS)), np.float32)
        for word, position in zip(feature["words"], feature["positions"], strict=True):
            start, end = feature["spans"][word]
            row[position, LABELS.index(tag(feature["text"][start:end]))] = 9.0
        logits.append(row)
    return [
        [(e["text"], e["label"], e["start"], e["end"]) for e in answer["entities"]]
        for answer in task.decode(logits, features)
    ]


def of(**places: str) -> Tag:
    names = {word: label for label, words in places.items() for word in words.split()}
    return lambda word: names.get(word, "O").replace("_", "-")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Ada met Bob", ["Ada", "Bob"]),
        ("   Ada  met\t Bob ", ["Ada", "Bob"]),
        ("first line\r\n\r\nAda met Bob\r\n", ["Ada", "Bob"]),
        ("😀😀 Ada 👍🏽 Bob 👩‍👩‍👧", ["Ada", "Bob"]),
        ("ﬁrst Ada ½ Bob", ["Ada", "Bob"]),
        ("Ｆｕｌｌ　Ada，Bob。", ["Ada", "Bob"]),
        ("café cafe\u0301 Ada, Bob!", ["Ada", "Bob"]),
        ("在上海见到Ada和Bob。", ["Ada", "Bob"]),
        ("x\u200by Ada\u00adx Bo\u00adb Bob", ["Bob"]),
        ("\u0000\u0007 Ada Bob", ["Ada", "Bob"]),
    ],
)
def test_offsets_are_characters_of_the_text_as_it_was_sent(
    encoder: TextEncoder, text: str, wanted: list[str]
) -> None:
    (found,) = answers(encoder, [text], lambda word: "B-PER" if word in {"Ada", "Bob"} else "O")
    assert [name for name, *_ in found] == wanted
    for name, label, start, end in found:
        assert text[start:end] == name
        assert label == "PER"


def test_an_entity_of_several_words_runs_from_its_first_to_its_last_character(
    encoder: TextEncoder,
) -> None:
    text = "in 上海市,  New  York–City"
    tag = of(B_LOC="上 New", I_LOC="海 市 York")
    assert answers(encoder, [text], tag) == [[("上海市", "LOC", 3, 6), ("New  York", "LOC", 9, 18)]]


def test_an_accent_written_apart_stays_with_its_entity(encoder: TextEncoder) -> None:
    text = "met Zoe\u0308 today"
    tag = of(B_PER="Zoe\u0308")
    assert answers(encoder, [text], tag) == [[("Zoe\u0308", "PER", 4, 8)]]


def test_an_inner_tag_that_continues_nothing_starts_an_entity(encoder: TextEncoder) -> None:
    assert answers(encoder, ["Ada met Bob"], of(I_PER="Ada", I_LOC="Bob")) == [
        [("Ada", "PER", 0, 3), ("Bob", "LOC", 8, 11)]
    ]


def test_a_long_text_gives_the_same_entities_in_windows_as_in_one_piece(
    make: Callable[..., TextEncoder],
) -> None:
    text = "Ada Lovelace met 银行 people in New York and Paris, see \u200b 😀.\r\n" * 40
    tag = of(B_PER="Ada", I_PER="Lovelace", B_LOC="New Paris", I_LOC="York")
    (whole,) = answers(make(max_tokens=4000), [text], tag)
    (windows,) = answers(make(max_tokens=24), [text], tag)
    assert len(whole) == 120
    assert windows == whole


def test_texts_of_many_windows_and_of_none_keep_their_order(
    make: Callable[..., TextEncoder],
) -> None:
    texts = ["Ada", "  ", "word " * 50 + "Ada", "", "Ada Ada"]
    found = answers(make(max_tokens=16), texts, of(B_PER="Ada"))
    assert [[start for _, _, start, _ in entities] for entities in found] == [
        [0], [], [250], [], [0, 4],
    ]  # fmt: skip


def test_a_word_without_a_token_is_outside_every_entity(encoder: TextEncoder) -> None:
    assert answers(encoder, ["\u200b\u200e"], lambda _: "B-PER") == [[]]


def test_words_that_share_a_token_are_one_entity(encoder: TextEncoder) -> None:
    given = {"text": "playing Ada", "words": [[0, 4], [4, 7], [8, 11]]}
    assert answers(encoder, [given], lambda _: "B-LOC") == [
        [("playing", "LOC", 0, 7), ("Ada", "LOC", 8, 11)]
    ]
    row = row_of(text="playing", spans=[{"start": 0, "end": 4, "label": "LOC"}]).row
    (feature,) = TASK.encode([TASK.example(row)], encoder)
    assert TASK.target(row, feature) == [-100, 1, -100]


def test_words_and_tokens_may_be_given_instead_of_being_cut(encoder: TextEncoder) -> None:
    tag = of(B_PER="Ada-Lou", B_LOC="京")
    assert answers(encoder, [{"text": "Ada-Lou left", "words": [[0, 7], [8, 12]]}], tag) == [
        [("Ada-Lou", "PER", 0, 7)]
    ]
    assert answers(encoder, [{"tokens": ["Ada-Lou", "到", "京"]}], tag) == [
        [("Ada-Lou", "PER", 0, 7), ("京", "LOC", 8, 9)]
    ]
    assert answers(encoder, [{"text": "Ada-Lou left"}], tag) == [[]]


def test_entities_of_tokens_tell_which_tokens_they_are(encoder: TextEncoder) -> None:
    features = TASK.encode([{"tokens": ["so", "New", "York", "won"]}, "New York"], encoder)
    tags = [[0, 1, 2, 0], [1, 2]]
    logits = []
    for feature, wanted in zip(features, tags, strict=True):
        row = np.zeros((len(feature["input_ids"]), 5), np.float32)
        row[feature["positions"], wanted] = 9
        logits.append(row)
    by_tokens, by_text = TASK.decode(logits, features)
    assert (by_tokens["entities"][0]["start"], by_tokens["entities"][0]["end"]) == (3, 11)
    assert by_tokens["entities"][0]["start_token"] == 1
    assert by_tokens["entities"][0]["end_token"] == 3
    assert "start_token" not in by_text["entities"][0]


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ([[0, 3], [2, 4]], "words[1]"),
        ([[0, 99]], "words[0]"),
        ([[4, 8], [0, 3]], "words[1]"),
        ([[2, 2]], "words[0]"),
    ],
)
def test_words_that_are_no_spans_of_the_text_are_refused(words: Any, field: str) -> None:
    fault = TASK.input_fault({"text": "Ada left", "words": words})
    assert fault is not None
    assert fault[0] == field
    assert TASK.input_fault({"text": "Ada left", "words": [[0, 3], [4, 8]]}) is None


def test_the_score_of_an_entity_is_that_of_its_least_sure_word(encoder: TextEncoder) -> None:
    features = TASK.encode(["New York"], encoder)
    row = np.zeros((4, 5), np.float32)
    row[1, 1], row[2, 2] = 9.0, 1.0
    (answer,) = TASK.decode([row], features)
    (entity,) = answer["entities"]
    assert entity["score"] == pytest.approx(np.e / (np.e + 4), abs=1e-5)


# -- rows -----------------------------------------------------------------------------------------
def row_of(**values: Any) -> Any:
    return CLS.canonical(values, {})


def reason_of(**values: Any) -> str:
    with pytest.raises(RowProblem) as caught:
        row_of(**values)
    return caught.value.reason


@pytest.mark.parametrize(
    "tags",
    [
        ["B-PER", "I-PER", "O", "B-LOC"],
        ["B-PER", "E-PER", "O", "S-LOC"],
        ["B-PER", "L-PER", "O", "U-LOC"],
    ],
    ids=["BIO", "BIOES", "BILOU"],
)
def test_every_tagging_scheme_becomes_bio(tags: list[str]) -> None:
    found = row_of(tokens=["Ada", "Lovelace", "left", "Paris"], tags=tags)
    assert found.row["tags"] == ["B-PER", "I-PER", "O", "B-LOC"]
    assert found.row["text"] == "Ada Lovelace left Paris"
    assert found.repairs == []
    assert CLS.row_labels(found.row) == ["PER", "LOC"]


def test_invalid_bio_is_repaired_and_reported() -> None:
    found = row_of(tokens=["Ada", "Lovelace", "Paris"], tags=["I-PER", "I-PER", "I-LOC"])
    assert found.row["tags"] == ["B-PER", "I-PER", "B-LOC"]
    assert found.repairs == ["invalid-bio"]


def test_words_of_white_space_are_left_out_and_reported() -> None:
    found = row_of(tokens=["Ada", " ", "left"], tags=["B-PER", "O", "O"])
    assert found.row["text"] == "Ada left"
    assert found.row["tags"] == ["B-PER", "O"]
    assert found.repairs == ["empty-word"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"tokens": "Ada left", "tags": ["O"]}, "wrong-type"),
        ({"tokens": ["Ada", 3], "tags": ["O", "O"]}, "wrong-type"),
        ({"tokens": ["", " "], "tags": ["O", "O"]}, "empty-text"),
        ({"tokens": ["Ada"]}, "missing-label"),
        ({"tokens": ["Ada", "left"], "tags": ["O"]}, "wrong-tag-count"),
        ({"tokens": ["Ada"], "tags": ["PER"]}, "unknown-tag"),
        ({"tokens": ["Ada"], "tags": ["B"]}, "unknown-tag"),
        ({"tokens": ["Ada"], "tags": [None]}, "unknown-tag"),
        ({"text": "Ada"}, "missing-label"),
        ({"text": "  ", "spans": []}, "empty-text"),
        ({"text": None, "spans": []}, "missing-text"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(values: dict[str, Any], reason: str) -> None:
    assert reason_of(**values) == reason


def test_spans_that_end_inside_words_cut_the_words() -> None:
    text = "the Londoner left NewYork"
    spans = [{"start": 4, "end": 10, "label": "LOC"}, {"start": 18, "end": 21, "label": "X"}]
    row = row_of(text=text, spans=spans).row
    words = [text[s:e] for s, e in zip(row["starts"], row["ends"], strict=True)]
    assert list(zip(words, row["tags"], strict=True)) == [
        ("the", "O"), ("London", "B-LOC"), ("er", "O"), ("left", "O"),
        ("New", "B-X"), ("York", "O"),
    ]  # fmt: skip


def test_a_text_without_entities_is_a_row() -> None:
    assert row_of(text="nothing here", spans=[]).row["tags"] == ["O", "O"]


def test_targets_are_given_to_one_token_of_each_word(make: Callable[..., TextEncoder]) -> None:
    tokens = ["Xyzzyburgh", "is", "far"] * 10
    row = row_of(tokens=tokens, tags=["B-LOC", "O", "O"] * 10).row
    features = TASK.encode([TASK.example(row)], make(max_tokens=16))
    targets = [label for feature in features for label in TASK.target(row, feature)]
    assert len(features) > 1
    assert sum(label == 1 for label in targets) == 10
    assert sum(label == 0 for label in targets) == 20
    assert all(len(TASK.target(row, f)) == len(f["input_ids"]) for f in features)


def test_labels_are_o_and_two_for_each_type_in_order() -> None:
    schema = CLS.schema(multi_label=False, pair=False)
    rows = [row_of(tokens=["a", "b"], tags=["B-PER", "O"]).row,
            row_of(tokens=["a", "b"], tags=["B-LOC", "I-LOC"]).row]  # fmt: skip
    spec = CLS.learn_spec(pa.Table.from_pylist(rows, schema=schema), language="en", options={})
    assert spec.labels == LABELS


def test_data_without_any_entity_is_refused() -> None:
    schema = CLS.schema(multi_label=False, pair=False)
    rows = [row_of(tokens=["a"], tags=["O"]).row]
    with pytest.raises(UserError, match="MW-205"):
        CLS.learn_spec(pa.Table.from_pylist(rows, schema=schema), language="", options={})


def test_evidence_puts_true_and_given_tags_side_by_side(encoder: TextEncoder) -> None:
    row = row_of(tokens=["Ada", "left", "Paris"], tags=["B-PER", "O", "B-LOC"]).row
    features = TASK.encode([TASK.example(row)], encoder)
    logits = np.zeros((5, 5), np.float32)
    logits[1, 3] = logits[2, 0] = logits[3, 0] = 9.0
    evidence = TASK.evidence([row], [logits], features)
    assert isinstance(evidence, SpanEvidence)
    scores = evidence.scores()
    assert scores["precision"] == 1.0
    assert scores["recall"] == 0.5


def test_agreement_looks_at_places_and_labels_and_not_at_scores() -> None:
    one = {"entities": [{"start": 0, "end": 3, "label": "PER", "score": 0.9, "text": "Ada"}]}
    same = {"entities": [{**one["entities"][0], "score": 0.4}]}
    other = {"entities": [{**one["entities"][0], "label": "LOC"}]}
    assert TASK.agreement([one, one], [same, other]) == 0.5
