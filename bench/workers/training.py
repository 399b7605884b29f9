"""Our side of bench/training.py, one measurement a process; prints one JSON object.

    rows     the data stage; train.jsonl and test.jsonl for the peer
    rate     rows a second of the training loop
    bare     the same steps in our loop and in a bare loop, in turn
    whole    the training stage and the accuracy of its checkpoint

All of them read what `rows` left in --folder.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelwright import plugs
from modelwright.artifacts.dataset import Dataset
from modelwright.models.attention import fast_attention
from modelwright.models.checkpoint import TrainedModel, open_checkpoint
from modelwright.recipe.schema import Data, Finetune
from modelwright.runtime.device import StopFlag
from modelwright.train.batches import LengthBatches
from modelwright.train.features import collate_targets
from modelwright.train.loop import Loop, fit
from modelwright.train.stage import (
    TrainRequest,
    make_loop,
    method_of,
    prepare_training,
    run,
)

TASK, BASE, BATCH_ROWS = "text-classification", "minilm-l6", 32


class Clock:
    """Stands where the progress bar does and stamps the end of every step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def advance(self, amount: float = 1) -> None:
        """A step has ended."""
        self.times.append(time.perf_counter())

    def note(self, text: str) -> None:
        """Shown nowhere."""


def main() -> None:
    """Parse and measure one thing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("kind", choices=["rows", "rate", "bare", "whole"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--warm", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    kinds = {"rows": make_rows, "rate": loop_rate, "bare": against_bare, "whole": whole}
    print(json.dumps(kinds[options.kind](options)))


# -- the rows -------------------------------------------------------------------------------------


def make_rows(options: argparse.Namespace) -> dict[str, Any]:
    """Run the data stage; write its rows for the peer; say what the peer must know of ours."""
    from modelwright.data import DataRequest
    from modelwright.data import run as run_data

    output = options.folder / "dataset"
    output.mkdir()
    source = options.data.resolve() / "banking77"
    splits = {name: str(source / f"{name}.csv") for name in ("train", "test")}
    data = Data.model_validate({"splits": splits, "columns": {"text": "text", "label": "label"}})
    cls = plugs.load("task", TASK).cls
    dataset = run_data(
        DataRequest(data=data, task=cls, folder=options.folder, output=output, options=defaults())
    )
    prepared = prepare_training(request_of(options.folder, options.epochs))
    labels = list(prepared.model.task.spec.labels)
    for split in ("train", "test"):
        write_rows(dataset, split, labels, cls, options.folder)
    (options.folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    return {
        "model": str(prepared.base.folder),
        "rows": dict(dataset.info.rows),
        "classes": len(labels),
        "mean_tokens": round(float(prepared.table.lengths.mean()), 2),
        "max_tokens": prepared.shape.max_tokens,
        "learning_rate": prepared.settings.learning_rate,
        "settings": prepared.settings.as_dict(),
    }


def write_rows(dataset: Dataset, split: str, labels: list[str], cls: Any, folder: Path) -> None:
    """One split as JSON lines of text and label number."""
    with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
        for line in dataset.rows(split):
            label = labels.index(cls.row_labels(line)[0])
            print(json.dumps({"text": line["text"], "label": label}), file=file)


def defaults() -> dict[str, Any]:
    """The task's options as a recipe without any has them."""
    return plugs.load("task", TASK).config().model_dump()


def request_of(folder: Path, epochs: float, scratch: Path | None = None) -> TrainRequest:
    """The training stage's request; `scratch` shared by the workers keeps rows and precision."""
    scratch = scratch or folder / "scratch"
    scratch.mkdir(exist_ok=True)
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(exist_ok=True)
    dataset = Dataset.open(folder / "dataset")
    return TrainRequest(
        finetune=Finetune(epochs=epochs, batch_rows=BATCH_ROWS),
        task=TASK,
        options={**defaults(), "multi_label": dataset.info.multi_label},
        base=BASE,
        effort="standard",
        seed=0,
        dataset=dataset,
        augment=None,
        recipe_folder=folder,
        folder=checkpoint,
        scratch=scratch,
    )


# -- our loop -------------------------------------------------------------------------------------


def loop_of(folder: Path, steps: int) -> Loop:
    """The loop as the stage makes it, cut after some steps, with nothing to evaluate."""
    request = request_of(folder, 1.0)
    prepared = prepare_training(request)
    method_of(request).prepare(prepared.model.network)
    loop, _ = make_loop(request, prepared)
    settings, lengths = prepared.settings, prepared.table.lengths
    size = (settings.batch_rows, settings.batch_tokens)
    share = min(1.0, steps / len(LengthBatches(lengths, *size, 1, settings.seed)))
    return replace(
        loop,
        batches=LengthBatches(lengths, *size, share, settings.seed),
        evaluate=lambda: {loop.model.task.main_metric: 0.0},
        folder=folder,
    )


