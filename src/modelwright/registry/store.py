"""Push and pull bundles, move their stages, read their history; the same for every registry.

    push  digests ─▶ signature ─▶ files ─▶ record            a killed push leaves no version
    pull  record ─▶ files ─▶ digests ─▶ signature ─▶ rename   a killed pull leaves no folder

Versions never change: a version is the digest of its content. A stage is what the latest event of
the history says of it; events are added and never taken away.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import socket
import tempfile
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from modelwright.artifacts.bundle import MANIFEST, changed_files, read_bundle
from modelwright.artifacts.hashing import digest_file
from modelwright.artifacts.store import now
from modelwright.errors import Problem, UserError, did_you_mean
from modelwright.registry import signing
from modelwright.runtime.files import read_json, writing_errors

Stage = Literal["candidate", "canary", "production"]
STAGES: tuple[Stage, ...] = ("candidate", "canary", "production")
_SAFE = re.compile(r"[^\W_][\w.-]{0,99}")
_RESERVED = {"con", "prn", "aux", "nul"}
MLFLOW = "mlflow:"


@dataclass(frozen=True)
class Record:
    """A version that is there.

    Attributes:
        name: of the model.
        version: digest of the content.
        created: when the bundle was packaged.
        pushed: when it was pushed first, UTC.
        by: who pushed it first.
        task: the model's.
        quality: the main metric with its interval: {name, value, low, high}.
        manifest: sha256 of bundle.json.
        files: number of files.
        bytes: of all files.
        signed: whether a signature lies beside it.
    """

    name: str
    version: str
    created: str
    pushed: str
    by: str
    task: str
    quality: dict[str, Any]
    manifest: str
    files: int
    bytes: int
    signed: bool = False


@dataclass(frozen=True)
class Event:
    """Something that happened to a model: who did what, when.

    Attributes:
        what: push, sign or stage.
        stage: for `stage`; the version then leaves what it was before.
        reason: why, in words; may be empty.
    """

    what: str
    version: str
    by: str
    at: str
    stage: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Model:
    """A model of a registry: versions in the order in which they came, and the history."""

    name: str
    versions: list[Record]
    history: list[Event] = field(default_factory=list)

    @property
    def stages(self) -> dict[str, str]:
        """Version by stage."""
        return stages_of(self.history)


class Registry(ABC):
    """What lies behind an address."""

    @abstractmethod
    def names(self) -> list[str]:
        """Of all models, sorted."""

    @abstractmethod
    def records(self, name: str) -> list[Record]:
        """Versions in the order in which they came."""

    @abstractmethod
    def events(self, name: str) -> list[Event]:
        """The history, oldest first."""

    @abstractmethod
    def add(self, record: Record, bundle: Path, signature: Path | None) -> None:
        """Keep a new version; it is there when this returns, and not before all of it is."""

    @abstractmethod
    def add_signature(self, record: Record, signature: Path) -> None:
        """Keep a signature for a version that is there."""

    @abstractmethod
    def note(self, name: str, event: Event) -> None:
        """Add to the history."""

    @abstractmethod
    def fetch(self, record: Record, folder: Path) -> None:
        """Bring bundle.json and the files that it declares, and no others, into a folder."""

    @abstractmethod
    def fetch_signature(self, record: Record, target: Path) -> None:
        """Bring the signature of a version that has one."""


def open_registry(url: str) -> Registry:
    """The registry behind an address: a folder, a URL of fsspec, or `mlflow:URI`."""
    if url.startswith(MLFLOW):
        from modelwright.registry.mlflow import MlflowRegistry

        return MlflowRegistry(url.removeprefix(MLFLOW))
    from modelwright.registry.files import FileRegistry

    return FileRegistry(url)


@dataclass(frozen=True)
class Pushed:
    """What a push did: the record, whether the version was new, and the stage it was given."""

    record: Record
    new: bool
    stage: str


def push(
    bundle: Path, url: str, *, stage: str | None = None, key: Path | None = None, reason: str = ""
) -> Pushed:
    """Push a bundle; one that is there already is left as it is.

    Args:
        bundle: its folder.
        url: of the registry.
        stage: to give it; without one a new version is a candidate.
        key: private key to sign with.
        reason: kept in the history.

    Raises:
        UserError: MW-601 no bundle, MW-602 changed files, MW-650 an unsafe name, MW-651 a key that
            cannot sign, MW-652 a registry that cannot be used.
    """
    manifest = _whole(bundle)
    name, version = safe(manifest["name"], "name"), safe(manifest["version"], "version")
    if stage is not None:
        _check_stage(stage)
    registry = open_registry(url)
    known = _find(registry.records(name), version)
    with tempfile.TemporaryDirectory(prefix="modelwright-") as scratch:
        signature = None
        if key is not None:
            signature = Path(scratch) / "signature.json"
            signing.sign(bundle, key, signature)
        record = known or _record(manifest, bundle, signed=signature is not None)
        if known is None:
            registry.add(record, bundle, signature)
            registry.note(name, _event("push", version, reason=reason))
        elif signature is not None and not known.signed:
            _same_manifest(known, bundle)
            registry.add_signature(known, signature)
            registry.note(name, _event("sign", version, reason=reason))
            record = _find(registry.records(name), version) or known
    given = stage or ("candidate" if known is None else "")
    if given:
        registry.note(name, _event("stage", version, given, reason))
    return Pushed(record, known is None, given)


@dataclass(frozen=True)
class Pulled:
    """A bundle that was fetched, and what was verified of it."""

    folder: Path
    record: Record
    signature: Literal["verified", "not verified", "none"]


def pull(reference: str, url: str, folder: Path, *, key: Path | None = None) -> Pulled:
    """Fetch a bundle into a folder; nothing is there unless its digests and signature hold.

    Args:
        reference: NAME (what is in production, else the latest), NAME:VERSION or NAME@STAGE.
        url: of the registry.
        folder: where it goes; must be empty, absent, or hold the same version already.
        key: public key; the version must then be signed with its private one.

    Raises:
        UserError: MW-602 damaged, MW-650 unknown, MW-651 not signed by the key, MW-802 the folder.
    """
    registry = open_registry(url)
    record = resolve(registry, reference)
    if key is not None and not record.signed:
        raise UserError(
            "MW-651",
            f"{record.name}:{record.version} is not signed",
            expected=f"a signature that {key} verifies",
            fix="push it again with --key, from a place that you trust",
        )
    told = "verified" if key else "not verified" if record.signed else "none"
    if _is_there(folder, record) and key is None:
        return Pulled(folder, record, told)
    with _fresh(folder, record) as scratch:
        registry.fetch(record, scratch)
        _same_content(record, scratch)
        if key is not None:
            with tempfile.TemporaryDirectory(prefix="modelwright-") as beside:
                signature = Path(beside) / "signature.json"
                registry.fetch_signature(record, signature)
                signing.verify(scratch, key, signature)
    return Pulled(folder, record, told)


def set_stage(
    url: str, name: str, version: str, stage: str, *, reason: str = ""
) -> tuple[Event, str]:
    """Give a stage to a version; returns the event and the version that had the stage before ("").

    Raises:
        UserError: MW-650 for what is unknown.
    """
    _check_stage(stage)
    registry = open_registry(url)
    record = resolve(registry, f"{name}:{version}")
    before = stages_of(registry.events(name)).get(stage, "")
    event = _event("stage", record.version, stage, reason)
    registry.note(name, event)
    return event, before


def models(url: str, name: str | None = None) -> list[Model]:
    """All models, or one, with versions and history.

    Raises:
        UserError: MW-650 for a name that is not there.
    """
    registry = open_registry(url)
    names = registry.names() if name is None else [safe(name, "name")]
    found = [Model(one, registry.records(one), registry.events(one)) for one in names]
    found = [one for one in found if one.versions]
    if name is not None and not found:
        raise _absent(name, registry)
    return found


def stages_of(history: Sequence[Event]) -> dict[str, str]:
    """Version by stage: the latest event of each stage; a version is in one stage at a time."""
    found: dict[str, str] = {}
    for event in history:
        if event.what == "stage":
            found = {stage: version for stage, version in found.items() if version != event.version}
            found[event.stage] = event.version
    return {stage: found[stage] for stage in STAGES if stage in found}


def resolve(registry: Registry, reference: str) -> Record:
    """The version that NAME, NAME:VERSION or NAME@STAGE means; a version's beginning is enough.

    Raises:
        UserError: MW-650 when there is none, or more than one.
    """
    name, mark, wanted = _parts(reference)
    records = registry.records(name)
    if not records:
        raise _absent(name, registry)
    if mark == "@":
        _check_stage(wanted)
    stages = stages_of(registry.events(name)) if mark != ":" else {}
    if mark == "@":
        wanted = stages.get(wanted, "")
        if not wanted:
            raise _unknown(
                f"no version of {name} is in the stage {reference.rpartition('@')[2]}",
                f"one of the stages: {', '.join(stages) or 'none is given yet'}",
                f"mw models URL --set {name}:{records[-1].version}=STAGE",
            )
    elif not mark:
        wanted = stages.get("production", records[-1].version)
    found = [one for one in records if one.version.startswith(wanted)]
    if len(found) != 1:
        known = ", ".join(one.version for one in records)
        count = "several versions" if found else "no version"
        raise _unknown(f"{count} of {name} begin with {wanted!r}", f"one of: {known}", "name one")
    return found[0]


def safe(text: Any, what: str) -> str:
    """A name or version that can stand in a path of any system, letters of any script allowed.

    Raises:
        UserError: MW-650.
    """
    good = (
        isinstance(text, str)
        and _SAFE.fullmatch(text)
        and unicodedata.normalize("NFC", text) == text
        and not text.endswith(".")
        and text.split(".")[0].lower() not in _RESERVED
        and len(text.encode()) <= 200
    )
    if good:
        return str(text)
    raise _unknown(
        f"{text!r:.80} is no {what} of a model",
        "at most 100 letters, digits, `.`, `_` and `-`, a letter or digit first",
        "NAME, NAME:VERSION or NAME@STAGE",
    )


def _parts(reference: str) -> tuple[str, str, str]:
    """Name, `:` or `@` or nothing, and what stands behind it."""
    for mark in (":", "@"):
        name, found, rest = reference.partition(mark)
        if found:
            return safe(name, "name"), mark, safe(rest, "version" if mark == ":" else "stage")
    return safe(reference, "name"), "", ""


def _absent(name: str, registry: Registry) -> UserError:
    names = [one for one in registry.names() if one != name]  # its own push was killed
    fix = did_you_mean(name, names) if names else "push one: mw push BUNDLE URL"
    return _unknown(f"the registry holds no model `{name}`", "a model that was pushed", fix)


def _unknown(seen: str, expected: str, fix: str) -> UserError:
    return UserError("MW-650", seen, expected=expected, fix=fix)


def _check_stage(stage: str) -> None:
    if stage not in STAGES:
        raise _unknown(
            f"there is no stage {stage!r:.60}",
            f"one of: {', '.join(STAGES)}",
            did_you_mean(stage, STAGES),
        )


def _find(records: Sequence[Record], version: str) -> Record | None:
    return next((one for one in records if one.version == version), None)


def _event(what: str, version: str, stage: str = "", reason: str = "") -> Event:
    return Event(what, version, whoami(), now(), stage, reason)


def whoami() -> str:
    """USER@HOST, for the history."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _whole(bundle: Path) -> dict[str, Any]:
    manifest = read_bundle(bundle)
    if problems := changed_files(bundle, manifest):
        raise _damaged(problems)
    return manifest


