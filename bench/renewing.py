"""Does a renewal bring back what a shift of topic took? 200 labels, bought by choice or at random.

The old model knows 12 intents of BANKING77. Then half of the traffic turns to 8 intents of
CLINC150's travel, home, work, kitchen and car domains, of which the old model knows nothing. 200
labels are bought from 1,000 recorded requests, by the renewal's choice and (the peer) by chance,
and the model is renewed by `mw renew` with either. Quality is measured on 400 other requests.

    loss        accuracy on usual traffic - accuracy on shifted traffic, old model
    recovered   (accuracy of the new - accuracy of the old, on shifted traffic) / loss
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _report import SOURCE, arguments, report, row, say

sys.path.insert(0, str(SOURCE))

BUDGET = 200
INTENTS, FOREIGN = 12, 8
TOPICS = ("travel", "home", "work", "auto_and_commute", "kitchen_and_dining")
RECIPE = """
name: renewing
task: text-classification
effort: quick
base: minilm-l6
data:
  columns: {text: text, label: label}
  splits: {train: train.csv, validation: 0.1, test: test.csv}
finetune: {epochs: 3}
evaluate: {suites: [quality]}
package: {formats: [torch, onnx]}
renew: {new_labels: true, max_drop: 2.0}
"""
Rows = list[tuple[str, str]]


def main() -> None:
    parser = arguments(__doc__, "a quarter of the rows; says that it runs, not how well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="renewing-") as scratch:
        folder = Path(scratch)
        told = measure(options.data, folder, scale=4 if options.quick else 1)
    rows = [
        row(
            "renewed model against the old, after a planted topic shift with 200 labels bought: "
            "share of the loss recovered",
            told["chosen"]["recovered"],
            "of the loss",
            peer="the same with 200 labels of random requests",
            peer_value=told["random"]["recovered"],
            at_least=0.5,
            aim=0.8,
        ),
        row("requests of the foreign topic among those bought", told["chosen"]["foreign"], "of 1",
            peer="random", peer_value=told["random"]["foreign"]),
        row("foreign intents found by what was bought", told["chosen"]["intents"], f"of {FOREIGN}",
            peer="random", peer_value=told["random"]["intents"]),
        row("choosing 200 of 1,000 requests", told["chosen"]["choosing_s"], "s", better="lower"),
        row("renewal: training to proof", told["chosen"]["renewing_s"], "s", better="lower",
            peer="random", peer_value=told["random"]["renewing_s"]),
    ]  # fmt: skip
    report("renewing.py", rows, options.json, ["torch", "onnxruntime"], accuracies=told)


def measure(data: Path, folder: Path, scale: int) -> dict[str, Any]:
    """The whole comparison; `scale` divides the rows."""
    from modelwright.pipeline.running import run

    usual, foreign = usual_rows(data), foreign_rows(data)
    chance = random.Random(0)
    counts = {"train": 600 // scale, "test": 200 // scale}
    write(folder / "train.csv", usual["train"][: counts["train"]])
    write(folder / "test.csv", usual["test"][: counts["test"]])
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    half = 500 // scale
    rest = usual["train"][counts["train"] :]
    asked = [*rest[:half], *foreign["train"][:half]]
    chance.shuffle(asked)
    tests = {"usual": usual["test"][counts["test"] :][: 200 // scale]}
    tests["shifted"] = [*tests["usual"], *foreign["test"][: len(tests["usual"])]]
    say(f"training the old model on {counts['train']} rows")
    run(folder / "recipe.yaml")
    old = folder / "runs" / "renewing" / "bundle"
    before = {name: accuracy(old, rows) for name, rows in tests.items()}
    loss = before["usual"] - before["shifted"]
    told: dict[str, Any] = {"old": before, "loss": loss, "rows": {"asked": len(asked)}}
    record(folder / "traffic", asked)
    for way in ("chosen", "random"):
        told[way] = renewed(folder, way, asked, BUDGET // (1 if scale == 1 else 2))
        after = {name: accuracy(told[way]["bundle"], rows) for name, rows in tests.items()}
        told[way] |= {
            "bundle": None,
            "accuracy": after,
            "recovered": (after["shifted"] - before["shifted"]) / loss,
        }
        say(f"{way}: {told[way]}")
    return told


def renewed(folder: Path, way: str, asked: Rows, budget: int) -> dict[str, Any]:
    """One renewal with labels that were bought one way or the other."""
    from modelwright.errors import GateError
    from modelwright.renew.asked import Asked
    from modelwright.renew.stage import renew

    out = folder / f"renewal-{way}"
    request = Asked(folder / "recipe.yaml", folder / "traffic", budget=budget, output=out)
    truth = dict(asked)
    begun = time.perf_counter()
    if way == "chosen":
        waiting = renew(request)
        with (waiting.folder / "to-label.csv").open(encoding="utf-8-sig", newline="") as file:
            texts = [one["text"] for one in csv.DictReader(file)]
    else:
        texts = random.Random(1).sample(sorted(truth), budget)
    choosing = time.perf_counter() - begun
    labels = folder / f"{way}.csv"
    write(labels, [(text, truth[text]) for text in texts])
    begun = time.perf_counter()
    request = Asked(folder / "recipe.yaml", folder / "traffic", labels=(str(labels),), output=out)
    gate = "passed"
    try:
        renew(request)
    except GateError as error:
        gate = error.problems[0].seen
    bought = [truth[text] for text in texts]
    foreign = [label for label in bought if label.startswith("clinc:")]
    return {
        "bundle": out / "001" / "run" / "bundle",
        "labels": len(texts),
        "foreign": len(foreign) / len(texts),
        "intents": len(set(foreign)),
        "choosing_s": choosing,
        "renewing_s": time.perf_counter() - begun,
        "gate": gate,
        "compare": json.loads((out / "001" / "renewal.json").read_text())["steps"].get("compare"),
    }


def accuracy(bundle: Path, rows: Rows) -> float:
    from modelwright.engines import Bundle

    opened = Bundle.open(bundle)
    answers = opened.predict([text for text, _ in rows])
    opened.close()
    right = sum(answer["label"] == label for answer, (_, label) in zip(answers, rows, strict=True))
    return right / len(rows)


def usual_rows(data: Path) -> dict[str, Rows]:
    """Rows of the first intents of BANKING77, in an order of their own."""
    found = {split: read(data / "banking77" / f"{split}.csv") for split in ("train", "test")}
    known = sorted({label for _, label in found["train"]})
    kept = set(random.Random(7).sample(known, INTENTS))
    return {
        split: shuffled([one for one in rows if one[1] in kept]) for split, rows in found.items()
    }


def foreign_rows(data: Path) -> dict[str, Rows]:
    """Rows of intents of other topics of CLINC150."""
    domains = json.loads((data / "clinc150" / "domains.json").read_text(encoding="utf-8"))
    names = sorted(name for topic in TOPICS for name in domains.get(topic, ()))
    kept = set(random.Random(7).sample(names, FOREIGN))
    found = {}
    for split in ("train", "test"):
        rows = [one for one in read(data / "clinc150" / f"{split}.csv") if one[1] in kept]
        found[split] = shuffled([(text, f"clinc:{label}") for text, label in rows])
    return found


def shuffled(rows: Rows) -> Rows:
    """In another order, equal texts once."""
    distinct = list({text: (text, label) for text, label in rows}.values())
    random.Random(3).shuffle(distinct)
    return distinct


def read(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return [(one["text"], one["label"]) for one in csv.DictReader(file)]


def write(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)


def record(folder: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Requests as the service keeps them."""
    from modelwright.artifacts.traffic import TrafficWriter

    shutil.rmtree(folder, ignore_errors=True)
    writer = TrafficWriter(folder, "requests", 10**9)
    now = time.time_ns() // 1_000_000
    writer.add(
        [
            {"time": now, "request_id": f"r{place}", "index": 0, "model": "renewing",
             "version": "old", "input": json.dumps(text), "prediction": "{}", "label": "",
             "score": None}
            for place, (text, _) in enumerate(rows)
        ]
    )  # fmt: skip
    writer.close()


if __name__ == "__main__":
    main()
