"""Fine-tuning: rows a second and accuracy against transformers' Trainer, and our loop's overhead.

    .venv/bin/python bench/training.py --data DIR --json OUT [--quick] [--epochs N] [--rounds N]

Rates come from short trainings, each in a process of its own, ours and the peers' in turn: rows of
the timed steps over the time between the end of the last warm-up step and the end of the last step.
No evaluation, no saving and no start-up falls into that time, for ours or for the peers. Accuracy
comes from one whole training of each on the same rows, judged on the official test rows. Ours is
the training stage as `mw run` calls it; the rows are those of our data stage, for the peers too.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from _report import HERE, arguments, measure, report, row, say
from _sample import copy_some

BATCH_ROWS, MAX_TOKENS, TUTORIAL_TOKENS = 32, 256, 128
TRAINER = "transformers' Trainer with its defaults"
TUTORIAL = f"transformers' Trainer, everything padded to {TUTORIAL_TOKENS}"
BARE = "a bare PyTorch loop: same batches collated beforehand, model, optimizer, schedule, clipping"


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: times that each rate is measured, in turn.
        warm: steps before the clock starts.
        ours: timed steps of ours a round; like-length batches differ, so it takes more of them.
        peer: timed steps of the Trainer a round.
        tutorial: timed steps of the tutorial's way a round.
        bare: timed steps of the bare loop and of our loop a round.
        epochs: of the whole trainings.
    """

    rounds: int
    warm: int
    ours: int
    peer: int
    tutorial: int
    bare: int
    epochs: float


FULL = Sizes(rounds=3, warm=5, ours=200, peer=60, tutorial=20, bare=100, epochs=3)
QUICK = Sizes(rounds=1, warm=1, ours=4, peer=2, tutorial=1, bare=3, epochs=0.1)


def main() -> None:
    """Parse, measure, report."""
    parser = arguments(__doc__, "a few steps on a few hundred rows, to see it work")
    parser.add_argument("--epochs", type=float, help=f"whole trainings (default {FULL.epochs:g})")
    parser.add_argument("--rounds", type=int, help=f"rounds of rates (default {FULL.rounds})")
    options = parser.parse_args()
    given = QUICK if options.quick else FULL
    sizes = Sizes(
        **{
            **given.__dict__,
            "epochs": options.epochs or given.epochs,
            "rounds": options.rounds or given.rounds,
        }
    )
    with tempfile.TemporaryDirectory(prefix="modelwright-training-") as name:
        folder = Path(name)
        data = copy_some(options.data, folder / "data", ["banking77"]) if options.quick else None
        rows, conditions = measured(data or options.data, folder, sizes)
    libraries = ("modelwright", "torch", "transformers", "accelerate", "tokenizers", "numpy")
    report("training.py", rows, options.json, libraries, quick=options.quick, conditions=conditions)


