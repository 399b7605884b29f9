"""The peer of bench/training.py: transformers' Trainer as its documentation shows it.

AutoModelForSequenceClassification, texts tokenized once, DataCollatorWithPadding (or everything
padded to one length, as in the usual tutorial), the default TrainingArguments but for rows a batch,
epochs and learning rate. Nothing of Modelwright is imported. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Stamps(TrainerCallback):
    """The clock at the end of every step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
        self.times.append(time.perf_counter())


def main() -> None:
    """Either the rate of some steps (--steps), or a whole training with its accuracy."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rows", type=Path, required=True, help="folder with train and test.jsonl")
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="learning rate")
    parser.add_argument("--max-tokens", type=int, required=True)
    parser.add_argument("--padding", choices=["longest", "max_length"], default="longest")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--warm", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-trainer-") as folder:
        print(json.dumps(train(options, folder)))


def train(options: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Train as asked."""
    rows = read(options.rows / "train.jsonl")
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    labels = json.loads((options.rows / "labels.json").read_text(encoding="utf-8"))
    stamps = Stamps()
    trainer = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(
            options.model, num_labels=len(labels)
        ),
        args=TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=options.batch,
            learning_rate=options.rate,
            num_train_epochs=options.epochs or 1,
            max_steps=options.warm + options.steps if options.steps else -1,
            per_device_eval_batch_size=64,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=encoded(rows, tokenizer, options),  # type: ignore[arg-type]
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[stamps],
    )
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    if options.steps:
        return rate(stamps.times, options)
    return {
        "accuracy": accuracy(trainer, tokenizer, options),
        "seconds": round(seconds, 2),
        "steps": trainer.state.global_step,
        "rows_per_second": round(len(rows) * options.epochs / seconds, 2),
    }


def rate(times: list[float], options: argparse.Namespace) -> dict[str, Any]:
    """Rows a second from the end of the last warm-up step on."""
    seconds = times[-1] - times[options.warm - 1]
    return {"rows_per_second": options.steps * options.batch / seconds, "seconds": seconds}


def accuracy(trainer: Trainer, tokenizer: Any, options: argparse.Namespace) -> float:
    """Share of test rows that are right."""
    found = trainer.predict(encoded(read(options.rows / "test.jsonl"), tokenizer, options))  # type: ignore[arg-type]
    return float((found.predictions.argmax(axis=1) == found.label_ids).mean())


def encoded(
    rows: list[dict[str, Any]], tokenizer: Any, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Rows as the collator takes them, tokenized beforehand."""
    settings: dict[str, Any] = {"truncation": True, "max_length": options.max_tokens}
    if options.padding == "max_length":
        settings["padding"] = "max_length"
    found = tokenizer([row["text"] for row in rows], **settings)
    return [
        {**{name: values[at] for name, values in found.items()}, "label": row["label"]}
        for at, row in enumerate(rows)
    ]


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
