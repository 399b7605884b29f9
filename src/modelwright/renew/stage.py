"""The steps of a renewal in order. Each leaves what it found; the same command goes on from there.

choose ─▶ (label) ─▶ merge ─▶ train ─▶ compare ─▶ push ─▶ try in service
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright import plugs
from modelwright.artifacts.bundle import changed_files, read_bundle
from modelwright.artifacts.dataset import Dataset
from modelwright.artifacts.hashing import digest_json
from modelwright.artifacts.store import Store
from modelwright.errors import GateError, ModelwrightError, UserError
from modelwright.pipeline.running import STORE_VARIABLE, run
from modelwright.pipeline.stages import task_options
from modelwright.recipe.check import Checked, check_with_places
from modelwright.recipe.derive import plain
from modelwright.renew import comparing, trying
from modelwright.renew.asked import FEEDBACK, Asked
from modelwright.renew.choosing import choose
from modelwright.renew.labels import (
    digest_of,
    enough,
    judge_new_labels,
    read_labels,
    write_to_label,
)
from modelwright.renew.merging import merge, old_rows, reopen, write_recipe, write_rows
from modelwright.renew.report import write_report
from modelwright.renew.rounds import BETTER, FINAL, Round, locked, new_round, rounds
from modelwright.renew.traffic import Recorded, recorded


@dataclass
class Renewal:
    """A renewal at work: what was asked, the checked recipe, the round, and the model before."""

    asked: Asked
    checked: Checked
    folder: Path
    now: Round
    earlier: list[Round]
    rows: list[Recorded]
    model: Path

    @property
    def task(self) -> Any:
        return plugs.load("task", self.checked.recipe.task.name).cls

    @property
    def name(self) -> str:
        return self.checked.recipe.name


def renew(asked: Asked) -> Round:
    """Go as far as can be gone: to the file that waits for labels, or to the end.

    Raises:
        UserError: MW-65x, and those of training. GateError: MW-655 not shown to be good enough,
            MW-656 taken back by the service; what was found is in the round's report.
    """
    checked = check_with_places(asked.recipe)
    _can_be_renewed(checked)
    folder = asked.output or checked.folder / "runs" / f"{checked.recipe.name}-renewal"
    rows = recorded(asked.traffic, checked.recipe.name)
    with locked(folder):
        known = rounds(folder)
        work, again = _opened(asked, checked, folder, known, rows)
        try:
            if not again:
                _steps(work)
        except GateError as error:
            if work.now.status not in FINAL:
                work.now.end("rejected", str(error.problems[0].seen))
            raise
        finally:
            write_report(work.now, work.name)
        if again:
            _same_end(work.now)
        return work.now


def _opened(
    asked: Asked, checked: Checked, folder: Path, known: list[Round], rows: list[Recorded]
) -> tuple[Renewal, bool]:
    """The round to go on with, and whether it ended already with these very labels."""
    last = known[-1] if known else None
    labels = digest_json([digest_of(asked.labels, rows), _what_trains(checked)])
    same = bool(last and asked.labels and last.steps.get("labels") == labels)
    if last and same and last.status == "rejected":
        _judged_anew(last, checked.recipe.renew.max_drop)
    again = bool(last and same and last.status in FINAL and not _goes_on(asked, last))
    kept = last and (same or last.status not in FINAL)
    current = last if last and kept else new_round(folder, known)
    earlier = [one for one in known if one.status in BETTER and one is not current]
    model = current.steps.get("model")
    work = Renewal(asked, checked, folder, current, earlier, rows, Path(model or "."))
    if model is None:
        work.model = _previous(work)
        version = read_bundle(work.model)["version"]
        told = f"{work.model} ({version})" + (f", because {asked.because}" if asked.because else "")
        current.done("model", str(work.model.resolve()), f"renews {told}")
    if asked.labels and not again and current.steps.get("labels") != labels:
        if "labels" in current.steps:
            current.decide("label", "other labels or another recipe came; training begins anew")
        current.forget("model", "choose")
        current.done("labels", labels)
    return work, again


def _what_trains(checked: Checked) -> dict[str, Any]:
    """The recipe without what only the comparison and the trial in service read."""
    values, later = dict(plain(checked.recipe)), ("canary", "max_drop")
    values["renew"] = {name: one for name, one in values["renew"].items() if name not in later}
    return values


def _judged_anew(last: Round, allowed: float) -> None:
    """A model that was rejected is compared again where another loss is allowed now."""
    verdicts = last.steps.get("compare")
    if verdicts and verdicts[0]["allowed_points"] != allowed:
        last.decide("compare", f"{allowed:g} points may be lost now")
        del last.steps["compare"]
        last.status = "running"


def _goes_on(asked: Asked, last: Round) -> bool:
    """Whether more is asked now of a good model: to be pushed, to be tried in service (again)."""
    if last.status not in ("ready", "rolled-back"):
        return False
    pushes = asked.registry is not None and "push" not in last.steps
    if pushes or asked.place is not None:
        last.status = "running"
        return True
    return False


def _same_end(now: Round) -> None:
    """What ended badly ends so again: the same command has the same answer."""
    if now.status not in BETTER:
        raise GateError(
            "MW-655" if now.status == "rejected" else "MW-656",
            now.decisions[-1]["decision"],
            expected="another model than the last time",
            fix=f"these labels were tried ({now.folder}); label more rows, or change the recipe",
        )


def _steps(work: Renewal) -> None:
    if not work.asked.labels:
        _choose(work)
        return
    _merge(work)
    _train(work)
    _compare(work)
    _push(work)
    _try_out(work)


def _can_be_renewed(checked: Checked) -> None:
    task = plugs.load("task", checked.recipe.task.name).cls
    if task.modality != "text" or task.head != "sequence":
        raise UserError(
            "MW-653",
            f"the task is {checked.recipe.task.name}",
            expected="text-classification or text-regression: a label a text",
            fix="label by hand and train with `mw run`",
            file=checked.file,
        )


def _previous(work: Renewal) -> Path:
    """The bundle to renew, whole."""
    asked = work.asked
    found = asked.model
    if found is None and asked.registry is not None:
        found = _from_registry(work)
    if found is None and work.earlier:
        found = work.earlier[-1].bundle
    if found is None:
        found = work.checked.folder / "runs" / work.name / "bundle"
    manifest = read_bundle(found)
    if problems := changed_files(found, manifest):
        raise UserError(
            problems[0].code, problems[0].seen, expected=problems[0].expected,
            fix=problems[0].fix, file=problems[0].file,
        )  # fmt: skip
    if manifest["name"] != work.name:
        raise UserError(
            "MW-653",
            f"the bundle is {manifest['name']}, the recipe {work.name}",
            expected="a bundle that this recipe made",
            fix="--model BUNDLE",
            file=str(found),
        )
    return found


def _from_registry(work: Renewal) -> Path | None:
    from modelwright.registry.store import models, pull

    assert work.asked.registry is not None, "asked for"  # noqa: S101
    url = work.asked.registry
    found = [one for one in models(url) if one.name == work.name]
    version = found[0].stages.get("production") if found else None
    if version is None:
        return None
    folder = work.now.folder / "old"
    pull(f"{work.name}:{version}", url, folder)
    return folder


# -- choose ------------------------------------------------------------------------------------
def _choose(work: Renewal) -> None:
    from modelwright.engines import Bundle

    path = work.now.folder / "to-label.csv"
    if "choose" not in work.now.steps or not path.is_file():
        bundle = Bundle.open(work.model)
        dataset = _dataset(work)
        learnt = [bundle.task.example(row) for row in dataset.rows("train")]
        labelled = [bundle.task.example(row) for row in _earlier_rows(work)]
        free = [row for row in work.rows if row.truth is None]
        seed = work.checked.recipe.seed
        chosen = choose(free, bundle, [*labelled, *learnt], work.asked.budget, seed)
        bundle.close()
        if not chosen:
            raise UserError(
                "MW-653",
                f"none of {len(free):,} recorded inputs is worth a label: the training rows hold "
                "all of them",
                expected="traffic that differs from the training rows",
                fix="record more of it, or renew from feedback: --labels feedback",
            )
        target = next(role.name for role in work.task.roles if role.target)
        write_to_label(path, chosen, target)
        uncertain = sum(one.why == "uncertain" for one in chosen)
        told = (
            f"{len(chosen)} of {len(free):,} recorded inputs: {uncertain} uncertain, "
            f"{len(chosen) - uncertain} unlike the training rows"
        )
        found = {"rows": len(chosen), "of": len(free), "uncertain": uncertain, "file": str(path)}
        work.now.done("choose", found, told)
    work.now.status = "labelling"
    work.now.save()


def _dataset(work: Renewal) -> Dataset:
    """The recipe's rows: from the store, or made anew."""
    done = run(work.checked.file, work.folder / "rows", until="data")
    default = work.checked.folder / ".modelwright" / "store"
    store = Store(Path(os.environ.get(STORE_VARIABLE) or default))
    return Dataset.open(store.path(done.stages[0].key))


