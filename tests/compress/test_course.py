"""Which architecture is taught next: stronger after a success, the thin one after a failure."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from modelwright.compress.course import Course, Front, epochs_in
from modelwright.compress.shapes import Shape


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
