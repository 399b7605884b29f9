"""Names are accepted as they are or refused; numbers are numbers; a capacity is this bundle's."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.artifacts.capacity import Capacity
from modelwright.deploy import values
from modelwright.deploy.policy import Policy
from modelwright.errors import UserError

HOSTILE = ["a\nb", "a b", "a;reboot", "$(id)", "${X}", "{{ x }}", "`id`", "a'b", 'a"b', "a\\b",
           "名字", "😀", "a\u0000", "../a", "-a", "", " a", "a ", "a\u2028b", "A" * 300, None, 1]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "check",
    [
        values.deployed_name,
        values.image,
        values.address,
        lambda value: values.label(value, "a"),
        lambda value: values.word(value, "a"),
    ],
)
def test_hostile_words_are_refused_with_what_was_seen(
    check: Callable[[Any], str], value: Any
) -> None:
    with pytest.raises(UserError) as failed:
        check(value)
    assert failed.value.problem.code == "MW-622"
    assert "\n" not in failed.value.problem.seen
    assert len(failed.value.problem.seen) < 150


@given(st.text(max_size=70))
def test_what_is_accepted_is_a_dns_label(name: str) -> None:
    try:
        found = values.deployed_name(name)
    except UserError:
        return
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", found)
    assert len(found) <= values.NAME_LENGTH


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Support-Intents", "support-intents"),
        ("7b", "m-7b"),
        ("a" * 64, "a" * 40),
        ("a-" * 32, ("a-" * 20)[:-1]),
        ("a--", "a"),
    ],
)
def test_a_bundles_name_becomes_a_name_in_a_cluster(name: str, found: str) -> None:
    assert values.deployed_name(name) == found


@pytest.mark.parametrize(
    "image",
    [
        "intents", "intents:1", "library/intents:1.2-rc", "localhost:5000/a/b:c",
        "registry.example.com/a-b/c_d:1@sha256:" + "0" * 64,
        "europe-west1-docker.pkg.dev/project/models/intents:3f2a",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/intents:1",
    ],
)  # fmt: skip
def test_images_as_registries_name_them_are_accepted(image: str) -> None:
    assert values.image(image) == image


@pytest.mark.parametrize(
    "changes",
    [
        {"cores": "2; reboot"}, {"cores": 0}, {"cores": 1.5}, {"cores": True}, {"per_second": 0},
        {"per_second": float("nan")}, {"memory_mb": float("inf")}, {"memory_mb": -1},
        {"ready_seconds": None}, {"slo_p99_ms": "50"}, {"loads": ()}, {"machine": 3},
    ],
)  # fmt: skip
def test_a_capacity_of_other_things_than_numbers_is_refused(
    changes: dict[str, Any], capacity: Capacity
) -> None:
    with pytest.raises(UserError) as failed:
        values.capacity(replace(capacity, **changes))
    assert failed.value.problem.code == "MW-620"


@pytest.mark.parametrize(
    "changes",
    [
        {"minimum": 5, "maximum": 2}, {"maximum": 0}, {"minimum": -1}, {"maximum": 2.5},
        {"maximum": 1_000_000}, {"target": 0}, {"target": "8"}, {"up_factor": 1.0},
        {"down_seconds": 86_400}, {"up_seconds": float("nan")}, {"minimum": None},
        {"up_gain": 0.0}, {"down_gain": 11.0}, {"look_back_seconds": None}, {"metrics_seconds": 1e5},
    ],
)  # fmt: skip
def test_a_policy_that_no_autoscaler_can_follow_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError) as failed:
        values.policy(replace(Policy(), **changes))
    assert failed.value.problem.code == "MW-621"


def test_the_capacity_of_another_bundle_is_refused(capacity: Capacity) -> None:
    manifest = {
        "name": capacity.bundle,
        "version": capacity.version,
        "variants": [{"name": capacity.variant}],
    }
    values.same_bundle(manifest, capacity)
    for change in ({"bundle": "b"}, {"version": "0" * 12}, {"variant": "gone"}):
        with pytest.raises(UserError) as failed:
            values.same_bundle(manifest, replace(capacity, **change))
        assert failed.value.problem.code == "MW-627"