def fresh(loop: Loop) -> TrainedModel:
    """The model before its first step."""
    model = loop.model
    return TrainedModel(model.task, model.encoder, copy.deepcopy(model.network))


def our_times(loop: Loop) -> list[float]:
    """Stamps of our loop on a fresh copy of the model, in a folder of its own."""
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="modelwright-loop-") as name:
        again = Loop(**{**loop.__dict__, "model": fresh(loop), "folder": Path(name)})
        torch.manual_seed(loop.settings.seed)
        fit(again, clock, StopFlag())  # type: ignore[arg-type]
    return clock.times


def loop_rate(options: argparse.Namespace) -> dict[str, Any]:
    """Rows a second of our loop."""
    loop = loop_of(options.folder, options.warm + options.steps)
    times = our_times(loop)
    rows = sum(len(batch) for batch in list(loop.batches)[options.warm :])
    seconds = times[-1] - times[options.warm - 1]
    found = {"rows_per_second": rows / seconds, "seconds": seconds}
    return {**found, "steps": len(times), "precision": loop.settings.precision}


# -- a bare loop ----------------------------------------------------------------------------------


def against_bare(options: argparse.Namespace) -> dict[str, Any]:
    """Our loop's time over a bare loop's for the same steps, in turn."""
    loop = loop_of(options.folder, options.warm + options.steps)
    batches = [collated(loop, batch) for batch in loop.batches]
    bare_times(loop, batches)  # kernels are made once a shape: whoever comes first would pay
    rounds: list[dict[str, float]] = []
    kinds = {"bare": lambda: bare_times(loop, batches), "ours": lambda: our_times(loop)}
    for number in range(options.rounds):
        order = list(kinds) if number % 2 == 0 else list(kinds)[::-1]
        pair = {name: kinds[name]() for name in order}
        found = {name: times[-1] - times[options.warm - 1] for name, times in pair.items()}
        rounds.append({name: round(seconds, 3) for name, seconds in found.items()})
    ratio = float(np.median([each["bare"] / each["ours"] for each in rounds]))
    percent = 100 * (1 / ratio - 1)
    return {"percent": percent, "ratio": ratio, "rounds": rounds, "steps": len(batches)}


def collated(loop: Loop, batch: list[int]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Inputs and targets of a batch, as tensors."""
    features = loop.table.select(batch)  # type: ignore[union-attr]
    arrays = loop.model.collate(features)
    targets = collate_targets(features, next(iter(arrays.values())).shape[1])
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return inputs, torch.from_numpy(targets)


def bare_times(loop: Loop, batches: list[Any]) -> list[float]:
    """Stamps of a for-loop with the same model, optimizer, schedule, clipping and precision."""
    model, settings = fresh(loop), loop.settings
    network = model.network.train()
    torch.manual_seed(settings.seed)
    optimizer = optimizer_of(network, settings)
    warm = max(1, round(len(batches) * settings.warmup))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 1 - step / len(batches))
    )
    clock, total = Clock(), torch.zeros(())
    with fast_attention(network.backbone, settings.precision):  # as in our loop: loops are compared
        for inputs, targets in batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bf16"):
                logits = network(**inputs)
            loss = model.task.loss(logits, targets, loop.loss)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            total += loss.detach()
            clock.advance()
    return clock.times


def optimizer_of(network: torch.nn.Module, settings: Any) -> torch.optim.Optimizer:
    """Fused AdamW with decay on matrices but not on embeddings, as in our loop."""
    embeddings = {
        id(part.weight) for part in network.modules() if isinstance(part, torch.nn.Embedding)
    }
    decayed = [w for w in network.parameters() if w.ndim > 1 and id(w) not in embeddings]
    known = {id(weight) for weight in decayed}
    others = [weight for weight in network.parameters() if id(weight) not in known]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


# -- a whole training -----------------------------------------------------------------------------


def whole(options: argparse.Namespace) -> dict[str, Any]:
    """The training stage, then the share of test rows that its checkpoint answers right."""
    request = request_of(options.folder, options.epochs, options.folder / "whole")
    training = run(request)
    model = open_checkpoint(request.folder)
    rows = request.dataset.rows("test")
    answers = model.predict([model.task.example(line) for line in rows])
    right = [
        answer["label"] == model.task.row_labels(line)[0]
        for answer, line in zip(answers, rows, strict=True)
    ]
    seen = request.dataset.info.rows["train"] * options.epochs
    return {
        "accuracy": sum(right) / len(right),
        "seconds": training["loop_seconds"],
        "stage_seconds": training["seconds"],
        "steps": training["steps"],
        "rows_per_second": round(seen / training["loop_seconds"], 2),
        "best": training["best"],
        "precision": training["precision"],
        "parameters": training["parameters"],
    }


if __name__ == "__main__":
    main()
