"""What a simple method reaches on the same rows; a model that is no better has learnt nothing.

    one or several labels   majority; TF-IDF and a linear classifier (images: their pixels)
    regression              mean; TF-IDF and ridge regression
    token classification    dictionary: each word's most frequent tag in training

The linear baseline follows Wang and Manning 2012 in spirit: word and character n-grams with a
linear classifier are hard to beat on small text data and take seconds.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from modelwright.evaluate import _rows
from modelwright.evaluate._training import Training, sampled_rows
from modelwright.evaluate.suites import Context
from modelwright.metrics.comparing import compared
from modelwright.metrics.evidence import (
    ClassEvidence,
    Evidence,
    MultiLabelEvidence,
    RegressionEvidence,
    SpanEvidence,
)
from modelwright.tasks import Row

_MOST_CELLS = 4_000_000  # rows times classes that the linear baseline learns: some 20 s
_MOST_PICTURES = 10_000
_MOST_TERMS = 100_000
_PICTURE_SIDE = 16
_NO_SPACES = ("zh", "ja", "th", "lo", "my", "km")


def baselines(context: Context, training: Training, most_rows: int) -> list[dict[str, Any]]:
    """Each baseline with its interval and the model's lead, weakest first."""
    makers: list[tuple[str, Callable[[], tuple[Evidence, int]]]] = []
    if isinstance(context.evidence, SpanEvidence):
        if training.word_tags:
            makers.append(("dictionary", lambda: (_dictionary(context, training), training.rows)))
    elif training.rows:
        name = "mean" if isinstance(context.evidence, RegressionEvidence) else "majority"
        makers.append((name, lambda: (_constant(context, training), training.rows)))
        name = "linear-pixels" if context.task.modality == "image" else "linear-tfidf"
        makers.append((name, lambda: _linear(context, most_rows)))
    found = []
    for name, make in makers:
        started = time.perf_counter()
        theirs, rows = make()
        found.append(
            {
                **compared(name, context.evidence, theirs, context.seed),
                "train_rows": rows,
                "seconds": round(time.perf_counter() - started, 2),
            }
        )
    return found


def _dictionary(context: Context, training: Training) -> SpanEvidence:
    best = {word: tags.most_common(1)[0][0] for word, tags in training.word_tags.items()}
    gold = [row["tags"] for row in context.rows]
    predicted = [[best.get(word, "O") for word in _rows.words_of(row)] for row in context.rows]
    return SpanEvidence(gold, predicted, [[1.0] * len(tags) for tags in gold])


def _constant(context: Context, training: Training) -> Evidence:
    """The commonest class; each label that most rows carry; the mean."""
    evidence = context.evidence
    if isinstance(evidence, RegressionEvidence):
        mean = float(
            np.mean([_number(context, row) for row in sampled_rows(context.dataset, 100_000, 0)])
        )
        return RegressionEvidence(evidence.gold_N, np.full(evidence.rows, mean))
    share_C = np.array([training.label_rows.get(label, 0) for label in evidence.labels])  # type: ignore[attr-defined]
    if isinstance(evidence, MultiLabelEvidence):
        frequent_C = share_C * 2 >= training.rows
        if not frequent_C.any():
            frequent_C[share_C.argmax()] = True
        return MultiLabelEvidence(
            evidence.labels, evidence.gold_NC, np.tile(frequent_C.astype(float), (evidence.rows, 1))
        )
    return _certain(evidence, np.full(evidence.rows, share_C.argmax()))  # type: ignore[arg-type]


