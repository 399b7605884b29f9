"""A few real steps on real shapes, to predict what training will take on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from modelwright.runtime.machine import measured, resident_mb
from modelwright.tasks import LossSettings
from modelwright.train.batches import LengthBatches
from modelwright.train.features import FeatureTable, collate_targets
from modelwright.train.stage import (
    Prepared,
    TrainRequest,
    compact_vocabulary,
    method_of,
    prepare_training,
)
from modelwright.train.suspicious import MOST_ROWS

WARM_UP = 2


@dataclass(frozen=True)
class Calibration:
    """What was measured and what follows for the whole run."""

    training_seconds: float
    evaluations: int
    forward_seconds_a_row: float
    encode_seconds_a_row: float
    label_check_seconds: float
    peak_mb: float
    parameters: int
    modality: str
    facts: dict[str, Any]


def calibrate(request: TrainRequest, rows: int, steps: int) -> Calibration:
    """Time a few steps and a forward pass, and scale them to `rows` training rows.

    Args:
        request: as the training stage gets it; its dataset may be a sample.
        rows: training rows of the whole data.
        steps: timed steps for each of three batch shapes.
    """
    with measured() as usage:
        started = time.perf_counter()
        prepared = prepare_training(request, rows=rows)
        encode_seconds = time.perf_counter() - started
        network = prepared.model.network
        method_of(request).prepare(network)
        compact = compact_vocabulary(request, prepared.model, prepared.table)
        table = prepared.table
        if compact is not None:
            compact.shrink()
            table = table.map_ids(compact.table)
        settings = prepared.settings
        batches = LengthBatches(
            table.lengths, settings.batch_rows, settings.batch_tokens, 1, settings.seed
        )
        epoch = list(batches)
        costs = np.array([_cost(table, batch) for batch in epoch])
        per_step = _step_line(prepared, table, epoch, costs, steps)
        forward = _forward_seconds(prepared, table)
    sampled = max(1, len(table))
    scale = rows / sampled
    predicted = float(np.sum(per_step[0] + per_step[1] * costs)) * settings.epochs * scale
    return Calibration(
        training_seconds=predicted,
        evaluations=max(1, round(settings.epochs)),
        forward_seconds_a_row=forward,
        encode_seconds_a_row=min(0.001, encode_seconds / sampled),
        label_check_seconds=_label_check(prepared, rows, forward),
        peak_mb=max(usage.peak_mb, resident_mb()) + 0.0005 * rows,
        parameters=sum(weight.numel() for weight in network.parameters()),
        modality=prepared.model.task.modality,
        facts={
            "epochs": settings.epochs,
            "steps": round(len(epoch) * settings.epochs * scale),
            "batch_rows": settings.batch_rows,
            "precision": settings.precision,
            "rows_per_second": round(rows * settings.epochs / max(predicted, 1e-9), 1),
            "base": prepared.base.id,
            "licence": prepared.base.licence,
        },
    )


def _cost(table: FeatureTable, batch: list[int]) -> float:
    """Tokens of a batch with padding (rows for images)."""
    lengths = table.lengths[batch]
    return float(lengths.max() * len(batch))


def _step_line(
    prepared: Prepared, table: FeatureTable, epoch: list[list[int]], costs: np.ndarray, steps: int
) -> tuple[float, float]:
    """Seconds a step as a + b x tokens, through batches at the 10th, 50th and 90th percentile."""
    order = np.argsort(costs, kind="stable")
    chosen = [epoch[order[int(share * (len(order) - 1))]] for share in (0.1, 0.5, 0.9)]
    network = prepared.model.network.train()
    optimizer = torch.optim.AdamW(
        [weight for weight in network.parameters() if weight.requires_grad], lr=0.0, fused=True
    )
    points: list[tuple[float, float]] = []
    for batch in chosen:
        times = [_one_step(prepared, table, batch, optimizer) for _ in range(WARM_UP + steps)]
        points.append((_cost(table, batch), float(np.median(times[WARM_UP:]))))
    x, y = np.array(points).T
    if np.ptp(x) == 0:
        return float(y.mean()), 0.0
    slope = max(0.0, float(np.polyfit(x, y, 1)[0]))
    return max(0.0, float(y.mean() - slope * x.mean())), slope


def _one_step(prepared: Prepared, table: FeatureTable, batch: list[int], optimizer: Any) -> float:
    started = time.perf_counter()
    model, settings = prepared.model, prepared.settings
    features = table.select(batch)
    arrays = model.collate(features)
    targets = torch.from_numpy(collate_targets(features, next(iter(arrays.values())).shape[1]))
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bf16"):
        loss = model.task.loss(model.network(**inputs), targets, LossSettings())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - started


def _forward_seconds(prepared: Prepared, table: FeatureTable) -> float:
    features = table.select(range(min(256, len(table))))
    prepared.model.logits(features[:32])
    started = time.perf_counter()
    prepared.model.logits(features)
    return (time.perf_counter() - started) / max(1, len(features))


def _label_check(prepared: Prepared, rows: int, forward: float) -> float:
    task = prepared.model.task
    checked = task.head == "sequence" and len(task.spec.labels) >= 2 and not task.spec.multi_label
    if not checked or prepared.base.folder is None or rows > MOST_ROWS:
        return 0.0
    return rows * forward + 0.5
