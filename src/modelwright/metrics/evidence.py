"""Truth and answers side by side: what a task hands to whoever judges it.

Each kind of evidence knows its metrics, its per-row counts (for fast intervals) and which rows
went wrong. A task chooses the kind; training, evaluation, packaging and compression use the same
object, so a metric means the same thing everywhere.

    ClassEvidence        one label per row             accuracy, macro_f1, ...
    MultiLabelEvidence   any number of labels          micro_f1, macro_f1, subset_accuracy, ...
    RegressionEvidence   a number per row              spearman, pearson, rmse, mae, r2
    SpanEvidence         entities in texts of words    f1 (entity level), token_accuracy, ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelwright.metrics import classification, multilabel, regression, scores, spans
from modelwright.metrics.calibration import expected_calibration_error
from modelwright.metrics.inputs import Booleans, Floats, Integers
from modelwright.metrics.intervals import (
    Interval,
    bootstrap,
    bootstrap_from_counts,
    bootstrap_mean,
)


class Evidence(ABC):
    """What every kind can tell."""

    main: str

    @property
    @abstractmethod
    def rows(self) -> int:
        """Number of examples."""

    @abstractmethod
    def scores(self) -> dict[str, float]:
        """Every default metric by name, higher is better unless it is an error or a loss."""

    @abstractmethod
    def intervals(self, *, seed: int = 0, resamples: int = 1000) -> dict[str, Interval]:
        """Every metric with its 95% bootstrap interval."""

    @abstractmethod
    def correct(self) -> Booleans:
        """[N] whether each example was answered right (regression: within one RMSE)."""

    @abstractmethod
    def select(self, index_M: Integers) -> Evidence:
        """The evidence of some of the examples."""


@dataclass(frozen=True)
class ClassEvidence(Evidence):
    """One label per row.

    Attributes:
        labels: class names.
        gold_N: class index of each row.
        probabilities_NC: the model's probabilities.
    """

    labels: tuple[str, ...]
    gold_N: Integers
    probabilities_NC: Floats
    main = "accuracy"

    @property
    def rows(self) -> int:
        return len(self.gold_N)

    @property
    def predicted_N(self) -> Integers:
        return self.probabilities_NC.argmax(axis=1)

    @property
    def confidence_N(self) -> Floats:
        return self.probabilities_NC.max(axis=1)

    def correct(self) -> Booleans:
        return self.predicted_N == self.gold_N

    def scores(self) -> dict[str, float]:
        classes, predicted = len(self.labels), self.predicted_N
        averages = classification.averages(self.gold_N, predicted, classes)
        return {
            "accuracy": classification.accuracy(self.gold_N, predicted),
            "macro_f1": averages.macro.f1,
            "weighted_f1": averages.weighted.f1,
            "balanced_accuracy": classification.balanced_accuracy(self.gold_N, predicted, classes),
            "mcc": classification.matthews_corrcoef(self.gold_N, predicted, classes),
            "log_loss": classification.log_loss(self.gold_N, self.probabilities_NC),
            "ece": expected_calibration_error(self.confidence_N, self.correct()),
        }

    def intervals(self, *, seed: int = 0, resamples: int = 1000) -> dict[str, Interval]:
        counts = classification.row_counts(self.gold_N, self.predicted_N, len(self.labels))
        settings = {"seed": seed, "resamples": resamples}
        values = self.scores()
        gold, probabilities = self.gold_N, self.probabilities_NC
        losses_N = -np.log(np.clip(probabilities[np.arange(len(gold)), gold], 1e-12, 1.0))
        known = {
            "accuracy": bootstrap_mean(self.correct(), **settings),
            "macro_f1": bootstrap_from_counts(counts, scores.macro_f1_of_counts, **settings),
            "weighted_f1": bootstrap_from_counts(counts, scores.weighted_f1_of_counts, **settings),
            "log_loss": bootstrap_mean(losses_N, **settings),
        }
        confidence_N, correct_N = self.confidence_N, self.correct()
        slow = {
            "ece": lambda index: expected_calibration_error(confidence_N[index], correct_N[index]),
            "mcc": lambda index: classification.matthews_corrcoef(
                gold[index], self.predicted_N[index], len(self.labels)
            ),
            "balanced_accuracy": lambda index: classification.balanced_accuracy(
                gold[index], self.predicted_N[index], len(self.labels)
            ),
        }
        for name, statistic in slow.items():
            known[name] = bootstrap(statistic, self.rows, seed=seed, resamples=min(resamples, 200))
        return {name: known[name] for name in values}

    def select(self, index_M: Integers) -> ClassEvidence:
        return ClassEvidence(self.labels, self.gold_N[index_M], self.probabilities_NC[index_M])


@dataclass(frozen=True)
class MultiLabelEvidence(Evidence):
    """Any number of labels per row.

    Attributes:
        labels: class names.
        gold_NC: which labels each row carries.
        probabilities_NC: the model's probability of each.
        threshold: from which probability a label is given.
    """

    labels: tuple[str, ...]
    gold_NC: Booleans
    probabilities_NC: Floats
    threshold: float = 0.5
    main = "micro_f1"

    @property
    def rows(self) -> int:
        return len(self.gold_NC)

    @property
    def predicted_NC(self) -> Booleans:
        return self.probabilities_NC >= self.threshold

    def correct(self) -> Booleans:
        return (self.predicted_NC == self.gold_NC).all(axis=1)

    def scores(self) -> dict[str, float]:
        gold, predicted = self.gold_NC, self.predicted_NC
        return {
            "micro_f1": multilabel.micro_f1(gold, predicted),
            "macro_f1": multilabel.macro_f1(gold, predicted),
            "weighted_f1": multilabel.weighted_f1(gold, predicted),
            "samples_f1": multilabel.samples_f1(gold, predicted),
            "subset_accuracy": multilabel.subset_accuracy(gold, predicted),
            "hamming_loss": multilabel.hamming_loss(gold, predicted),
        }

    def intervals(self, *, seed: int = 0, resamples: int = 1000) -> dict[str, Interval]:
        gold, predicted = self.gold_NC, self.predicted_NC
        counts = multilabel.row_counts(gold, predicted)
        settings = {"seed": seed, "resamples": resamples}
        return {
            "micro_f1": bootstrap_from_counts(counts, scores.micro_f1_of_counts, **settings),
            "macro_f1": bootstrap_from_counts(counts, scores.macro_f1_of_counts, **settings),
            "weighted_f1": bootstrap_from_counts(counts, scores.weighted_f1_of_counts, **settings),
            "samples_f1": bootstrap(
                lambda index: multilabel.samples_f1(gold[index], predicted[index]),
                self.rows,
                seed=seed,
                resamples=min(resamples, 200),
            ),
            "subset_accuracy": bootstrap_mean(self.correct(), **settings),
            "hamming_loss": bootstrap_mean((gold != predicted).mean(axis=1), **settings),
        }

    def select(self, index_M: Integers) -> MultiLabelEvidence:
        return MultiLabelEvidence(
            self.labels, self.gold_NC[index_M], self.probabilities_NC[index_M], self.threshold
        )


@dataclass(frozen=True)
class RegressionEvidence(Evidence):
    """A number per row, in the target's own unit."""

    gold_N: Floats
    predicted_N: Floats
    main = "spearman"

    @property
    def rows(self) -> int:
        return len(self.gold_N)

    def correct(self) -> Booleans:
        error_N = np.abs(self.gold_N - self.predicted_N)
        return error_N <= max(regression.rmse(self.gold_N, self.predicted_N), 1e-12)

    def scores(self) -> dict[str, float]:
        gold, predicted = self.gold_N, self.predicted_N
        found = {
            "rmse": regression.rmse(gold, predicted),
            "mae": regression.mae(gold, predicted),
            "r2": regression.r2(gold, predicted) if _varies(gold) else 0.0,
        }
        related = _varies(gold) and _varies(predicted)
        return {
            "spearman": regression.spearman(gold, predicted) if related else 0.0,
            "pearson": regression.pearson(gold, predicted) if related else 0.0,
            **found,
        }

    def intervals(self, *, seed: int = 0, resamples: int = 1000) -> dict[str, Interval]:
        def interval(name: str) -> Interval:
            return bootstrap(
                lambda index: self.select(index).scores()[name],
                self.rows,
                seed=seed,
                resamples=min(resamples, 300),
            )

        return {name: interval(name) for name in self.scores()}

    def select(self, index_M: Integers) -> RegressionEvidence:
        return RegressionEvidence(self.gold_N[index_M], self.predicted_N[index_M])


