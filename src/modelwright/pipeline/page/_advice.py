"""What to mend first: concrete actions computed from the run, the most rewarding first.

An action's reward is the share of the test rows that it could put right, as far as the run can
tell; what makes the figures themselves untrustworthy (a missed limit, a leak) comes before all.
Each has a sentence and a way to do it in `words.json`: `fix.KEY` and `fix.KEY.how`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from modelwright.pipeline.page import _compression, _words
from modelwright.pipeline.page._run import Run

MOST = 14
_URGENT = 10.0
_MANY_DROPPED = 0.005
_UNSURE = 0.03
_FEW_ROWS = 0.75
_OF_TEST_ROWS = {"labels-test", "pair", "boundaries", "class", "slice"}
_MOST_SLACK = 0.6
"""Share of the allowed drop that the proof may use up before more rows would help."""
_LEAST_COVERED = 0.8
_MOST_CLASSES, _MOST_PAIRS, _MOST_SLICES = 3, 3, 3


@dataclass(frozen=True)
class Advice:
    """One action.

    Attributes:
        key: of its sentence.
        reward: share of the test rows that it touches; above 1 for what comes first.
        link: id of the section with the rows.
        values: for the sentence.
    """

    key: str
    reward: float
    link: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def urgent(self) -> bool:
        """Whether the figures themselves can't be trusted before this is done."""
        return self.reward >= _URGENT - 1

    @property
    def of_test_rows(self) -> bool:
        """Whether the reward is a share of the test rows, and not only a rank."""
        return self.key in _OF_TEST_ROWS and self.reward >= 0.0005


def advise(run: Run) -> list[Advice]:
    """At most 14 actions, the most rewarding first."""
    found = [
        *_limits(run), *_baselines(run), *_leaks(run), *_labels(run), *_pairs(run),
        *_classes(run), *_slices(run), *_confidence(run), *_data(run), *_training(run),
        *_certainty(run), *_smaller(run),
    ]  # fmt: skip
    return sorted(found, key=lambda advice: -advice.reward)[:MOST]


def _limits(run: Run) -> Iterator[Advice]:
    for limit in run.report.get("limits", []):
        if not limit["met"]:
            show = _words.figure(limit["metric"], limit["value"])
            wanted = _words.figure(limit["metric"], limit["limit"])
            values = {"metric": limit["metric"], "value": show, "limit": wanted}
            yield Advice("limit", _URGENT + 2, "good", values)


def _baselines(run: Run) -> Iterator[Advice]:
    for baseline in run.quality.get("baselines", []):
        lead = baseline["difference"]
        if lead["low"] > 0:
            continue
        values = {
            "name": _words.known("baseline", baseline["name"]),
            "theirs": _words.figure(baseline["metric"], baseline["value"]),
            "lead": _words.points(baseline["metric"], lead["value"]),
        }
        key = "baseline-ahead" if lead["high"] < 0 else "baseline-level"
        yield Advice(key, _URGENT + (1 if lead["high"] < 0 else 0), "good", values)


def _leaks(run: Run) -> Iterator[Advice]:
    leaks = run.dataset.get("audit", {}).get("leaks", {})
    rows = sum(
        leaks.get(name, {}).get("rows", 0) for name in ("duplicates", "near_duplicates", "groups")
    )
    total = sum(run.dataset.get("rows", {}).values()) or 1
    if not rows:
        return
    if leaks.get("removed"):
        yield Advice("leaks-removed", rows / total / 4, "data", {"rows": _words.whole(rows)})
    else:
        yield Advice("leaks", _URGENT + 3, "data", {"rows": _words.whole(rows)})


def _labels(run: Run) -> Iterator[Advice]:
    rows = run.report.get("rows") or 1
    wrong = (run.quality.get("mislabelled") or {}).get("count", 0)
    if wrong:
        values = {"count": _words.whole(wrong), "share": _words.percent(wrong / rows)}
        yield Advice("labels-test", wrong / rows, "mislabelled", values)
    listed = len(run.training.get("suspicious") or [])
    if listed:
        trained = run.dataset.get("rows", {}).get("train") or listed
        # A wrong label in training harms the rows like it: count it as one test row in share.
        yield Advice(
            "labels-train", listed / trained, "suspicious", {"count": _words.whole(listed)}
        )
    conflicts = run.dataset.get("audit", {}).get("conflicts", {})
    if conflicts.get("texts"):
        total = sum(run.dataset.get("rows", {}).values()) or 1
        values = {key: _words.whole(conflicts[key]) for key in ("texts", "rows")}
        yield Advice("conflicts", conflicts["rows"] / total, "data", values)
    for same in run.dataset.get("audit", {}).get("label_variants", [])[:2]:
        yield Advice("label-variants", _URGENT - 1, "data", {"labels": " / ".join(same)})


