"""Which architecture is taught next: stronger after a success, the thin one after a failure."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from modelwright import plugs
from modelwright.compress.course import Course, Front, epochs_in
from modelwright.compress.points import Workshop
from modelwright.compress.search import Search
from modelwright.compress.shapes import Shape
from modelwright.errors import GateError
from modelwright.recipe.schema import Compress


def shape(cost: float) -> Shape:
    return Shape((0, 2), ((0,), (1,)), ((0, 1), (2,)), cost, 0.1)


FRONT = Front(tuple(shape(10.0 - place) for place in range(7)), 3, (shape(20.0), shape(15.0)))


def taken(near: Shape | None, *likely: bool) -> list[float]:
    """Costs of what is taught, when lessons end like this."""
    course, found = Course(FRONT, near), []
    for each in likely:
        if course.shape is None:
            break
        found.append(course.shape.cost)
        course.taught(each)
    return found


def test_successes_lead_to_stronger_ones_by_halves() -> None:
    assert taken(None, True, True, True, True) == [7.0, 5.0, 4.0]


def test_failures_lead_to_milder_ones_by_halves() -> None:
    assert taken(None, False, False, False, False) == [7.0, 9.0, 10.0]


def test_after_the_first_failure_the_thin_one_comes_first() -> None:
    assert taken(shape(12.0), False, False, False) == [7.0, 12.0, 9.0]
    assert taken(shape(12.0), False, True, True) == [7.0, 12.0, 9.0]
    assert taken(shape(12.0), True, False, True) == [7.0, 5.0, 6.0]


def test_after_a_near_miss_one_that_is_a_little_milder_comes_first() -> None:
    course = Course(FRONT, shape(12.0))
    course.taught(False, close=True)
    assert course.shape is not None
    assert course.shape.cost == 9.0
    course.taught(False)
    assert course.shape.cost == 12.0
    course = Course(Front(tuple(shape(20.0 - place) for place in range(12)), 9), shape(30.0))
    course.taught(False, close=True)
    assert course.shape is not None
    assert course.shape.cost == 20.0 - 5
    course.taught(True)
    assert course.shape.cost == 20.0 - 7
    course.taught(False)
    assert course.shape.cost == 20.0 - 6


def test_the_thin_one_comes_first_where_time_is_short() -> None:
    course = Course(FRONT, shape(12.0), short=True)
    assert course.shape is not None
    assert course.shape.cost == 12.0
    course.taught(True)
    assert course.shape.cost == 7.0


@pytest.mark.parametrize(
    ("minutes", "lessons", "epochs"),
    [(20, 2, 10.0), (60, 1, 12.0), (3, 2, 3.0), (1, 2, 1.0), (0.9, 2, 0.0), (-1, 1, 0.0)],
)
def test_a_lesson_is_long_enough_or_none(minutes: float, lessons: int, epochs: float) -> None:
    assert epochs_in(60 * minutes, 60.0, lessons) == epochs


def test_a_front_of_one_is_taught_once() -> None:
    course = Course(Front((shape(1.0),), 0))
    course.taught(True)
    assert course.shape is None


def test_a_front_is_the_same_after_it_was_written() -> None:
    assert Front.restored(json.loads(json.dumps(asdict(FRONT)))) == FRONT


# -- one search after another --------------------------------------------------------------------
def asked(workshop: Workshop, **values: Any) -> None:
    """The same search with another request."""
    request = replace(workshop.session.request, compress=Compress.model_validate(values))
    workshop.session.request = request


def test_a_search_that_goes_on_gives_the_same_lesson_and_a_longer_one_a_longer(
    workshop: Workshop,
) -> None:
    search, session = Search(workshop, lesson_seconds=40.0), workshop.session
    lesson = ("lesson-0", shape(1.0), 1, 1.0)
    session.before = session.budget
    assert search._kept_epochs(*lesson) == 0.0
    session.before = 0.0
    epochs = search._kept_epochs(*lesson)
    assert epochs > 1.0, "no lesson is no choice that is kept"
    session.before = session.budget / 2
    assert search._kept_epochs(*lesson) == epochs
    asked(workshop, budget={"minutes": 600})
    assert search._kept_epochs(*lesson) == 12.0


def test_a_search_after_a_finished_one_has_its_whole_budget(workshop: Workshop) -> None:
    kept = workshop.session.request.scratch / "spent.json"
    workshop.session.keep_time()
    assert kept.is_file()
    workshop.session.finish()
    assert not kept.is_file()


def test_a_front_is_measured_once_and_fitted_to_each_limit_on_the_size(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Search(workshop, forms=["fp32"])
    fronts = iter([FRONT])
    monkeypatch.setattr(search, "_laid_out", lambda: next(fronts))
    monkeypatch.setattr(search, "_fits", lambda each, _: each.cost < search._compress.max_drop)
    asked(workshop, max_drop=8.0)
    assert [each.cost for each in search._front().shapes] == [7.0, 6.0, 5.0, 4.0]
    assert search._front().shapes[search._front().first].cost == 7.0
    asked(workshop, max_drop=1.0)
    assert search._front() == Front(FRONT.shapes[-1:], 0, ())
    asked(workshop, max_drop=100.0)
    assert search._front() == FRONT


def test_a_form_in_which_attention_is_not_fused_is_left_out(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    plug = plugs.load("pass", "fp32")

    class Unfused(plug.cls):  # type: ignore[name-defined]
        def apply(self, *_: Any) -> Any:
            raise GateError("MW-501", "0 of 2 attention layers are fused")

    workshop.passes["fp32"] = Unfused(plug.config())
    with pytest.raises(GateError, match="none of the forms fp32"):
        Search(workshop)._rank_forms()
    assert "fp32 is left out: 0 of 2 attention layers" in capsys.readouterr().err