@dataclass(frozen=True)
class SpanEvidence(Evidence):
    """Entities in texts that are cut into words.

    Attributes:
        gold_tags: BIO tags of each text's words.
        predicted_tags: the model's, as many.
        confidences: the model's probability of its tag, word by word.
    """

    gold_tags: Sequence[Sequence[str]]
    predicted_tags: Sequence[Sequence[str]]
    confidences: Sequence[Sequence[float]]
    main = "f1"

    @property
    def rows(self) -> int:
        return len(self.gold_tags)

    def correct(self) -> Booleans:
        pairs = zip(self.gold_tags, self.predicted_tags, strict=True)
        return np.array([list(gold) == list(ours) for gold, ours in pairs], dtype=bool)

    def gold_spans(self) -> list[list[spans.Span]]:
        return [spans.bio_to_spans(tags) for tags in self.gold_tags]

    def predicted_spans(self) -> list[list[spans.Span]]:
        return [spans.bio_to_spans(tags) for tags in self.predicted_tags]

    def scores(self) -> dict[str, float]:
        entities = spans.entity_scores(self.gold_spans(), self.predicted_spans()).averages
        tokens = spans.token_table(self.gold_tags, self.predicted_tags).averages
        return {
            "f1": entities.micro.f1,
            "precision": entities.micro.precision,
            "recall": entities.micro.recall,
            "macro_f1": entities.macro.f1,
            "token_accuracy": tokens.micro.f1,
            "token_macro_f1": tokens.macro.f1,
        }

    def intervals(self, *, seed: int = 0, resamples: int = 1000) -> dict[str, Interval]:
        gold, predicted = self.gold_spans(), self.predicted_spans()
        types = spans.span_types(gold, predicted) or ["none"]
        counts = spans.span_counts(gold, predicted, types)
        tags = sorted({tag for row in (*self.gold_tags, *self.predicted_tags) for tag in row})
        tokens = _tag_counts(self.gold_tags, self.predicted_tags, tags)
        settings = {"seed": seed, "resamples": resamples}

        def of(table: Integers, statistic: scores.CountsStatistic) -> Interval:
            return bootstrap_from_counts(table, statistic, **settings)

        return {
            "f1": of(counts, scores.micro_f1_of_counts),
            "precision": of(counts, scores.micro_precision_of_counts),
            "recall": of(counts, scores.micro_recall_of_counts),
            "macro_f1": of(counts, scores.macro_f1_of_counts),
            "token_accuracy": of(tokens, scores.micro_f1_of_counts),
            "token_macro_f1": of(tokens, scores.macro_f1_of_counts),
        }

    def select(self, index_M: Integers) -> SpanEvidence:
        return SpanEvidence(
            [self.gold_tags[int(i)] for i in index_M],
            [self.predicted_tags[int(i)] for i in index_M],
            [self.confidences[int(i)] for i in index_M],
        )


def _varies(values_N: Floats) -> bool:
    return bool(len(values_N) > 1 and np.ptp(values_N) > 0)


def _tag_counts(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], tags: Sequence[str]
) -> Integers:
    """Hits, false alarms and misses of each row by tag, (N, 3T)."""
    column = {tag: index for index, tag in enumerate(tags)}
    counts = np.zeros((len(gold), 3, len(tags)), dtype=np.int64)
    for row, truth, ours in zip(counts, gold, predicted, strict=True):
        for expected, found in zip(truth, ours, strict=True):
            if expected == found:
                row[0, column[found]] += 1
            else:
                row[1, column[found]] += 1
                row[2, column[expected]] += 1
    return counts.reshape(len(gold), -1)