def _damaged(problems: Sequence[Problem]) -> UserError:
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return UserError(
        first.code, first.seen + more, expected=first.expected, fix=first.fix, file=first.file
    )


def _record(manifest: dict[str, Any], bundle: Path, *, signed: bool) -> Record:
    quality = manifest.get("quality") or {}
    main = quality.get("main", "")
    measured = quality.get("metrics", {}).get(main, {})
    sizes = [path.stat().st_size for path in bundle.rglob("*") if path.is_file()]
    return Record(
        name=manifest["name"],
        version=manifest["version"],
        created=str(manifest.get("created", "")),
        pushed=now(),
        by=whoami(),
        task=manifest["task"],
        quality={"name": main, **measured} if "value" in measured else {},
        manifest=digest_file(bundle / MANIFEST),
        files=len(sizes),
        bytes=sum(sizes),
        signed=signed,
    )


def _same_manifest(record: Record, bundle: Path) -> None:
    """A signature covers bundle.json, with its date; so it must be the very one."""
    if digest_file(bundle / MANIFEST) != record.manifest:
        raise UserError(
            "MW-651",
            f"{record.name}:{record.version} was pushed from another packaging of the same content",
            expected="the bundle as it lies in the registry",
            fix=f"mw pull {record.name}:{record.version} URL -o DIR, and push DIR with --key",
        )


