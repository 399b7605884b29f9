"""Offline prediction over many files: one after another here, or each on a worker of Ray.

    july/a.csv  july/b.jsonl  ─▶  answers/a.csv  answers/b.jsonl      + answers/.modelwright/*.json

A file is the unit of work: `predict_file` makes its output, whole or not at all, and where a worker
died another goes on from its journal. The record beside tells what an output was made from; an output
whose record still holds is not made again.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from modelwright.engines._streaming import Options, Totals, predict_file
from modelwright.engines._tables import format_of
from modelwright.errors import ModelwrightError, UserError
from modelwright.runtime.files import read_json, write_json
from modelwright.runtime.libraries import require
from modelwright.runtime.progress import say

RECORDS = ".modelwright"
STORE_BYTES = 100_000_000
"""Of Ray's object store where we start Ray: names and totals go through it, rows do not."""
_SCHEMA = 1


@final
@dataclass(frozen=True)
class Work:
    """What is done to each file.

    Attributes:
        bundle: its folder, as workers see it.
        variant: of it; the default one when None.
        options: how files are read.
    """

    bundle: str
    variant: str | None
    options: Options


@final
@dataclass(frozen=True)
class Done:
    """What became of a file.

    Attributes:
        source: the file.
        totals: of its rows; None where it failed.
        again: whether an earlier run had made the output.
        problem: why it failed, or "".
    """

    source: str
    totals: Totals | None
    again: bool = False
    problem: str = ""


def is_many(file: str) -> bool:
    """Whether `--file` names a folder or a pattern rather than one file."""
    path = Path(file)
    return file != "-" and not path.is_file() and (path.is_dir() or glob.has_magic(file))


def planned(file: str, out: str, format: str | None = None) -> list[tuple[str, str]]:
    """Sources and targets, by name of the source.

    Args:
        file: a folder (its own files of a known format), a pattern (`**` for any depth), or a file.
        out: folder of the outputs.
        format: of all files; None tells by the names.

    Raises:
        UserError: MW-645 nothing matches, MW-646 `out` is no folder, MW-648 two outputs of one name,
            MW-805 an output would be its own input.
    """
    sources = _found(file, format)
    if not sources:
        kinds = "csv, tsv, jsonl, txt or parquet, also .gz"
        raise UserError(
            "MW-645",
            f"no file to predict in {file}" if Path(file).is_dir() else f"no file matches {file}",
            expected=f"a folder with files of {kinds}, or a pattern in quotes",
            fix="look with ls; a pattern finds sub-folders by **: --file 'july/**/*.csv'",
        )
    folder = Path(out)
    if out == "-" or (folder.exists() and not folder.is_dir()):
        raise UserError(
            "MW-646",
            "many files cannot go to standard output" if out == "-" else f"{out} is no folder",
            expected="a folder; each file gives one of its name in it",
            fix="--out DIR",
        )
    targets = [(str(source), str(folder / source.name)) for source in sources]
    _refuse_clashes(targets)
    return targets


def _found(file: str, format: str | None) -> list[Path]:
    path = Path(file)
    if path.is_dir():
        inside = [one for one in path.iterdir() if not one.name.startswith(".")]
        known = [one for one in inside if format or format_of(one.name)]
        sources = [one for one in known if not one.name.endswith(".rejected.jsonl")]
    elif path.is_file():
        sources = [path]
    else:
        sources = [Path(name) for name in glob.glob(file, recursive=True)]
    return sorted((one for one in sources if one.is_file()), key=lambda one: (one.name, str(one)))


def _refuse_clashes(targets: Sequence[tuple[str, str]]) -> None:
    for name, count in Counter(target for _, target in targets).items():
        if count > 1:
            first, second, *_ = [source for source, target in targets if target == name]
            raise UserError(
                "MW-648",
                f"{first} and {second} would both give {name}",
                expected="files of different names",
                fix="predict a folder at a time, each with an --out of its own",
            )
    for source, target in targets:
        if Path(source).resolve() == Path(target).resolve():
            raise UserError(
                "MW-805",
                f"{source} is both an input and an output",
                expected="another folder for the outputs",
                fix="choose another --out",
            )


def predict_files(
    work: Work, targets: Sequence[tuple[str, str]], executor: str = "local"
) -> list[Done]:
    """Predict every file that is not done; a file that fails leaves the others alone.

    Args:
        work: what is done.
        targets: from `planned`.
        executor: `local`, here one after another, or `ray`: as many at once as there are cores in
            the cluster of `RAY_ADDRESS`, or of this machine where that is not set.

    Returns:
        What became of each, in the order of `targets`.

    Raises:
        UserError: what opening the bundle raises; MW-801 `ray` without the extra.
    """
    from modelwright.artifacts.bundle import read_bundle

    manifest = read_bundle(Path(work.bundle))
    made_by = [manifest["name"], manifest["version"], work.variant or manifest["default"]]
    found: dict[str, Done] = {}
    for source, target in targets:
        totals = _earlier(source, target, _job(source, made_by, work.options))
        if totals is not None:
            found[source] = Done(source, totals, again=True)
    rest = [pair for pair in targets if pair[0] not in found]
    if found:
        say(f"{len(found):,} of {len(targets):,} files were done before")
    for done in EXECUTORS[executor](work, rest) if rest else ():
        found[done.source] = done
        _tell(done, len(found), len(targets))
    return [found[source] for source, _ in targets]