def _pairs(run: Run) -> Iterator[Advice]:
    rows = run.report.get("rows") or 1
    wrong = run.quality.get("wrong") or 1
    seen: set[frozenset[Any]] = set()
    pairs = (run.quality.get("confusion") or {}).get("pairs", [])
    # Tagged texts hold several errors each: there the errors are counted, not the texts.
    errors = sum(pair["count"] for pair in pairs) if "tags" in run.quality else wrong
    for pair in pairs:
        both = frozenset((pair["gold"], pair["predicted"]))
        count = pair["count"] + pair["back"]
        if both in seen or None in both or count < 2:
            continue
        seen.add(both)
        values = {
            "gold": _words.breakable(pair["gold"]),
            "predicted": _words.breakable(pair["predicted"]), "count": _words.whole(count),
            "share": _words.percent(count / errors, 0),
        }  # fmt: skip
        key = "boundaries" if len(both) == 1 else "pair"
        yield Advice(key, count / errors * wrong / rows, "confused", values)
        if len(seen) == _MOST_PAIRS:
            return


def _classes(run: Run) -> Iterator[Advice]:
    """The weakest classes among those with far fewer training rows than the median."""
    classes = [row for row in run.quality.get("classes", []) if row["support"]]
    rows = run.report.get("rows") or 1
    if len(classes) < 3:
        return
    usual = median(row["train_rows"] for row in classes)
    total = run.quality["averages"]["macro"]["f1"]
    poor = [
        row for row in classes if row["f1"] < total - 0.03 and row["train_rows"] < _FEW_ROWS * usual
    ]
    poor.sort(key=lambda row: (row["f1"] - 1) * row["support"])
    for row in poor[:_MOST_CLASSES]:
        values = {
            "name": _words.breakable(row["name"]), "f1": _words.percent(row["f1"]),
            "rows": _words.whole(row["train_rows"]), "usual": _words.whole(usual),
        }  # fmt: skip
        reward = (1 - row["recall"]) * row["support"] / rows
        yield Advice("class", reward, "classes", values)


def _slices(run: Run) -> Iterator[Advice]:
    rows = run.report.get("rows") or 1
    metric = run.report.get("main", "")
    total = run.report.get("metrics", {}).get(metric, {}).get("value", 0)
    found = []
    for group in run.quality.get("slices", []):
        for part in group["values"]:
            if part["below"]:
                gain = (total - part["score"]) * part["rows"] / rows
                values = {
                    "slice": slice_name(group), "value": slice_value(group, part["value"]),
                    "score": _words.figure(metric, part["score"]),
                    "total": _words.figure(metric, total), "rows": _words.whole(part["rows"]),
                }  # fmt: skip
                found.append(Advice("slice", gain, "slices", values))
    yield from sorted(found, key=lambda advice: -advice.reward)[:_MOST_SLICES]


def slice_name(group: dict[str, Any]) -> Any:
    """What rows are sliced by, in words."""
    if group["kind"] == "column":
        return group["name"]
    return _words.say(f"slice.{group['kind']}")


def slice_value(group: dict[str, Any], value: str) -> Any:
    """A slice's value, in words where it is ours."""
    if group["kind"] == "unseen-entities":
        return _words.say(f"slice.{value}")
    return value or _words.say("slice.empty")


def _confidence(run: Run) -> Iterator[Advice]:
    found = run.quality.get("calibration") or {}
    if found.get("of") == "labels" or found.get("ece", 0) < _UNSURE:
        return
    over = found["mean_confidence"] > found["accuracy"]
    values = {
        "ece": _words.percent(found["ece"]), "sure": _words.percent(found["mean_confidence"]),
        "right": _words.percent(found["accuracy"]),
    }  # fmt: skip
    key = "overconfident" if over else "underconfident"
    if found.get("temperature"):
        values["temperature"] = f"{found['temperature']:.2f}"
        values["after"] = _words.percent(found["ece_at_temperature"])
        key += "-temperature"
    yield Advice(key, found["ece"] / 4, "calibration", values)


