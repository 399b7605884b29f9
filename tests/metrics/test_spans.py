"""conlleval's cases by hand, its published rules as an oracle, and scikit-learn for tokens."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from modelwright.metrics.scores import macro_f1_of_counts, micro_f1_of_counts
from modelwright.metrics.spans import (
    bio_to_spans,
    entity_scores,
    repair_bio,
    span_counts,
    span_types,
    to_bio,
    token_table,
)

BIO = ["O", "B-A", "I-A", "B-B", "I-B"]
ANY_SCHEME = ["O"] + [f"{prefix}-{kind}" for prefix in "BIESLU" for kind in "AB"]


def conlleval_spans(tags):
    """startOfChunk and endOfChunk of conlleval.pl, line by line; L is E and U is S there."""
    spans, start = [], 0
    before, before_type = "O", ""
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        prefix = {"L": "E", "U": "S"}.get(prefix, prefix)
        other_type = kind != before_type
        ends = before in "ES" or (before in "BI" and (prefix in "BSO" or other_type))
        begins = prefix != "O" and (prefix in "BS" or before in "ESO" or other_type)
        if ends and before != "O":
            spans.append((start, position, before_type))
        if begins:
            start = position
        before, before_type = prefix, kind
    return spans


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("", []),
        ("O O", []),
        ("B-A I-A O", [(0, 2, "A")]),
        ("B-A B-A", [(0, 1, "A"), (1, 2, "A")]),
        ("B-A I-B", [(0, 1, "A"), (1, 2, "B")]),
        ("O I-A I-A", [(1, 3, "A")]),
        ("I-A B-A I-A", [(0, 1, "A"), (1, 3, "A")]),
        ("B-A O I-A", [(0, 1, "A"), (2, 3, "A")]),
        ("B-A I-B I-A", [(0, 1, "A"), (1, 2, "B"), (2, 3, "A")]),
        ("B-A-1 I-A-1", [(0, 2, "A-1")]),
        ("B I O", [(0, 2, "")]),
    ],
)
def test_spans_are_read_as_conlleval_reads_them(tags, spans):
    assert bio_to_spans(tags.split()) == spans


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(BIO)))
def test_spans_of_any_bio_tags_are_conllevals(tags):
    assert bio_to_spans(tags) == conlleval_spans(tags)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(ANY_SCHEME)))
def test_any_scheme_becomes_bio_that_spells_conllevals_spans(tags):
    assert bio_to_spans(to_bio(tags)) == conlleval_spans(tags)


@pytest.mark.parametrize(
    ("tags", "bio"),
    [
        ("B-A I-A E-A S-B O", "B-A I-A I-A B-B O"),
        ("B-A L-A U-A U-A", "B-A I-A B-A B-A"),
        ("E-A E-A", "I-A B-A"),
        ("S-A I-A", "B-A B-A"),
        ("O I-A", "O I-A"),
    ],
)
def test_bioes_and_bilou_become_bio(tags, bio):
    assert to_bio(tags.split()) == bio.split()


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(BIO)))
def test_repaired_tags_spell_the_same_spans_and_need_no_more_repair(tags):
    repaired, changes = repair_bio(tags)
    assert bio_to_spans(repaired) == bio_to_spans(tags)
    assert repair_bio(repaired) == (repaired, 0)
    assert changes == sum(a != b for a, b in zip(tags, repaired, strict=True))


def test_an_inside_tag_without_a_beginning_is_repaired_and_counted():
    tags = ["I-A", "I-A", "O", "I-B", "B-A", "I-B"]
    assert repair_bio(tags) == (["B-A", "I-A", "O", "B-B", "B-A", "B-B"], 3)
    assert tags[0] == "I-A"


@pytest.mark.parametrize("tag", ["X-A", "", "O-A", "BA", "b-A", "-A"])
def test_a_tag_of_no_scheme_is_refused(tag):
    for read in (bio_to_spans, repair_bio, to_bio):
        with pytest.raises(ValueError, match="at position 1 is not a tag of"):
            read(["O", tag])


def test_bioes_tags_are_not_read_as_bio():
    with pytest.raises(ValueError, match="'S-A' at position 0 is not a tag of BIO"):
        bio_to_spans(["S-A"])


# The example of seqeval's README, whose report it prints.
GOLD = [text.split() for text in ("O O O B-MISC I-MISC I-MISC O", "B-PER I-PER O")]
PREDICTED = [text.split() for text in ("O O B-MISC I-MISC I-MISC I-MISC O", "B-PER I-PER O")]


def read(sentences):
    return [bio_to_spans(tags) for tags in sentences]


def test_entities_score_as_in_the_published_example_of_seqeval():
    table = entity_scores(read(GOLD), read(PREDICTED))
    assert table.names == ("MISC", "PER")
    assert table.scores.f1_C.tolist() == [0, 1]
    assert table.scores.support_C.tolist() == [1, 1]
    for average in (table.averages.micro, table.averages.macro, table.averages.weighted):
        assert (average.precision, average.recall, average.f1, average.support) == (
            (0.5, 0.5, 0.5, 2)
        )


def test_entities_score_as_counted_by_hand():
    gold = [[(0, 2, "A"), (3, 4, "A")], [(0, 1, "B")], []]
    predicted = [[(0, 2, "A"), (3, 4, "B")], [(0, 1, "B")], [(2, 3, "C")]]
    table = entity_scores(gold, predicted)
    assert table.names == ("A", "B", "C")
    assert table.scores.precision_C.tolist() == [1, 0.5, 0]
    assert table.scores.recall_C.tolist() == [0.5, 1, 0]
    assert table.scores.support_C.tolist() == [2, 1, 0]
    assert table.averages.micro.precision == pytest.approx(2 / 4)
    assert table.averages.micro.recall == pytest.approx(2 / 3)
    assert table.averages.micro.f1 == pytest.approx(4 / 7)
    assert table.averages.macro.f1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert table.averages.weighted.recall == pytest.approx(2 / 3)


sentence_pairs = st.integers(1, 8).flatmap(
    lambda length: st.tuples(
        *[st.lists(st.sampled_from(BIO), min_size=length, max_size=length)] * 2
    )
)


@settings(deadline=None, max_examples=40)
@given(st.lists(sentence_pairs, min_size=1, max_size=6))
def test_f1_of_summed_sentence_counts_is_f1_of_the_entities(pairs):
    gold, predicted = read(g for g, _ in pairs), read(p for _, p in pairs)
    table = entity_scores(gold, predicted)
    types = span_types(gold, predicted) or ["A"]
    sums = span_counts(gold, predicted, types).sum(axis=0)[None, :]
    assert micro_f1_of_counts(sums)[0] == pytest.approx(table.averages.micro.f1)
    assert macro_f1_of_counts(sums)[0] == pytest.approx(table.averages.macro.f1)


@settings(deadline=None, max_examples=40)
@given(st.lists(sentence_pairs, min_size=1, max_size=6))
def test_the_token_table_is_scikit_learns_classification_report(pairs):
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    table = token_table(gold, predicted)
    report = reference.classification_report(
        list(chain(*gold)), list(chain(*predicted)), output_dict=True, zero_division=0
    )
    for index, name in enumerate(table.names):
        assert table.scores.precision_C[index] == pytest.approx(report[name]["precision"])
        assert table.scores.recall_C[index] == pytest.approx(report[name]["recall"])
        assert table.scores.f1_C[index] == pytest.approx(report[name]["f1-score"])
        assert table.scores.support_C[index] == report[name]["support"]
    assert table.averages.micro.f1 == pytest.approx(report["accuracy"])
    assert table.averages.macro.f1 == pytest.approx(report["macro avg"]["f1-score"])
    assert table.averages.weighted.f1 == pytest.approx(report["weighted avg"]["f1-score"])


def test_a_span_listed_twice_counts_once():
    counts = span_counts([[(0, 1, "A")]], [[(0, 1, "A"), (0, 1, "A")]], ["A"])
    assert counts.tolist() == [[1, 0, 0]]


def test_no_entities_at_all_score_0_everywhere():
    averages = entity_scores([[]], [[]]).averages
    assert averages.micro.f1 == averages.macro.f1 == averages.weighted.f1 == 0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: entity_scores([], []), "gold is empty"),
        (lambda: entity_scores([[]], [[], []]), "gold has 1 sentences but predicted has 2"),
        (lambda: span_counts([[(0, 1, "A")]], [[]], ["B"]), "not in types: A"),
        (lambda: token_table([], []), "gold is empty"),
        (lambda: token_table([[]], [[]]), "at least one token"),
        (lambda: token_table([["O"]], [["O", "O"]]), "sentence 0 has 1 gold tags but 2 predicted"),
    ],
)
def test_wrong_input_is_refused_in_plain_words(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_counts_are_whole_numbers_one_row_per_sentence():
    counts = span_counts(read(GOLD), read(PREDICTED), ["MISC", "PER"])
    assert counts.dtype == np.int64
    assert counts.tolist() == [[0, 0, 1, 0, 1, 0], [0, 1, 0, 0, 0, 0]]