def _earlier_rows(work: Renewal) -> list[dict[str, Any]]:
    return [row for one in work.earlier for row in reopen(one.folder / "data").new["train"]]


# -- merge and train ---------------------------------------------------------------------------
def _merge(work: Renewal) -> None:
    if "merge" in work.now.steps:
        return
    recipe, sources = work.checked.recipe, work.asked.labels
    labels = read_bundle(work.model)["labels"]
    several = bool(read_bundle(work.model)["task_spec"].get("multi_label"))
    options = {**task_options(recipe), "multi_label": several}
    found = read_labels(sources, work.rows, work.task, options)
    judge_new_labels(found, labels, recipe, work.task)
    old = old_rows(_dataset(work), [one.folder / "data" for one in work.earlier])
    _leave_known(found, old)
    enough(found, sources)
    data = work.now.folder / "data"
    pools = merge(old, found.rows, recipe.renew.holdout)
    lineage = write_rows(
        pools, data, [FEEDBACK if s == FEEDBACK else Path(s).name for s in sources]
    )
    told = f"{len(found.rows)} labelled rows beside {sum(lineage['old'].values()):,} old ones"
    told += f", {lineage['new']['test']} of them kept for the test"
    if found.empty:
        told += f"; {found.empty} without a label"
    for reason, count in found.aside.items():
        told += f"; {count} {reason}"
    if found.new_labels:
        came = "come" if recipe.renew.new_labels else "are set aside"
        names = ", ".join(sorted(found.new_labels))[:300]
        told += f"; {len(found.new_labels)} new labels {came}: {names}"
    aside = {"empty": found.empty, "aside": dict(found.aside), "examples": found.examples}
    new = {"new_labels": dict(found.new_labels)}
    work.now.done("merge", {**lineage, **aside, **new}, told)