def _tell(done: Done, number: int, all: int) -> None:
    if done.totals is None:
        say(f"[{number}/{all}] {done.source}: {done.problem.splitlines()[0]}")
        return
    rejected = f", {done.totals.rejected:,} rejected" if done.totals.rejected else ""
    say(f"[{number}/{all}] {done.source}: {done.totals.predicted:,} predicted{rejected}")


# -- one file -------------------------------------------------------------------------------------
def _job(source: str, made_by: list[str], options: Options) -> dict[str, Any]:
    """What determines an output."""
    stat = Path(source).stat()
    return {
        "schema": _SCHEMA,
        "source": [str(Path(source).resolve()), stat.st_size, stat.st_mtime_ns],
        "bundle": made_by,
        "options": [list(options.columns), options.format],
    }


def _record(target: str) -> Path:
    path = Path(target)
    return path.parent / RECORDS / f"{path.name}.json"


def _earlier(source: str, target: str, job: dict[str, Any]) -> Totals | None:
    """Totals of an earlier run that made just this output, still of its size."""
    try:
        record = read_json(_record(target))
        if record["job"] == job and record["bytes"] == os.path.getsize(target):
            return Totals(**record["totals"])
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return None


def _predict_one(bundle: Any, options: Options, source: str, target: str) -> Done:
    """Predict a file and keep the record of it; a mistake in it is told, not raised."""
    manifest = bundle.manifest
    made_by = [manifest["name"], manifest["version"], bundle.variant["name"]]
    try:
        job = _job(source, made_by, options)
        with suppress(FileNotFoundError):
            _record(target).unlink()  # it would vouch for a file that is about to change
        totals = predict_file(bundle, source, target, options)
        _record(target).parent.mkdir(exist_ok=True)
        size = os.path.getsize(target)
        write_json(_record(target), {"job": job, "bytes": size, "totals": asdict(totals)})
    except ModelwrightError as error:
        return Done(source, None, problem=str(error))
    except OSError as error:
        return Done(source, None, problem=f"MW-804 {source}: {error.strerror or error}")
    return Done(source, totals)


# -- executors ------------------------------------------------------------------------------------
def _here(work: Work, targets: Sequence[tuple[str, str]]) -> Iterator[Done]:
    from modelwright.engines import Bundle

    bundle = Bundle.open(work.bundle, variant=work.variant)
    try:
        for source, target in targets:
            yield _predict_one(bundle, work.options, source, target)
    finally:
        bundle.close()


class _Worker:
    """A process of Ray with an opened bundle and one core."""

    def __init__(self, work: Work) -> None:
        from modelwright.engines import Bundle

        self._options = work.options
        self._bundle = Bundle.open(work.bundle, variant=work.variant, threads=1)

    def predict(self, source: str, target: str) -> Done:
        return _predict_one(self._bundle, self._options, source, target)


def _on_ray(work: Work, targets: Sequence[tuple[str, str]]) -> Iterator[Done]:
    """Paths are made absolute, for workers have folders of their own; all see one file system."""
    ray: Any = require("ray", "ray")
    here = {str(Path(source).resolve()): (source, target) for source, target in targets}
    there = Work(str(Path(work.bundle).resolve()), work.variant, work.options)
    with _cluster(ray):
        count = max(1, min(len(here), int(ray.cluster_resources().get("CPU", 1))))
        kind = ray.remote(num_cpus=1, max_restarts=3, max_task_retries=3)(_Worker)
        pool = ray.util.ActorPool([kind.remote(there) for _ in range(count)])

        def ask(worker: Any, source: str) -> Any:
            return worker.predict.remote(source, str(Path(here[source][1]).resolve()))

        for source in here:
            pool.submit(ask, source)
        while pool.has_next():
            done = _answer(ray, pool)
            source, target = here[done.source]
            totals = done.totals and Totals(
                **{**asdict(done.totals), **_named(target, done.totals)}
            )
            yield Done(source, totals, problem=done.problem)


def _named(target: str, totals: Totals) -> dict[str, Any]:
    """Paths as the caller wrote them."""
    return {
        "out": target,
        "rejected_file": f"{target}.rejected.jsonl" if totals.rejected_file else None,
    }


def _answer(ray: Any, pool: Any) -> Done:
    """The next answer; a worker that cannot be kept alive ends the run with Ray's reason."""
    try:
        return pool.get_next_unordered()
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            "MW-649",
            f"a worker of Ray was lost: {lines[-1]}",
            expected="workers that can open the bundle and see the files at the same paths",
            fix="the same command goes on; --executor local tells what is wrong with one file",
        ) from error


@contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    """The cluster that is there, or one of this machine for as long as it is needed."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False)
    else:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=STORE_BYTES,
            _node_ip_address="127.0.0.1",
        )
    try:
        yield
    finally:
        ray.shutdown()


EXECUTORS: dict[str, Callable[[Work, Sequence[tuple[str, str]]], Iterator[Done]]] = {
    "local": _here,
    "ray": _on_ray,
}
"""Name -> how files that are not done are predicted, in any order."""
