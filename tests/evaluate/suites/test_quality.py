"""What the quality suite says of models whose mistakes are known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from modelwright import plugs


def measure(world: Any, **options: Any) -> dict[str, Any]:
    plug = plugs.load("suite", "quality")
    return plug.cls(plug.config.model_validate(options)).measure(world.context())


def test_every_kind_of_task_gives_plain_json_with_finite_numbers(world: Any) -> None:
    json.dumps(measure(world), allow_nan=False)


def test_class_scores_agree_with_scikit_learn(intents: Any) -> None:
    from sklearn.metrics import precision_recall_fscore_support

    context, found = intents.context(), measure(intents)
    evidence = context.evidence
    theirs = precision_recall_fscore_support(evidence.gold_N, evidence.predicted_N)
    for row, *scores in zip(found["classes"], *theirs, strict=True):
        ours = [row["precision"], row["recall"], row["f1"], row["support"]]
        assert ours == pytest.approx(scores)
        assert row["train_rows"] == 80


def test_the_confusion_matrix_and_its_pairs_count_the_same_rows(intents: Any) -> None:
    found = measure(intents)
    matrix = np.array(found["confusion"]["matrix"])
    assert matrix.sum() == found["rows"]
    assert sum(pair["count"] for pair in found["confusion"]["pairs"]) == found["wrong"]
    counts = [pair["count"] for pair in found["confusion"]["pairs"]]
    assert counts == sorted(counts, reverse=True)
    example = found["confusion"]["pairs"][0]["examples"][0]
    assert example["file"] == "test.csv"
    assert example["text"]


def test_with_many_classes_only_the_confused_pairs_are_listed() -> None:
    from modelwright.evaluate._classes import confusion
    from modelwright.metrics.evidence import ClassEvidence

    labels = tuple(f"c{i}" for i in range(101))
    gold = np.arange(101)
    probabilities = np.eye(101)[np.roll(gold, 1)]
    found = confusion(ClassEvidence(labels, gold, probabilities), [{"text": "t"}] * 101)
    assert found["matrix"] is None
    assert len(found["pairs"]) == 40


def test_errors_are_the_wrong_rows_with_the_surest_first(intents: Any) -> None:
    found = measure(intents, errors=7)
    assert len(found["errors"]) == 7
    scores = [row["score"] for row in found["errors"]]
    assert scores == sorted(scores, reverse=True)
    rows = intents.dataset.rows("test")
    for row in found["errors"]:
        assert row["gold"] != row["predicted"]
        assert rows[row["row"]]["label"] == row["gold"]
        assert row["line"] == row["row"] + 2


def test_long_texts_are_cut_at_300_characters() -> None:
    from modelwright.evaluate._rows import shown

    assert len(shown({"text": "word " * 200})["text"]) == 300


def test_planted_label_mistakes_are_found_among_the_test_rows(intents: Any) -> None:
    """One row in six shows another class's words, and the model reads words."""
    found = measure(intents)["mislabelled"]
    assert found["count"] >= 40
    assert all(row["label"] != row["suggested"] for row in found["rows"])


def test_an_overconfident_model_gets_a_temperature_above_one(intents: Any) -> None:
    found = measure(intents)["calibration"]
    assert found["mean_confidence"] > found["accuracy"]
    assert found["temperature"] > 1
    assert found["log_loss_at_temperature"] < found["log_loss"]
    assert sum(row["count"] for row in found["curve"]) == 300


def test_slices_cover_every_row_once(intents: Any) -> None:
    found = {
        (group["kind"], group["name"]): group["values"] for group in measure(intents)["slices"]
    }
    assert set(found) == {("length", "tokens"), ("column", "channel")}
    for values in found.values():
        assert sum(part["rows"] for part in values) == 300
        for part in values:
            assert part["low"] <= part["score"] <= part["high"]


def test_a_weak_slice_is_marked(intents: Any) -> None:
    """Rows of channel b are all answered wrongly."""
    right = intents.model.reply
    rows = {r["text"] for r in intents.dataset.rows("test") if r["slice:channel"] == "b"}
    intents.model.reply = lambda f: -np.array(right(f)) if f["said"] in rows else right(f)
    groups = measure(intents)["slices"]
    [channel] = [group for group in groups if group["name"] == "channel"]
    assert {part["value"]: part["below"] for part in channel["values"]} == {"a": False, "b": True}


def test_rare_slice_values_are_left_out_when_others_have_rows_enough(intents: Any) -> None:
    from modelwright.evaluate._slices import _by_column

    context = intents.context()
    for index, row in enumerate(context.rows):
        row["slice:channel"] = f"v{index}" if index < 5 else "usual"
    assert set(_by_column(context, "slice:channel")) == {"usual"}


def test_quantile_slices_are_ranges_of_about_equal_size_and_part_no_ties() -> None:
    from modelwright.evaluate._slices import _by_quantile

    groups = _by_quantile(np.array([5, 5, 5, 9, 9, 40, 41]), 3)
    assert {name: index.tolist() for name, index in groups.items()} == {
        "5": [0, 1, 2], "9": [3, 4], "40–41": [5, 6],
    }  # fmt: skip


