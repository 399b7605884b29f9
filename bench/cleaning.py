"""Cleaning with near-duplicates: rows a second, memory, linearity and what is found.

    .venv/bin/python bench/cleaning.py --data DIR --json OUT [--quick]

Writes a CSV of natural-looking rows (word pairs of the corpora under DIR where they are, else of a
built-in text), plants exact and near duplicates in it, and runs the whole data stage on it:
reading, checking, normalising, exact and near duplicates, division into splits, leaks between them,
audit, Arrow files. The peer, datasketch's MinHashLSH in an environment of its own, only looks for
near-duplicates, on rows that are in memory already.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEER = "datasketch==1.6.5"
PEER_ROWS = 20_000
ROWS = 1_000_000
EXACT, NEAR = 0.10, 0.05
THRESHOLD = 0.85
BUILT_IN = """I ordered a new card last week and it still has not arrived at my address. Could you
please tell me when the payment will be credited to my account? The application does not open any
more since the last update of the phone. We would like to change the delivery date of the parcel to
next Monday. My transfer was declined although there was enough money on the account. The food was
cold and the driver came an hour late but the staff were friendly. How long does it take until a
refund is shown in the statement of this month? The room was clean and quiet, breakfast was good
and the view over the harbour was beautiful. Is it possible to cancel the order before it is sent?
The battery lasts two days and the screen is bright enough to read outside."""


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the rows")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(run_stage(options.worker)))
    elif options.peer:
        print(json.dumps(run_peer(options.peer)))
    else:
        measure(options.data, options.json, ROWS // 20 if options.quick else ROWS)


def measure(data: Path, out: Path | None, rows: int) -> None:
    """Run everything, print a table, write the JSON."""
    with tempfile.TemporaryDirectory(prefix="modelwright-cleaning-") as name:
        folder = Path(name)
        pairs = word_pairs(data)
        sample = write_csv(folder / "sample", PEER_ROWS, pairs, seed=3)
        quarter = write_csv(folder / "quarter", rows // 4, pairs, seed=2)
        whole = write_csv(folder / "whole", rows, pairs, seed=1)
        runs = {
            "small": in_subprocess(quarter),
            "large": in_subprocess(whole),
            "ours": in_subprocess(sample),
            "peer": in_peer_environment(sample),
        }
    report(rows, runs, out)


def report(rows: int, runs: dict[str, dict[str, Any]], out: Path | None) -> None:
    """The rows of the contract, printed and written."""
    small, large, ours, peer = (runs[name] for name in ("small", "large", "ours", "peer"))
    size = "million" if rows == ROWS else f"{rows:,}"
    found = [
        row(
            f"cleaning with near-duplicates, rows a second on a generated {size}-row CSV",
            large["rows_per_second"], "rows/s", at_least=10_000, aim=40_000,
        ),
        row(
            f"cleaning with near-duplicates, rows a processor second on {rows:,} rows",
            large["rows_per_cpu_second"], "rows/s",
        ),
        row(
            f"cleaning with near-duplicates, memory on a generated {size}-row CSV",
            large["peak_mb"], "MiB", peer="limit of 2 GiB", peer_value=2048,
            ratio=round(2048 / large["peak_mb"], 3), at_least=1.0, aim=2.0,
        ),
        row(
            f"cleaning time grows linearly: rows a second on {rows:,} rows against {rows // 4:,}",
            large["rows_per_cpu_second"], "rows/s of processor time",
            peer=f"ours on {rows // 4:,} rows", peer_value=small["rows_per_cpu_second"],
            at_least=0.8, aim=1.0,
        ),
        row(
            "planted near-duplicates found (those of Jaccard 0.85 or more)",
            large["recall"], "share", at_least=0.99, aim=0.999,
        ),
        row(
            "near-duplicates found that were not planted (by chance; each compared exactly)",
            large["not_planted"], "rows",
        ),
        row(
            f"near-duplicates of {PEER_ROWS:,} rows, our whole data stage against a peer's search",
            ours["rows_per_second"], "rows/s", peer=peer.get("peer", PEER),
            peer_value=peer.get("rows_per_second"), at_least=1.0, aim=5.0,
        ),
        row(
            f"planted near-duplicates found among {PEER_ROWS:,} rows",
            ours["recall"], "share", peer=peer.get("peer", PEER), peer_value=peer.get("recall"),
        ),
    ]  # fmt: skip
    for line in found:
        ratio = "" if line["ratio"] is None else f"  ratio {line['ratio']:.2f}"
        print(f"{line['what']:<92} {line['value']:>12,.4g} {line['unit']}{ratio}")
    if out is not None:
        document = {
            "program": "bench/cleaning.py",
            "commit": commit(),
            "machine": machine(),
            "versions": versions(),
            "rows": found,
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def row(what: str, value: float, unit: str, **more: Any) -> dict[str, Any]:
    """One row of the contract's form; the ratio is above 1 when ours is better."""
    peer_value = more.get("peer_value")
    return {
        "what": what,
        "value": value,
        "unit": unit,
        "peer": more.get("peer"),
        "peer_value": peer_value,
        "ratio": more.get("ratio") or (round(value / peer_value, 3) if peer_value else None),
        "at_least": more.get("at_least"),
        "aim": more.get("aim"),
    }