def measured(data: Path, folder: Path, sizes: Sizes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """All rows, and the conditions they were measured under."""
    say("the data stage")
    shared = ours("rows", folder, "--data", data, "--epochs", sizes.epochs)
    rates = rates_in_turn(folder, sizes, shared)
    say("our loop and the bare loop in turn")
    overhead = ours("bare", folder, *timed(sizes.bare, sizes), "--rounds", sizes.rounds)
    say(f"whole trainings of {sizes.epochs:g} epochs")
    whole = ours("whole", folder, "--epochs", sizes.epochs)
    say(f"  ours {whole['accuracy']:.4f} in {whole['seconds']:.0f} s")
    whole_peer = trainer(folder, shared, "--epochs", sizes.epochs)
    say(f"  Trainer {whole_peer['accuracy']:.4f} in {whole_peer['seconds']:.0f} s")
    conditions = {
        **shared,
        "sizes": sizes.__dict__,
        "peer_environment": "the interpreter and libraries of ours, in a process of its own",
        "counted": "steps between stamps; no start-up, evaluation or saving, for ours and theirs",
    }
    return rows_of(rates, overhead, whole, whole_peer, sizes), conditions


def rates_in_turn(
    folder: Path, sizes: Sizes, shared: dict[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Rates of ours, the Trainer and the tutorial's way, round by round."""
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "trainer": [], "tutorial": []}
    for number in range(sizes.rounds):
        found["ours"].append(ours("rate", folder, *timed(sizes.ours, sizes)))
        found["trainer"].append(trainer(folder, shared, *timed(sizes.peer, sizes)))
        padded = ("--padding", "max_length", *timed(sizes.tutorial, sizes))
        tutorial = {**shared, "max_tokens": TUTORIAL_TOKENS}
        found["tutorial"].append(trainer(folder, tutorial, *padded))
        shown = {name: round(kind[-1]["rows_per_second"], 1) for name, kind in found.items()}
        say(f"round {number + 1} of {sizes.rounds}, rows a second: {shown}")
    return found


def timed(steps: int, sizes: Sizes) -> tuple[str, ...]:
    """Arguments of a worker that times some steps."""
    return ("--steps", str(steps), "--warm", str(sizes.warm))


def ours(kind: str, folder: Path, *more: Any) -> dict[str, Any]:
    """One measurement of ours in a fresh process."""
    program = HERE / "workers" / "training.py"
    return measure([sys.executable, program, kind, "--folder", folder, *map(str, more)])


def trainer(folder: Path, shared: dict[str, Any], *more: Any) -> dict[str, Any]:
    """One measurement of the peer in a fresh process, with our rows and our learning rate."""
    return measure(
        [
            sys.executable, HERE / "peers" / "trainer.py", "--rows", folder,
            "--model", shared["model"], "--batch", BATCH_ROWS,
            "--rate", shared["learning_rate"], "--max-tokens", shared["max_tokens"],
            *map(str, more),
        ]
    )  # fmt: skip


def rows_of(
    rates: dict[str, list[dict[str, Any]]],
    overhead: dict[str, Any],
    whole: dict[str, Any],
    whole_peer: dict[str, Any],
    sizes: Sizes,
) -> list[dict[str, Any]]:
    """The figures asked for."""
    by = {name: [one["rows_per_second"] for one in kind] for name, kind in rates.items()}
    middle = {name: median(values) for name, values in by.items()}
    rounded = {name: [round(value, 1) for value in values] for name, values in by.items()}
    points = 100 * (whole["accuracy"] - whole_peer["accuracy"])
    quality = {
        "accuracy": whole["accuracy"],
        "peer_accuracy": whole_peer["accuracy"],
        "points_above_peer": round(points, 2),
        "within_half_a_point": points >= -0.5,
    }
    return [
        row(
            "fine-tuning rows a second over transformers' Trainer with its defaults (random "
            "batches, dynamic padding, fp32), same model, data, batch rows, epochs and final "
            "accuracy within 0.5 points, BANKING77",
            middle["ours"], "rows/s", peer=TRAINER, peer_value=middle["trainer"],
            at_least=4, aim=7, judged="ratio", **quality,
            rounds={"ours": rounded["ours"], "peer": rounded["trainer"]},
        ),
        row(
            f"the same over the tutorial's way (padded to {TUTORIAL_TOKENS})",
            middle["ours"], "rows/s", peer=TUTORIAL, peer_value=middle["tutorial"],
            at_least=12, aim=25, judged="ratio",
            rounds={"ours": rounded["ours"], "peer": rounded["tutorial"]},
            note=f"only {sizes.tutorial} timed steps a round of the tutorial's way",
        ),
        row(
            "our loop's overhead over a bare PyTorch loop with the same batches",
            overhead["percent"], "%", better="lower", peer=BARE, peer_value=0.0,
            ratio=overhead["ratio"], at_least=10, aim=3,
            rounds=overhead["rounds"], note="no evaluations, no saving; collating is ours only",
        ),
        row(
            f"accuracy on the official test rows after {sizes.epochs:g} epochs, BANKING77",
            whole["accuracy"], "share", peer=TRAINER, peer_value=whole_peer["accuracy"],
            points_above_peer=round(points, 2), ours=whole, theirs=whole_peer,
        ),
        row(
            "a whole training, rows a second with evaluations and saving of each kind's defaults",
            whole["rows_per_second"], "rows/s", peer=TRAINER,
            peer_value=whole_peer["rows_per_second"],
            note="ours evaluates the validation rows and keeps the best after every epoch and "
            "saves every minute; the Trainer evaluates never and saves every 500 steps",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