def _linear(context: Context, most_rows: int) -> tuple[Evidence, int]:
    evidence = context.evidence
    classes = max(1, len(context.task.spec.labels))
    most = min(most_rows, max(2_000, _MOST_CELLS // classes))
    image = context.task.modality == "image"
    train = sampled_rows(
        context.dataset, min(most, _MOST_PICTURES) if image else most, context.seed
    )
    read = _pixels if image else _terms(context.dataset.info.language, train)
    with warnings.catch_warnings():
        # Not converged, or a label that no sampled row carries: still a fair simple method.
        warnings.simplefilter("ignore")
        answers = _fit(context, train, read(train), context.seed)(read(context.rows))
    if isinstance(evidence, RegressionEvidence):
        return RegressionEvidence(evidence.gold_N, np.asarray(answers, dtype=float)), len(train)
    if isinstance(evidence, MultiLabelEvidence):
        found = MultiLabelEvidence(
            evidence.labels, evidence.gold_NC, np.asarray(answers, dtype=float)
        )
        return found, len(train)
    return _certain(evidence, np.asarray(answers)), len(train)  # type: ignore[arg-type]


def _fit(context: Context, train: Sequence[Row], inputs: Any, seed: int) -> Callable[[Any], Any]:
    """Learn the linear method that suits the evidence; gives its `predict`."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    if isinstance(context.evidence, RegressionEvidence):
        targets = [_number(context, row) for row in train]
        return Ridge(alpha=1.0).fit(inputs, targets).predict
    index = {label: number for number, label in enumerate(context.task.spec.labels)}
    if isinstance(context.evidence, MultiLabelEvidence):
        targets = np.zeros((len(train), len(index)), dtype=int)
        for row, flags in zip(train, targets, strict=True):
            flags[[index[label] for label in context.task.row_labels(row) if label in index]] = 1
        return OneVsRestClassifier(LinearSVC(C=0.5, random_state=seed)).fit(inputs, targets).predict
    targets = [index[context.task.row_labels(row)[0]] for row in train]
    if len(set(targets)) < 2:
        return lambda rows: np.full(rows.shape[0], targets[0])
    if context.task.modality == "image":
        return LogisticRegression(C=0.1, max_iter=60).fit(inputs, targets).predict
    # Measured on BANKING77: LinearSVC 0.913 in 4 s, logistic regression 0.913 in 17 s.
    return LinearSVC(C=0.5, random_state=seed).fit(inputs, targets).predict


def _terms(language: str, train: Sequence[Row]) -> Callable[[Sequence[Row]], Any]:
    """TF-IDF of words and of characters; for pairs also what the two texts share."""
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    settings = {"sublinear_tf": True, "max_features": _MOST_TERMS, "dtype": np.float32}
    settings["min_df"] = 2 if len(train) > 2_000 else 1
    if language in _NO_SPACES:
        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), **settings)
    else:
        vectorizer = make_union(
            TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", **settings),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), **settings),
        )
    pair = bool(train) and "text_pair" in train[0]
    texts = [row["text"] for row in train]
    vectorizer.fit([*texts, *(row["text_pair"] for row in train)] if pair else texts)

    def read(rows: Sequence[Row]) -> Any:
        first = vectorizer.transform([row["text"] for row in rows])
        if not pair:
            return first
        second = vectorizer.transform([row["text_pair"] for row in rows])
        shared = first.multiply(second)
        overlap = sparse.csr_matrix(shared.sum(axis=1))
        return sparse.hstack([overlap, shared, abs(first - second), first, second]).tocsr()

    return read


def _pixels(rows: Sequence[Row]) -> Any:
    """Pictures at 16 x 16, colour where any is, between 0 and 1."""
    from PIL import Image

    from modelwright.encoders.image import open_image

    found = []
    for row in rows:
        picture = open_image(_rows.image_of(row) or b"").convert("RGB")
        small = picture.resize((_PICTURE_SIDE, _PICTURE_SIDE), Image.Resampling.BOX)
        found.append(np.asarray(small, dtype=np.float32).ravel() / 255.0)
    return np.stack(found)


def _certain(evidence: ClassEvidence, predicted_N: Any) -> ClassEvidence:
    """Evidence of a method that gives answers without probabilities."""
    one_hot_NC = np.eye(len(evidence.labels))[predicted_N.astype(np.int64)]
    return ClassEvidence(evidence.labels, evidence.gold_N, one_hot_NC)


def _number(context: Context, row: Row) -> float:
    """The target of a regression row, under whichever name the task has it."""
    role = next(role.name for role in context.task.roles if role.target)
    return float(row[role])