def _same_content(record: Record, folder: Path) -> None:
    """What came is what was recorded: bundle.json byte for byte, every file by its digest."""
    manifest = _whole(folder)
    if (manifest["name"], manifest["version"]) != (record.name, record.version) or digest_file(
        folder / MANIFEST
    ) != record.manifest:
        raise UserError(
            "MW-602",
            f"what lies at {record.name}:{record.version} is another bundle "
            f"({manifest['name']}:{manifest['version']})",
            expected="the bundle that was pushed",
            fix="do not use it; push the right one to a clean registry",
        )


def _is_there(folder: Path, record: Record) -> bool:
    """Whether the folder holds this version already, whole."""
    try:
        return read_json(folder / MANIFEST).get("version") == record.version and not changed_files(
            folder, read_bundle(folder)
        )
    except (OSError, ValueError, AttributeError, UserError):
        return False


@contextlib.contextmanager
def _fresh(folder: Path, record: Record) -> Iterator[Path]:
    """A scratch folder beside `folder` that takes its place when all went well."""
    same = _is_there(folder, record)
    if folder.exists() and not same and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            "MW-802",
            f"{folder} holds something else",
            expected="an empty or absent folder, or one with the same version",
            fix=f"choose another one: -o {folder}-{record.version}",
            file=str(folder),
        )
    with writing_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        scratch.chmod(0o755)
        with writing_errors(folder):
            yield scratch
            shutil.rmtree(folder, ignore_errors=True)
            scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def as_dict(model: Model) -> dict[str, Any]:
    """A model for `--json`."""
    return {
        "name": model.name,
        "stages": model.stages,
        "versions": [asdict(one) for one in model.versions],
        "history": [asdict(one) for one in model.history],
    }