def _data(run: Run) -> Iterator[Advice]:
    rows_in = run.ledger.get("in") or 0
    dropped = {
        reason: count
        for reason, count in (run.ledger.get("dropped") or {}).items()
        if "duplicate" not in reason
    }
    gone = sum(dropped.values())
    if rows_in and gone / rows_in > _MANY_DROPPED:
        reason, count = max(dropped.items(), key=lambda item: item[1])
        values = {
            "rows": _words.whole(gone), "share": _words.percent(gone / rows_in),
            "reason": _words.known("flow", reason), "count": _words.whole(count),
        }  # fmt: skip
        yield Advice("dropped", gone / rows_in / 4, "data", values)
    lengths = run.quality.get("lengths") or {}
    rows = run.report.get("rows") or 1
    if lengths.get("truncated", 0) > 0.005 * rows:
        cut = lengths["truncated"]
        values = {"rows": _words.whole(cut), "share": _words.percent(cut / rows)}
        yield Advice("truncated", cut / rows / 2, "data", values)
    untested = run.dataset.get("audit", {}).get("only_in", {}).get("train", [])
    if untested:
        values = {"count": len(untested), "names": ", ".join(untested[:4])}
        yield Advice("untested", 0.01, "data", values)


def _training(run: Run) -> Iterator[Advice]:
    best = run.training.get("best") or {}
    checks = run.training.get("evaluations") or []
    if len(checks) < 3 or "step" not in best:
        return
    values = {
        "epoch": f"{best.get('epoch', 0):g}", "last": f"{checks[-1].get('epoch', 0):g}",
        "value": _words.figure(best.get("metric", ""), best.get("value")),
    }  # fmt: skip
    metric = best.get("metric", "")
    gains = [row.get(metric) for row in checks[-3:]]
    if best["step"] == checks[-1]["step"] and None not in gains:
        gain = gains[-1] - gains[-2]
        if gain > 0.003:
            values["gain"] = _words.points(metric, gain)
            yield Advice("longer", gain / 2, "training", values)
    elif best["step"] < checks[len(checks) // 2]["step"]:
        yield Advice("overfit", 0.005, "training", values)


def _certainty(run: Run) -> Iterator[Advice]:
    """How many test rows would narrow the interval to one point either way."""
    metric, rows = run.report.get("main", ""), run.report.get("rows") or 0
    found = run.report.get("metrics", {}).get(metric)
    if run.report.get("split") == "validation":
        yield Advice("no-test", _URGENT, "good", {})
    if not found or not _words.is_share(metric):
        return
    half = (found["high"] - found["low"]) / 2
    if half > 0.02:
        needed = round(rows * (half / 0.01) ** 2, -2)
        values = {"half": f"{100 * half:.1f}", "rows": _words.whole(rows),
                  "needed": _words.whole(needed)}  # fmt: skip
        yield Advice("few-test-rows", half / 4, "good", values)


def _smaller(run: Run) -> Iterator[Advice]:
    """What stood in the way of a smaller model: a limit, few rows for the proof, cut words."""
    told = run.compression
    if not told.get("points"):
        return
    test, answer = told["proof"]["test"], told.get("infeasible")
    if answer:
        change = next(iter(answer["relax"]), None)
        values = {"limit": answer["binding"], "asked": f"{answer['limit']:g}"}
        if change is None:
            yield Advice("small-limit", _URGENT + 2, "small", values)
        else:
            shown = _compression.change(change)
            values |= {"changed": shown["limit"], "to": shown["to"], "buys": shown["buys"]}
            yield Advice("small-relax", _URGENT + 2, "small", values)
    slack = test["bound_points"] - test["drop_points"]
    if slack > _MOST_SLACK * max(test["max_drop"], 0.1):
        values = {"rows": _words.whole(test["rows"]), "slack": f"{slack:.2f}",
                  "allowed": f"{test['max_drop']:g}"}  # fmt: skip
        yield Advice("small-rows", 0.01, "small", values)
    coverage = told["proof"].get("coverage") or {}
    if coverage.get("share", 1.0) < _LEAST_COVERED:
        yield Advice("small-coverage", 0.01, "small", {"share": _words.percent(coverage["share"])})
