"""A renewed bundle in service: copied to where the service loads from, tried, promoted or taken back.

The service watches the canary itself: it answers in its place where it fails, and withdraws it
when it fails more or is slower than the stable version. Here it is watched until it has answered
enough requests, and promoted only then.
"""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import GateError, UserError
from modelwright.recipe.schema import Trial
from modelwright.renew.asked import Place
from modelwright.runtime.files import writing_errors

POLL_S = 0.5
TIMEOUT_S = 120.0
"""Of one request to the service; loading a bundle is one."""
_SAMPLE = re.compile(r"^modelwright_requests_total\{([^}]*)\} (\S+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        promoted: whether the new version is stable now.
        why: in words.
        requests: answered by the canary.
        failed: of these, with 5xx.
    """

    promoted: bool
    why: str
    requests: int
    failed: int


def try_out(
    place: Place, bundle: Path, version: str, trial: Trial, decide: Callable[[str], None]
) -> Outcome:
    """Canary, watch, promote or roll back; a trial that was cut off goes on.

    Args:
        place: the service.
        bundle: the new bundle.
        version: its own.
        trial: the recipe's `renew.canary`.
        decide: told of every decision.

    Raises:
        UserError: MW-656 for a service that cannot be reached or refuses.
    """
    name = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["name"]
    roles = _roles(place, name)
    if _version(roles, "stable") == version:
        return Outcome(True, "it is the stable version already", 0, 0)
    if _version(roles, "canary") != version:
        folder = _hand_over(place, bundle, roles, f"{name}-{version}")
        _ask(place, f"{name}", {"bundle": folder, "as": "canary", "share": trial.share})
        decide(f"canary {name}:{version} answers {trial.share:.0%} of the requests")
    before = _answered(place, name, version)
    end = time.monotonic() + trial.seconds
    while True:
        roles = _roles(place, name)
        asked, failed = (
            now - then for now, then in zip(_answered(place, name, version), before, strict=True)
        )
        if _version(roles, "canary") != version:
            return Outcome(
                False, "the service withdrew the canary (its log says why)", asked, failed
            )
        if asked >= trial.requests:
            break
        if time.monotonic() >= end:
            _ask(place, f"{name}/rollback")
            why = f"only {asked} of {trial.requests} requests reached the canary in {trial.seconds:g} s"
            return Outcome(False, why, asked, failed)
        time.sleep(POLL_S)
    _ask(place, f"{name}/promote")
    if _version(_roles(place, name), "stable") != version:
        return Outcome(False, "the service did not keep it as the stable version", asked, failed)
    return Outcome(True, f"the canary answered {asked} requests, {failed} failed", asked, failed)


def gate(outcome: Outcome) -> None:
    """Raises GateError MW-656 for a trial that did not end in promotion."""
    if not outcome.promoted:
        raise GateError(
            "MW-656",
            f"the canary was taken back: {outcome.why}",
            expected="a canary that answers as well and as fast as the stable version, often enough",
            fix="look at the service's log; renew.canary sets share, requests and seconds",
        )


def _hand_over(place: Place, bundle: Path, roles: dict[str, Any], folder: str) -> str:
    """Copy the bundle into the folder that the service loads from; its name there."""
    root = place.bundles or Path(roles["stable"]["bundle"]).parent
    if not root.is_dir():
        raise _refused(
            f"the folder of the service's bundles, {root}, is not to be seen from here",
            "--bundles DIR: the folder of `mw serve --bundles`",
        )
    target = root / folder
    temporary = root / f".{folder}.tmp"
    with writing_errors(target):
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(bundle, temporary)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    return folder


def _roles(place: Place, name: str) -> dict[str, Any]:
    models = json.loads(_request(place, f"{place.admin}/admin/models")).get("models", {})
    if "stable" not in models.get(name, {}):
        raise _refused(
            f"it serves {', '.join(models) or 'nothing'}, not {name}", f"mw serve the bundle {name}"
        )
    return models[name]


def _version(roles: dict[str, Any], role: str) -> str:
    return str(roles.get(role, {}).get("version", ""))


def _answered(place: Place, name: str, version: str) -> tuple[int, int]:
    """Requests that a version has answered, and how many of them with 5xx."""
    asked = failed = 0
    text = _request(place, f"{place.service}/metrics").decode("utf-8", "replace")
    for labels, value in _SAMPLE.findall(text):
        of = dict(_LABEL.findall(labels))
        if (of.get("model"), of.get("version")) == (name, version):
            asked += int(float(value))
            failed += int(float(value)) if of.get("code", "").startswith("5") else 0
    return asked, failed


def _ask(place: Place, what: str, body: dict[str, Any] | None = None) -> bytes:
    data = json.dumps(body or {}).encode()
    return _request(place, f"{place.admin}/admin/models/{what}", data)


def _request(place: Place, url: str, data: bytes | None = None) -> bytes:
    """Ask the service.

    Raises:
        UserError: MW-656, with what it said.
    """
    if not url.startswith(("http://", "https://")):
        raise _refused(f"{url} is no address of a service", "--service http://HOST:PORT")
    headers = {"content-type": "application/json"}
    if place.key:
        headers["x-api-key"] = place.key
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        said = error.read(2000).decode("utf-8", "replace")
        try:
            told = json.loads(said)
            said = f"{told.get('code', '')} {told.get('detail', said)}".strip()
        except (ValueError, AttributeError):
            pass
        raise _refused(
            f"it answered {error.code} at {url}: {said[:500]}",
            "--key-file with a key of the scopes admin and metrics: "
            "mw keys add renewal --scope admin --scope metrics",
        ) from error
    except (OSError, ValueError) as error:
        raise _refused(
            f"{url} cannot be reached: {error}",
            "--service and --admin: the addresses of a running `mw serve --admin-port`",
        ) from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key goes to the address that was given, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _refused(seen: str, fix: str) -> UserError:
    return UserError(
        "MW-656", f"the service: {seen}", expected="a service that takes the canary", fix=fix
    )
