"""Which names and numbers may be written into files that shells, builders and clusters read.

Everything that comes from a bundle, a file or a command line passes here before a target sees it. A
name is accepted as it is or refused; it is never mended, for then two bundles could share one name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from modelwright.artifacts.capacity import Capacity, Load
from modelwright.deploy.policy import Policy
from modelwright.errors import UserError
from modelwright.recipe.schema import NAME_PATTERN

NAME_LENGTH = 40
"""Of a name in a cluster, so that endings such as `-metrics` fit into 63 characters."""
MOST = 1e9
_NAME = re.compile(NAME_PATTERN.rstrip("$") + r"\Z")
_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]{{1,5}})?/)?{_PART}(?:/{_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
"""A reference as registries take it: HOST:PORT/PATH:TAG@DIGEST."""
_ADDRESS = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")


def deployed_name(name: Any) -> str:
    """What a bundle is called where it runs: its name in lower case.

    Raises:
        UserError: MW-622 for a name that recipes do not allow.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise _refused(
            "the bundle's name",
            name,
            "letters, digits and -, first a letter or digit, at most 64 characters",
            "package it again under such a name: `name:` of the recipe",
        )
    lower = name.lower().strip("-")[:NAME_LENGTH].rstrip("-")
    return lower if lower[0].isalpha() else f"m-{lower}"[:NAME_LENGTH].rstrip("-")


def label(value: Any, what: str) -> str:
    """A name of a namespace, a service or a volume (RFC 1035).

    Raises:
        UserError: MW-622.
    """
    if isinstance(value, str) and len(value) <= 63 and _LABEL.fullmatch(value):
        return value
    expected = "lower-case letters, digits and -, first a letter, at most 63 characters"
    raise _refused(what, value, expected, "choose such a name")


def word(value: Any, what: str) -> str:
    """A version, a variant or a task: letters, digits, `.`, `_`, `-`.

    Raises:
        UserError: MW-622.
    """
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    expected = "letters, digits, `.`, `_` and `-`, at most 64 characters"
    raise _refused(what, value, expected, "package the bundle again: mw run RECIPE")


def image(value: Any) -> str:
    """A reference of a container image.

    Raises:
        UserError: MW-622.
    """
    if isinstance(value, str) and len(value) <= 255 and _IMAGE.fullmatch(value):
        return value
    expected = "an image as registries name it: HOST/PATH:TAG, in lower case"
    raise _refused("--image", value, expected, "--image registry.example.com/models/intents:1")


def address(value: Any) -> str:
    """An address that alerts are posted to.

    Raises:
        UserError: MW-622.
    """
    if isinstance(value, str) and len(value) <= 500 and _ADDRESS.fullmatch(value):
        return value
    expected = "http:// or https://, a host, perhaps a port and a path; no password"
    raise _refused("--alerts", value, expected, "--alerts http://renewer:9095/alerts")


def capacity(value: Capacity) -> Capacity:
    """A capacity whose numbers are numbers.

    Raises:
        UserError: MW-620.
    """
    for load in value.loads:
        _numbers(load, "a step of `loads`")
    _numbers(value, "the capacity")
    whole = isinstance(value.cores, int) and value.cores >= 1
    if not whole or not value.loads or min(value.per_second, value.slo_p99_ms) <= 0:
        raise UserError(
            "MW-620",
            f"the capacity has {value.cores!r} cores, {len(value.loads)} steps, "
            f"{value.per_second!r} requests a second at {value.slo_p99_ms!r} ms",
            expected="at least one core and one step, and more than nothing a second",
            fix="Measure again: mw bench BUNDLE --service --out capacity.json",
        )
    return value


def _numbers(value: Capacity | Load, what: str) -> None:
    for field in fields(value):
        found = getattr(value, field.name)
        if field.type in ("float", "int") and not _is_number(found):
            raise UserError(
                "MW-620",
                f"`{field.name}` of {what} is {found!r}",
                expected=f"a number from 0 to {MOST:,.0f}",
                fix="Measure again: mw bench BUNDLE --service --out capacity.json",
            )
        if field.type == "str" and not isinstance(found, str):
            raise UserError("MW-620", f"`{field.name}` of {what} is {found!r}", expected="a text")


def policy(value: Policy) -> Policy:
    """A policy that an autoscaler can follow.

    Raises:
        UserError: MW-621.
    """
    whole = (value.minimum, value.maximum)
    counts = all(isinstance(one, int) and not isinstance(one, bool) for one in whole)
    gains, times = (value.up_gain, value.down_gain), (value.up_seconds, value.down_seconds)
    told = (value.look_back_seconds, value.metrics_seconds)
    rest = (value.target, value.up_factor, *gains, *times, *told)
    if (
        not counts
        or not all(map(_is_number, rest))
        or not 0 <= value.minimum <= max(1, value.maximum) <= 10_000
        or value.maximum < 1
        or value.target <= 0
        or value.up_factor <= 1
        or not 0 < min(gains) <= max(gains) <= 10
        or max(*times, *told) > 3600
    ):
        raise UserError(
            "MW-621",
            f"no autoscaler can follow {value}",
            expected="whole replicas, 0 <= minimum <= maximum <= 10,000, target above 0, "
            "up_factor above 1, gains above 0 and at most 10, at most 3,600 seconds",
            fix="Choose one anew: mw simulate BUNDLE --out policy.json",
        )
    return value


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value <= MOST
    )


def same_bundle(manifest: Mapping[str, Any], measured: Capacity) -> None:
    """Whether a capacity is this bundle's.

    Raises:
        UserError: MW-627.
    """
    ours = (manifest["name"], manifest["version"])
    theirs = (measured.bundle, measured.version)
    known = [entry["name"] for entry in manifest["variants"]]
    if ours == theirs and measured.variant in known:
        return
    seen, here = f"{theirs[0]} {theirs[1]}, variant {measured.variant}", f"{ours[0]} {ours[1]}"
    raise UserError(
        "MW-627",
        f"the capacity was measured for {seen!r}, and this bundle is {here!r}",
        expected=f"a capacity of this bundle with one of its variants: {', '.join(known)}",
        fix="Measure this one: mw bench BUNDLE --service --out capacity.json",
    )


def _refused(what: str, value: Any, expected: str, fix: str) -> UserError:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return UserError("MW-622", f"{what} is {shown}", expected=expected, fix=fix)