def _leave_known(found: Any, old: dict[str, list[dict[str, Any]]]) -> None:
    """Rows that are in the old data already teach and test nothing."""
    from modelwright.renew.labels import Labelled

    known = {Labelled(row, "").form for rows in old.values() for row in rows}
    kept = []
    for one in found.rows:
        if one.form in known:
            found.leave("known-already", one.origin)
        else:
            kept.append(one)
    found.rows = kept


def _train(work: Renewal) -> None:
    if "train" in work.now.steps:
        return
    from modelwright.models.continuing import write_base

    folder = work.now.folder
    base = f"{work.name}-{read_bundle(work.model)['version']}"
    if not (folder / base / "config.json").is_file():
        write_base(work.model, folder / base)
    recipe = write_recipe(work.checked.recipe, work.checked.folder, folder, base)
    done = run(recipe, folder / "run")
    manifest = read_bundle(done.bundle)
    seconds = round(sum(stage.seconds for stage in done.stages), 1)
    found = {"version": manifest["version"], "seconds": seconds, "base": base}
    work.now.done("train", found, f"{work.name}:{manifest['version']} from {base}, {seconds:.0f} s")


# -- compare, push, try ------------------------------------------------------------------------
def _compare(work: Renewal) -> None:
    if "compare" not in work.now.steps:
        pools = reopen(work.now.folder / "data")
        old = pools.old["test"] or pools.old["validation"]
        allowed = work.checked.recipe.renew.max_drop
        rows: dict[str, Sequence[dict[str, Any]]] = {"old": old, "new": pools.new["test"]}
        verdicts = comparing.compare(work.model, work.now.bundle, rows, allowed)
        told = "; ".join(verdict.sentence for verdict in verdicts)
        work.now.done("compare", [verdict.as_dict() for verdict in verdicts], told)
        comparing.gate(verdicts)
    elif not all(one["holds"] for one in work.now.steps["compare"]):
        raise GateError("MW-655", "the comparison did not hold", fix="see the round's report")


def _push(work: Renewal) -> None:
    if work.asked.registry is None or "push" in work.now.steps:
        return
    from modelwright.registry.store import push

    asked = work.asked
    assert asked.registry is not None, "asked for"  # noqa: S101
    reason = f"renewal {work.now.number}"
    done = push(work.now.bundle, asked.registry, stage="candidate", key=asked.key, reason=reason)
    signed = ", signed" if done.record.signed else ""
    found = {"version": done.record.version, "signed": done.record.signed}
    work.now.done("push", found, f"{work.name}:{done.record.version} is a candidate{signed}")


def _try_out(work: Renewal) -> None:
    version = work.now.steps["train"]["version"]
    if work.asked.place is None:
        work.now.end("ready", f"{work.name}:{version} may be served: {work.now.bundle}")
        return
    _stage(work, "canary")
    trial = work.checked.recipe.renew.canary

    def decide(told: str) -> None:
        work.now.decide("canary", told)

    outcome = trying.try_out(work.asked.place, work.now.bundle, version, trial, decide)
    work.now.done("canary", {**vars(outcome)})
    if outcome.promoted:
        _stage(work, "production")
        work.now.end("promoted", f"{work.name}:{version} is in service: {outcome.why}")
    else:
        _stage(work, "candidate")
        work.now.end("rolled-back", outcome.why)
    trying.gate(outcome)


def _stage(work: Renewal, stage: str) -> None:
    if work.asked.registry is None:
        return
    from modelwright.registry.store import models, set_stage

    version = work.now.steps["train"]["version"]
    [found] = models(work.asked.registry, work.name)
    if found.stages.get(stage) != version:
        reason = f"renewal {work.now.number}"
        set_stage(work.asked.registry, work.name, version, stage, reason=reason)


def problems_of(error: ModelwrightError) -> list[str]:
    """An error's problems in words, for logs."""
    return [str(problem) for problem in error.problems]
