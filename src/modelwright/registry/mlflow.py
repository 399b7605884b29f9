"""MLflow's Model Registry as a registry of bundles: `mlflow:sqlite:///mlflow.db`, `mlflow:http://HOST`.

A version of a bundle is a model version with its record in the tag `modelwright.record` and its
files as artifacts of a run; stages are aliases, so that MLflow shows them; the history is in tags
of the registered model, an event each.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, final

from modelwright.artifacts.bundle import MANIFEST
from modelwright.data.sources._remote import redact
from modelwright.errors import ModelwrightError, UserError
from modelwright.registry.files import declared_files
from modelwright.registry.store import STAGES, Event, Record, Registry, safe, stages_of
from modelwright.runtime import libraries

RECORD, EVENT, SIGNED = "modelwright.record", "modelwright.event.", "modelwright.signed"
BUNDLE, SIGNATURE = "bundle", "signature"
EXPERIMENT = "modelwright"


@final
class MlflowRegistry(Registry):
    """See the module.

    Args:
        uri: of the tracking server or database; "" for what MLFLOW_TRACKING_URI says.
    """

    def __init__(self, uri: str) -> None:
        libraries.require("mlflow", "tracking")
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        self.uri = uri
        with self._failures():
            self._client = MlflowClient(tracking_uri=uri or None, registry_uri=uri or None)

    # -- reading ----------------------------------------------------------------------------------
    def names(self) -> list[str]:
        with self._failures():
            return sorted(one.name for one in self._pages(self._client.search_registered_models))

    def records(self, name: str) -> list[Record]:
        with self._failures():
            found = [_record(one) for one in self._versions(name)]
        kept = [record for record in found if record is not None]
        return sorted(kept, key=lambda record: (record.pushed, record.version))

    def events(self, name: str) -> list[Event]:
        with self._failures():
            if name not in self.names():
                return []
            tags = self._client.get_registered_model(safe(name, "name")).tags
        keys = sorted(key for key in tags if key.startswith(EVENT))
        return [Event(**json.loads(tags[key])) for key in keys]

    def fetch(self, record: Record, folder: Path) -> None:
        with self._failures():
            run = self._version(record).run_id
            self._download(run, f"{BUNDLE}/{MANIFEST}", folder / MANIFEST)
            for name in declared_files((folder / MANIFEST).read_bytes()):
                self._download(run, f"{BUNDLE}/{name}", folder / name)

    def fetch_signature(self, record: Record, target: Path) -> None:
        with self._failures():
            run = self._version(record).run_id
            self._download(run, f"{SIGNATURE}/signature.json", target)

    # -- writing ----------------------------------------------------------------------------------
    def add(self, record: Record, bundle: Path, signature: Path | None) -> None:
        name = safe(record.name, "name")
        with self._failures():
            run = self._client.create_run(self._experiment(), run_name=f"{name}:{record.version}")
            identity = run.info.run_id
            self._client.log_artifacts(identity, str(bundle), BUNDLE)
            if signature is not None:
                self._client.log_artifact(identity, str(signature), SIGNATURE)
            self._client.set_terminated(identity)
            if name not in self.names():
                with contextlib.suppress(Exception):  # another push was faster
                    self._client.create_registered_model(name)
            self._client.create_model_version(
                name,
                f"{run.info.artifact_uri}/{BUNDLE}",
                run_id=identity,
                tags={RECORD: json.dumps(asdict(record), ensure_ascii=False)},
            )

    def add_signature(self, record: Record, signature: Path) -> None:
        with self._failures():
            version = self._version(record)
            self._client.log_artifact(version.run_id or "", str(signature), SIGNATURE)
            self._client.set_model_version_tag(record.name, version.version, SIGNED, "true")

    def note(self, name: str, event: Event) -> None:
        key = f"{EVENT}{time.time_ns():020d}-{secrets.token_hex(4)}"
        value = json.dumps(asdict(replace(event, reason=event.reason[:1000])), ensure_ascii=False)
        with self._failures():
            self._client.set_registered_model_tag(safe(name, "name"), key, value)
            if event.what == "stage":
                self._show_stages(name)

    # -- how --------------------------------------------------------------------------------------
    def _show_stages(self, name: str) -> None:
        stages = stages_of(self.events(name))
        shown = self._client.get_registered_model(name).aliases
        numbers = {
            record.version: one.version
            for one in self._versions(name)
            if (record := _record(one)) is not None
        }
        for stage in STAGES:
            if stage in stages:
                self._client.set_registered_model_alias(name, stage, numbers[stages[stage]])
            elif stage in shown:
                self._client.delete_registered_model_alias(name, stage)

    def _versions(self, name: str) -> list[Any]:
        query = f"name='{safe(name, 'name')}'"
        return self._pages(self._client.search_model_versions, query)

    def _version(self, record: Record) -> Any:
        for one in self._versions(record.name):
            known = _record(one)
            if known is not None and known.version == record.version:
                return one
        raise UserError(
            "MW-650",
            f"{record.name}:{record.version} is gone from the registry",
            expected="a version that was pushed",
            fix=f"mw models {_shown(self.uri)}",
        )

    def _download(self, run: str, path: str, target: Path) -> None:
        from mlflow.artifacts import download_artifacts

        with tempfile.TemporaryDirectory(prefix="modelwright-") as scratch:
            came = download_artifacts(
                run_id=run, artifact_path=path, dst_path=scratch, tracking_uri=self.uri or None
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(came, target)

    def _experiment(self) -> str:
        """The experiment of pushed bundles; beside a database of this machine, its files too."""
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return found.experiment_id
        place = None
        if self.uri.startswith("sqlite:///"):
            database = Path(self.uri.removeprefix("sqlite:///")).absolute()
            place = (database.parent / "artifacts").as_uri()
        try:
            return self._client.create_experiment(EXPERIMENT, artifact_location=place)
        except Exception:
            if (found := self._client.get_experiment_by_name(EXPERIMENT)) is not None:
                return found.experiment_id  # another push was faster
            raise

    def _pages(self, search: Any, query: str | None = None) -> list[Any]:
        found, token = [], None
        while True:
            page = search(filter_string=query, page_token=token)
            found += list(page)
            token = page.token
            if not token:
                return found

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except ModelwrightError:
            raise
        except Exception as error:  # its stores and servers raise errors of their own
            said = redact(str(error)).strip().split("\n")[0][:300] or type(error).__name__
            raise UserError(
                "MW-652",
                f"MLflow's registry at {_shown(self.uri)} refused: {said}",
                expected="a tracking server, or a database, that this user may write to",
                fix="mlflow:http://HOST:5000 or mlflow:sqlite:///mlflow.db; "
                'pip install "modelwright[tracking]"',
            ) from error


def _shown(uri: str) -> str:
    return redact(f"mlflow:{uri}")


def _record(version: Any) -> Record | None:
    """What a model version tells of its bundle; None for one that somebody else registered."""
    try:
        record = Record(**json.loads(version.tags[RECORD]))
    except (KeyError, ValueError, TypeError):
        return None
    return replace(record, signed=record.signed or version.tags.get(SIGNED) == "true")
