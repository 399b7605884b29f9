"""The training loop: transformers' Trainer with our batches, loss, optimizer groups and resume.

A run is one long epoch to the Trainer, so its own resume (skip the batches done, restore weights,
optimizer and random states) is exact. Checkpoints are taken after every evaluation and every
minute; one counts only when its `whole` marker is there.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from modelwright.errors import UserError
from modelwright.models.attention import fast_attention
from modelwright.models.checkpoint import TrainedModel
from modelwright.runtime.device import StopFlag, accelerator
from modelwright.runtime.files import read_json, write_json
from modelwright.runtime.machine import release_memory, trim_heap
from modelwright.runtime.progress import Bar
from modelwright.tasks import LossSettings
from modelwright.train.augmenting import Augmented
from modelwright.train.averaging import EVERY, WeightAverage
from modelwright.train.batches import LengthBatches, Visits
from modelwright.train.features import FeatureTable, collate_targets
from modelwright.train.settings import Settings

SAVE_EVERY_S = 60.0
TRIM_EVERY_S = 5.0
"""Batches of many shapes leave the C library's heap full of holes: +680 MB in an epoch that needed
480 (docs/lab.md). Giving them back costs the touching of those pages anew, so not at every step."""
WHOLE = "whole"
AVERAGE = "average.safetensors"
LOG_STEPS = 10
FIRST_STEPS = 3
"""Steps that are slower than others, since they bring kernels and buffers about."""


Objective: TypeAlias = Callable[[Any, dict[str, torch.Tensor], torch.Tensor], torch.Tensor]


@dataclass
class Loop:
    """What one training run is made of.

    Attributes:
        model: the network to be trained, with task and encoder.
        table: training features (ids already mapped to the network's embeddings), or the same
            varied at every access.
        batches: the run's batches.
        settings: complete settings.
        loss: label smoothing and class weights.
        evaluate: scores of the validation rows, by name.
        validation_rows: how many those are.
        folder: scratch folder of this run; checkpoints live in it.
        report_to: the Trainer's reporting integrations.
        log_folder: where those write.
        objective: loss from the network, a batch's inputs and its targets; the task's own loss
            when there is none.
        deadline: `time.monotonic()` after which no further epoch begins.
    """

    model: TrainedModel
    table: FeatureTable | Augmented
    batches: LengthBatches
    settings: Settings
    loss: LossSettings
    evaluate: Callable[[], dict[str, float]]
    validation_rows: int
    folder: Path
    report_to: list[str]
    log_folder: Path
    objective: Objective | None = None
    deadline: float = math.inf


def fit(loop: Loop, bar: Bar, stop: StopFlag) -> dict[str, Any]:
    """Train, keep the best, leave it in `loop.model`.

    Returns:
        history, evaluations, best and steps, as `training.json` has them, and `step_seconds`: of
        a step on average, without what comes once (kernels, the GPU's start) and evaluations.

    Raises:
        KeyboardInterrupt: asked to stop; the state is saved and the next call goes on.
        UserError: MW-401 when the loss is not a number.
    """
    loop.model.network.to(accelerator())  # before anything refers to its tensors
    horizon = loop.settings.ema * len(loop.batches)
    average = WeightAverage(loop.model.network, horizon) if horizon >= EVERY else None
    watcher = _Watcher(loop, bar, stop, average)
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    resume = newest_checkpoint(loop.folder)
    if resume is not None:
        bar.resume(int(resume.name.rpartition("-")[2]))
        if average is not None:
            average.load(resume / AVERAGE)
    attention = fast_attention(loop.model.network.backbone, loop.settings.precision)
    with _tracking(loop), attention:
        trainer = _Trainer(loop, watcher)
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if watcher.interrupted:
        raise KeyboardInterrupt
    loop.model.network.to("cpu")
    best = read_json(loop.folder / "best.json")
    _load(loop.model.network, loop.folder / "best.safetensors")
    state = trainer.state
    return {
        "history": [entry for entry in state.log_history if "loss" in entry],
        "evaluations": [_evaluation(entry) for entry in state.log_history if "eval_at" in entry],
        "best": best,
        "steps": state.global_step,
        "step_seconds": round(watcher.step_seconds, 6),
    }


@contextmanager
def _tracking(loop: Loop) -> Iterator[None]:
    """Trackers write beside the checkpoint unless the environment names another place.

    Raises:
        UserError: MW-404 when MLflow refuses.
    """
    if not loop.report_to:
        yield
        return
    folder = loop.log_folder
    folder.mkdir(parents=True, exist_ok=True)
    places = {
        "TENSORBOARD_LOGGING_DIR": str(folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    ours = {name: place for name, place in places.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "mlflow":
            raise
        raise UserError(
            "MW-404",
            f"MLflow refused: {str(error).splitlines()[0]}",
            expected="a tracking server or database that answers",
            fix="correct MLFLOW_TRACKING_URI, or take mlflow out of finetune.report_to",
        ) from error
    finally:
        for name in ours:
            os.environ.pop(name, None)


def newest_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint that was written whole; broken ones are removed."""
    found: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*"):
        if (path / WHOLE).is_file():
            found.append((int(path.name.rpartition("-")[2]), path))
        else:
            shutil.rmtree(path, ignore_errors=True)
    return max(found)[1] if found else None


class _Trainer(Trainer):
    def __init__(self, loop: Loop, watcher: _Watcher) -> None:
        self.loop, self.average = loop, watcher.average
        super().__init__(
            model=loop.model.network,
            args=_arguments(loop),
            train_dataset=loop.table,  # type: ignore[arg-type]
            eval_dataset=loop.table,  # type: ignore[arg-type]
            callbacks=[watcher],
        )
        self.remove_callback(ProgressCallback)
        self.remove_callback(PrinterCallback)
        watcher.trainer = self

    def get_train_dataloader(self) -> Any:
        varied = isinstance(self.loop.table, Augmented)
        batches = Visits(self.loop.batches) if varied else self.loop.batches
        loader = torch.utils.data.DataLoader(
            self.loop.table,  # type: ignore[arg-type]
            batch_sampler=batches,  # type: ignore[arg-type]
            collate_fn=self._collate,
            generator=torch.Generator().manual_seed(self.loop.settings.seed),
        )
        return self.accelerator.prepare(loader)

    def _collate(self, features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        arrays = self.loop.model.collate(features)
        width = next(iter(arrays.values())).shape[1]
        arrays["targets"] = collate_targets(features, width)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        targets = inputs.pop("targets")
        if self.loop.objective is not None:
            loss = self.loop.objective(model, inputs, targets)
            return (loss, None) if return_outputs else loss
        logits = model(**inputs)
        loss = self.loop.model.task.loss(logits, targets, self.loop.loss)
        return (loss, logits) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        network = self.loop.model.network
        settings = self.loop.settings
        embeddings = {
            id(module.weight)
            for module in network.modules()
            if isinstance(module, torch.nn.Embedding)
        }
        groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
        for weight in network.parameters():
            if weight.requires_grad:
                groups[weight.ndim > 1 and id(weight) not in embeddings].append(weight)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": groups[True], "weight_decay": settings.weight_decay},
                {"params": groups[False], "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
            fused=True,
        )
        return self.optimizer

    def evaluate(self, *_args: Any, **_kwargs: Any) -> dict[str, float]:
        at = self.loop.batches.ends.index(self.state.global_step) + 1
        with self.average.applied() if self.average is not None else nullcontext():
            scores = self.loop.evaluate()
            metrics = {f"eval_{name}": value for name, value in scores.items()}
            self.log({**metrics, "eval_at": at})
            self.control = self.callback_handler.on_evaluate(
                self.args, self.state, self.control, metrics
            )
        release_memory()
        return metrics


class _Watcher(TrainerCallback):
    """Evaluates at each epoch's end, keeps the best, saves often, shows progress, stops."""

    def __init__(self, loop: Loop, bar: Bar, stop: StopFlag, average: WeightAverage | None) -> None:
        self.loop, self.bar, self.stop, self.average = loop, bar, stop, average
        self.trainer: Any = None
        self.interrupted = False
        self.saved = self.trimmed = time.monotonic()
        self.ends = set(loop.batches.ends)
        self.step_times: list[float] = []
        self.began = self.saved

    @property
    def step_seconds(self) -> float:
        """Mean of the steps after the first few; 0.0 where there was none."""
        usual = self.step_times[FIRST_STEPS:] or self.step_times
        return sum(usual) / max(1, len(usual))

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        self.step_times.append(time.monotonic() - self.began)
        self.bar.advance()
        if self.average is not None:
            self.average.update(state.global_step)
        if time.monotonic() - self.trimmed > TRIM_EVERY_S:
            trim_heap()
            self.trimmed = time.monotonic()
        if state.global_step in self.ends:
            control.should_evaluate = control.should_save = True
        elif self.stop.raised:
            self.interrupted = control.should_save = control.should_training_stop = True
        elif time.monotonic() - self.saved > SAVE_EVERY_S:
            control.should_save = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(float(loss)):
            raise UserError(
                "MW-401",
                f"the loss became {loss} at step {state.global_step}",
                expected="a falling, finite loss",
                fix=f"lower finetune.learning_rate (now {self.loop.settings.learning_rate:g})",
            )
        self.bar.note(f"loss {float(loss):.3f}")

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        main = self.loop.model.task.main_metric
        past = [_evaluation(entry) for entry in state.log_history if "eval_at" in entry]
        now = past[-1]
        path = self.loop.folder / "best.json"
        if within_chance([entry[main] for entry in past], self.loop.validation_rows):
            self._keep_best({"metric": main, "value": now[main], **_place(now)}, path)
        if self.stop.raised and state.global_step < state.max_steps:
            self.interrupted = control.should_training_stop = True
        elif (
            _stalled(past, main, self.loop.settings.early_stopping)
            or time.monotonic() > self.loop.deadline
        ):
            control.should_training_stop = True
        return control

    def _keep_best(self, best: dict[str, Any], path: Path) -> None:
        from safetensors.torch import save_file

        weights = {
            name: value.detach().contiguous()
            for name, value in self.loop.model.network.state_dict().items()
        }
        temporary = self.loop.folder / "best.safetensors.tmp"
        save_file(weights, str(temporary))
        os.replace(temporary, self.loop.folder / "best.safetensors")
        write_json(path, best)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = self.loop.folder / f"checkpoint-{state.global_step}"
        if self.average is not None:
            self.average.save(folder / AVERAGE)
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        (folder / WHOLE).write_text(json.dumps({"step": state.global_step}))
        for old in self.loop.folder.glob("checkpoint-*"):
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)
        self.saved = time.monotonic()


def _arguments(loop: Loop) -> TrainingArguments:
    settings, steps = loop.settings, len(loop.batches)
    return TrainingArguments(
        output_dir=str(loop.folder),
        num_train_epochs=1,
        max_steps=steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(steps * settings.warmup),
        bf16=settings.precision == "bf16",
        use_cpu=accelerator() == "cpu",
        save_strategy="no",
        eval_strategy="no",
        logging_steps=LOG_STEPS,
        logging_nan_inf_filter=False,
        report_to=list(loop.report_to) or "none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        seed=settings.seed,
        log_level="error",
    )


def _evaluation(entry: dict[str, Any]) -> dict[str, Any]:
    scores = {
        name.removeprefix("eval_"): value
        for name, value in entry.items()
        if name.startswith("eval_") and name != "eval_at"
    }
    return {"epoch": entry["eval_at"], "step": entry["step"], **scores}


def _place(evaluation: dict[str, Any]) -> dict[str, Any]:
    return {"epoch": evaluation["epoch"], "step": evaluation["step"]}


def within_chance(values: list[float], rows: int) -> bool:
    """Whether the last value is at most half a standard error of a share below the best so far.

    The rate falls to its end, so of evaluations that chance could order otherwise the last is the
    best guess (docs/decisions/008).
    """
    best = max(values)
    share = min(max(best, 0.0), 1.0)
    return values[-1] >= best - 0.5 * math.sqrt(share * (1 - share) / max(1, rows))


def _stalled(past: list[dict[str, Any]], main: str, patience: int) -> bool:
    """Whether the last `patience` evaluations brought no gain."""
    if not patience or len(past) <= patience:
        return False
    best_before = max(entry[main] for entry in past[:-patience])
    return max(entry[main] for entry in past[-patience:]) <= best_before


def _load(network: torch.nn.Module, path: Path) -> None:
    from safetensors.torch import load_file

    network.load_state_dict(load_file(str(path)))