def test_baselines_are_compared_on_the_same_rows(intents: Any) -> None:
    majority, linear = measure(intents)["baselines"]
    assert (majority["name"], linear["name"]) == ("majority", "linear-tfidf")
    assert majority["value"] == pytest.approx(1 / 3)
    assert linear["value"] > 0.75
    lead = majority["difference"]
    assert lead["low"] > 0
    assert lead["p_value"] < 0.01
    ours = measure(intents)["metrics"]["accuracy"]["value"]
    assert lead["value"] == pytest.approx(ours - majority["value"])


def test_a_model_no_better_than_the_baseline_has_no_significant_lead(intents: Any) -> None:
    linear = measure(intents)["baselines"][1]
    assert linear["difference"]["low"] <= 0 <= linear["difference"]["high"]
    assert linear["difference"]["mcnemar_p"] > 0.05


def test_baselines_can_be_left_out(world: Any) -> None:
    assert measure(world, baselines=False)["baselines"] == []


def test_several_labels_a_row_have_scores_a_class_and_baselines(topics: Any) -> None:
    found = measure(topics)
    assert [row["name"] for row in found["classes"]] == list(topics.model.task.spec.labels)
    assert found["calibration"]["of"] == "labels"
    assert found["baselines"][1]["value"] > found["baselines"][0]["value"]
    assert all(isinstance(row["gold"], list) for row in found["errors"])


def test_regression_has_residuals_and_at_most_500_points(lengths: Any) -> None:
    found = measure(lengths)
    assert sum(found["residuals"]["counts"]) == 600
    assert len(found["points"]) == 500
    assert abs(found["residuals"]["bias"]) < 0.1
    assert found["baselines"][0]["name"] == "mean"
    assert found["baselines"][0]["value"] == 0.0
    errors = [row["error"] for row in found["errors"]]
    assert errors == sorted(errors, reverse=True)


def test_tagged_texts_have_tables_of_entities_and_of_words(names: Any) -> None:
    found = measure(names)
    scores = {row["name"]: row for row in found["classes"]}
    assert scores["PER"]["recall"] == 1
    assert scores["LOC"]["f1"] == 0
    assert {row["name"] for row in found["tags"]} == {"B-PER", "I-PER", "B-LOC", "O"}
    assert set(found["tag_averages"]) == {"micro", "macro", "weighted"}


def test_confused_entity_types_are_counted_where_they_overlap(names: Any) -> None:
    [pair] = measure(names)["confusion"]["pairs"]
    assert (pair["gold"], pair["predicted"], pair["count"]) == ("LOC", "PER", 60)
    assert pair["examples"][0]["part"] in ("Paris", "Rome")


def test_boundary_mistakes_and_missed_and_invented_entities_are_told_apart() -> None:
    from modelwright.evaluate._spans import _mistakes

    gold = [(0, 2, "PER"), (4, 5, "LOC"), (8, 9, "ORG")]
    ours = [(0, 1, "PER"), (4, 5, "ORG"), (6, 7, "PER")]
    assert [(a, b) for a, b, _ in _mistakes(gold, ours)] == [
        ("PER", "PER"), ("LOC", "ORG"), ("ORG", None), (None, "PER"),
    ]  # fmt: skip


def test_the_dictionary_baseline_knows_only_words_of_training(names: Any) -> None:
    [dictionary] = measure(names)["baselines"]
    assert dictionary["name"] == "dictionary"
    assert 0.5 < dictionary["value"] < 1


def test_texts_with_entities_unseen_in_training_are_a_slice(names: Any) -> None:
    groups = {group["kind"]: group["values"] for group in measure(names)["slices"]}
    rows = {part["value"]: part["rows"] for part in groups["unseen-entities"]}
    assert rows == {"seen": 40, "some-unseen": 20}


def test_pictures_are_compared_with_a_linear_model_of_their_pixels(pictures: Any) -> None:
    found = measure(pictures)
    assert [row["name"] for row in found["baselines"]] == ["majority", "linear-pixels"]
    assert found["baselines"][1]["value"] > 0.9
    assert found["lengths"] is None


def test_wrong_pictures_come_with_a_thumbnail(pictures: Any) -> None:
    pictures.model.reply = lambda feature: [1.0, 0.0]
    row = measure(pictures)["errors"][0]
    assert row["image"].startswith("data:image/png;base64,")


def test_chinese_text_is_read_by_characters() -> None:
    from modelwright.evaluate._baselines import _terms

    rows = [{"text": "银行卡丢了"}, {"text": "我要退款"}]
    assert _terms("zh", rows)(rows).shape[1] > 10


def test_a_row_is_named_by_file_and_line(intents: Any) -> None:
    for row in measure(intents)["errors"]:
        assert row["file"] == "test.csv"
        assert isinstance(row["line"], int)