# -- rows ---------------------------------------------------------------------------------------


def word_pairs(data: Path) -> dict[str, list[str]]:
    """The words that follow each word in real text."""
    corpus = data / "lm_corpus" / "wiki_en.txt.gz"
    text = BUILT_IN
    if corpus.is_file():
        with gzip.open(corpus, "rt", encoding="utf-8") as file:
            text = file.read()
    words = re.findall(r"[A-Za-z][A-Za-z'-]*[,.?]?", text)
    followers: dict[str, list[str]] = {}
    for first, second in itertools.pairwise(words):
        followers.setdefault(first, []).append(second)
    return followers


def write_csv(folder: Path, rows: int, followers: dict[str, list[str]], seed: int) -> Path:
    """Rows, 10% exact and 5% near duplicates of earlier ones; `planted.json` lists the latter."""
    rng = random.Random(seed)
    starts = list(followers)
    folder.mkdir()
    planted: dict[int, float] = {}
    written: list[tuple[str, str]] = []
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["text", "label"])
        for number in range(rows):
            kind = rng.random()
            if number > 100 and kind < EXACT:
                text, label = rng.choice(written)
            elif number > 100 and kind < EXACT + NEAR:
                before, label = rng.choice(written)
                text = edited(before, rng)
                planted[number] = similarity(before, text)
            else:
                text, label = sentence(followers, starts, rng), f"class-{rng.randrange(20)}"
                written.append((text, label))
            out.writerow([text, label])
    (folder / "planted.json").write_text(json.dumps(planted))
    return folder


def sentence(followers: dict[str, list[str]], starts: list[str], rng: random.Random) -> str:
    """A walk along word pairs, of 8 to 24 words."""
    word = rng.choice(starts)
    words = [word]
    for _ in range(rng.randrange(8, 24)):
        word = rng.choice(followers.get(word) or starts)
        words.append(word)
    return " ".join(words)


def edited(text: str, rng: random.Random) -> str:
    """A small change: a word repeated or left out at one end, a letter, a mark, the case."""
    words = text.split()
    change = rng.randrange(4)
    if change == 0:
        return " ".join(words[1:])
    if change == 1:
        return text + rng.choice([" thanks", "!", " ...", " please"])
    if change == 2:
        at = rng.randrange(len(text))
        return text[:at] + rng.choice("aeiou") + text[at + 1 :]
    return text.upper() + "?"


def similarity(first: str, second: str) -> float:
    """Jaccard similarity of 5-character shingles in lower case, written anew here."""
    sets = [
        {t[i : i + 5] for i in range(max(1, len(t) - 4))} for t in (first.lower(), second.lower())
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


# -- runs ---------------------------------------------------------------------------------------


def run_stage(folder: Path) -> dict[str, Any]:
    """Our data stage on a folder of `write_csv`, in this process."""
    from modelwright import plugs
    from modelwright.data import DataRequest, run
    from modelwright.recipe.schema import Data

    output = folder / "dataset"
    output.mkdir()
    task = plugs.load("task", "text-classification").cls
    request = DataRequest(
        data=Data(source="rows.csv", format="csv"), task=task, folder=folder, output=output
    )
    start, start_cpu = time.perf_counter(), time.process_time()
    dataset = run(request)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    planted = {int(at): s for at, s in json.loads((folder / "planted.json").read_text()).items()}
    dropped = set()
    with (output / "ledger.jsonl").open(encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            if entry["action"] == "dropped":
                dropped.add((entry["row"], entry["reason"]))
    near = {at for at, reason in dropped if reason == "near-duplicate"}
    gone = {at for at, _ in dropped}
    like = {at for at, how in planted.items() if how >= THRESHOLD}
    rows_in = dataset.info.audit["rows"]["in"]
    return {
        "rows": rows_in,
        "seconds": round(seconds, 2),
        "rows_per_second": round(rows_in / seconds),
        "rows_per_cpu_second": round(rows_in / cpu),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "recall": round(len(like & gone) / max(1, len(like)), 5),
        "planted": len(like),
        "not_planted": len(near - planted.keys()),
        "split_rows": dataset.info.rows,
    }


def run_peer(folder: Path) -> dict[str, Any]:
    """datasketch: MinHash of each row, queried and inserted in turn (its documented use)."""
    import datasketch  # type: ignore[import-not-found]

    with (folder / "rows.csv").open(encoding="utf-8", newline="") as file:
        texts = [line["text"].lower() for line in csv.DictReader(file)]
    planted = {int(at): s for at, s in json.loads((folder / "planted.json").read_text()).items()}
    start = time.perf_counter()
    index = datasketch.MinHashLSH(threshold=THRESHOLD, num_perm=128)
    found = set()
    for number, text in enumerate(texts):
        made = datasketch.MinHash(num_perm=128)
        made.update_batch({text[i : i + 5].encode() for i in range(max(1, len(text) - 4))})
        if index.query(made):
            found.add(number)
        else:
            index.insert(number, made)
    seconds = time.perf_counter() - start
    like = {at for at, how in planted.items() if how >= THRESHOLD}
    return {
        "peer": f"datasketch {datasketch.__version__} MinHashLSH",
        "rows_per_second": round(len(texts) / seconds),
        "recall": round(len(like & found) / max(1, len(like)), 5),
    }


def in_subprocess(folder: Path) -> dict[str, Any]:
    """Our stage in a fresh process, so that its memory is its own."""
    return worker([sys.executable, str(HERE / "cleaning.py"), "--worker", str(folder)])


def in_peer_environment(folder: Path) -> dict[str, Any]:
    """The peer in `.bench/datasketch`, made on first use; {} when it can't be installed."""
    environment = ROOT / ".bench" / "datasketch"
    python = environment / "bin" / "python"
    try:
        if not python.is_file():
            subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
            install = [str(python), "-m", "pip", "install", "--quiet", PEER]
            subprocess.run(install, check=True)
    except subprocess.CalledProcessError as error:
        print(f"the peer could not be installed: {error}", file=sys.stderr)
        return {}
    return worker([str(python), str(HERE / "cleaning.py"), "--peer", str(folder)])


def worker(command: list[str]) -> dict[str, Any]:
    """Run a measuring process; its last line is JSON."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [*command, "--data", "."], env=environment, check=True, capture_output=True, text=True
    )
    print(done.stdout.strip().splitlines()[-1], file=sys.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


# -- where and with what --------------------------------------------------------------------------


def commit() -> str:
    """The commit that was measured, `+` when files were changed since."""
    try:
        head = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip()


def machine() -> dict[str, object]:
    """Processor, cores, memory."""
    sys.path.insert(0, str(ROOT / "src"))
    from modelwright.runtime.machine import describe

    return describe()


def versions() -> dict[str, str]:
    """Libraries that matter here."""
    from modelwright.runtime.libraries import versions as installed

    return {"python": sys.version.split()[0], **installed("numpy", "pyarrow")}


if __name__ == "__main__":
    main()
