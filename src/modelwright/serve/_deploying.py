"""Loading, swapping, trying and taking back versions of models while the service answers.

A version is opened and passes its self-test before anybody is sent to it; one that is replaced
answers what it was asked and is then closed. What is served is written to a file after each
change, so that a restart serves the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from modelwright.artifacts.bundle import read_bundle
from modelwright.errors import UserError
from modelwright.runtime.files import read_json, write_json
from modelwright.serve._model import ServedModel
from modelwright.serve._rollout import Role, Slot
from modelwright.serve.problems import ServiceError

if TYPE_CHECKING:
    from modelwright.engines import Bundle
    from modelwright.serve._service import Service

SCHEMA = 1
_LOG = logging.getLogger("modelwright.serve")
Opener = Callable[[Path], "Bundle"]


@final
class Deployer:
    """Changes what a service serves; its methods run in the event loop of the service.

    Args:
        service: that answers.
        opener: opens a bundle's folder.
        root: the folder that bundles are loaded from; nothing outside of it is.
        state: the file that is written after each change, or None.
    """

    def __init__(self, service: Service, opener: Opener, root: Path, state: Path | None) -> None:
        self._service, self._opener = service, opener
        self._root, self._state = root.resolve(), state
        self._unloaded: set[str] = set()
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        service.withdraw = self._withdraw

    # -- what an operator asks --------------------------------------------------------------------
    async def load(self, name: str, bundle: str, role: Role, share: float) -> None:
        """Serve a bundle as stable, canary or shadow of a name.

        Raises:
            ServiceError: MW-702 for a bundle that cannot be served; nothing has changed then.
        """
        async with self._lock:
            slot = self._service.slots.get(name)
            if slot is None and role != "stable":
                detail = f"nothing is served as {name}, so there is nothing to compare with"
                raise ServiceError("MW-702", detail, field="as", fix='load it as "stable" first')
            model = await asyncio.to_thread(self._open, name, self._inside(bundle))
            if slot is None:
                self._service.slots[name] = Slot(model)
                self._unloaded.discard(name)
            elif role == "stable":
                self._replace(slot, "previous", slot.stable)
                slot.stable = model
                self._replace(slot, "canary", None)
            elif role == "canary":
                self._replace(slot, "canary", None)
                slot.start_canary(model, share)
            else:
                self._replace(slot, "shadow", model)
            await self._changed(f"{name}: {model.version[:12]} is {role}")

    async def promote(self, name: str) -> None:
        """The canary becomes the stable version; the stable one is kept for a roll-back."""
        async with self._lock:
            slot = self._slot(name)
            if slot.canary is None:
                raise ServiceError("MW-702", f"{name} has no canary", fix="load one first")
            canary, slot.canary = slot.canary, None
            self._replace(slot, "previous", slot.stable)
            slot.stable = canary
            await self._changed(f"{name}: {canary.version[:12]} was promoted")

    async def roll_back(self, name: str) -> None:
        """Take back the canary, or else go back to the version before."""
        async with self._lock:
            slot = self._slot(name)
            if slot.canary is not None:
                self._replace(slot, "canary", None)
            elif slot.previous is not None:
                worse, slot.stable, slot.previous = slot.stable, slot.previous, None
                self._retire(worse)
            else:
                detail = f"{name} has no canary and no version before this one"
                raise ServiceError("MW-702", detail, fix="load the bundle that is wanted")
            await self._changed(f"{name}: back to {slot.stable.version[:12]}")

    async def unload(self, name: str) -> None:
        """Serve a name no more; its running requests are answered."""
        async with self._lock:
            slot = self._slot(name)
            del self._service.slots[name]
            self._unloaded.add(name)
            for _, model in slot.models():
                self._retire(model)
            await self._changed(f"{name}: unloaded")

    def listing(self) -> dict[str, Any]:
        """What is served, by name and role."""
        return {
            name: {
                role: {
                    "version": model.version,
                    "bundle": str(model.bundle.folder),
                    "ready": model.ready,
                    **({"share": slot.share} if role == "canary" else {}),
                }
                for role, model in slot.models()
            }
            for name, slot in self._service.slots.items()
        }

    # -- how --------------------------------------------------------------------------------------
    def restore(self, state: Mapping[str, Any]) -> None:
        """Load what a state has beside the stable versions, before serving; what cannot be is left."""
        self._unloaded = {name for name, roles in state.items() if not roles}
        for name, slot in self._service.slots.items():
            for role in ("canary", "shadow", "previous"):
                folder = state.get(name, {}).get(role)
                if not folder:
                    continue
                try:
                    model = self._open(name, Path(folder))
                except ServiceError as error:
                    _LOG.error("the %s of %s is gone: %s", role, name, error)
                    continue
                if role == "canary":
                    slot.start_canary(model, float(state[name]["share"]))
                else:
                    setattr(slot, role, model)
        self._save()

    async def settled(self) -> None:
        """Until everything that was replaced is closed."""
        await asyncio.gather(*self._tasks)

    def _open(self, name: str, path: Path) -> ServedModel:
        failures = self._service.metrics.verify_failures
        try:
            bundle = self._opener(path)
        except UserError as error:
            problem = error.problem
            failures.labels("files" if problem.code == "MW-602" else "other").inc()
            detail = f"the bundle cannot be opened: {problem.code} {problem.seen}"
            raise ServiceError("MW-702", detail, field="bundle", fix=problem.fix) from None
        if bundle.manifest["name"] != name:
            bundle.close()
            detail = f"the bundle is named {bundle.manifest['name']}, not {name}"
            raise ServiceError("MW-702", detail, field="bundle", fix="use the bundle's own name")
        model = self._service.served(bundle)
        if model.not_ready:
            why = model.not_ready
            failures.labels("answers").inc()
            model.close()
            fix = "run `mw verify` on it"
            raise ServiceError("MW-702", f"self-test: {why}", field="bundle", fix=fix)
        return model

    def _inside(self, bundle: str) -> Path:
        inside = "\0" not in bundle
        path = (self._root / bundle).resolve() if inside else self._root
        if not inside or not path.is_relative_to(self._root):
            fix = "give a folder inside the one of --bundles"
            raise ServiceError("MW-702", "lies outside of --bundles", field="bundle", fix=fix)
        return path

    def _slot(self, name: str) -> Slot:
        self._service.find(name)
        return self._service.slots[name]

    def _replace(self, slot: Slot, role: Role, model: ServedModel | None) -> None:
        """Put a model into a role and retire who had it."""
        old = getattr(slot, role)
        setattr(slot, role, model)
        if old is not None:
            self._retire(old)

    def _retire(self, model: ServedModel) -> None:
        self._later(model.retire())

    def _withdraw(self, slot: Slot, why: str) -> None:
        """A canary did worse than the stable version: it answers nobody from now on."""
        if slot.canary is None:
            return
        _LOG.error("%s: the canary was withdrawn: %s", slot.stable.name, why)
        self._service.metrics.canary_withdrawn.labels(slot.stable.name).inc()
        self._replace(slot, "canary", None)
        self._later(self._changed(f"{slot.stable.name}: canary withdrawn"))

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _changed(self, what: str) -> None:
        self._service.generation += 1
        _LOG.info(what)
        await asyncio.to_thread(self._save)

    def _save(self) -> None:
        if self._state is None:
            return
        models: dict[str, Any] = {name: {} for name in sorted(self._unloaded)}
        models |= {
            name: {
                **{role: str(model.bundle.folder) for role, model in slot.models()},
                **({"share": slot.share} if slot.canary is not None else {}),
            }
            for name, slot in list(self._service.slots.items())
        }
        write_json(self._state, {"schema": SCHEMA, "models": models})


def read_state(path: Path | None) -> dict[str, Any]:
    """What was served when the service stopped: roles and folders by name, no role for what was
    unloaded; {} where not known.

    Raises:
        UserError: MW-604 when it is no state of a service.
    """
    if path is None or not path.is_file():
        return {}
    try:
        content = read_json(path)
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']}")
        return {name: dict(roles) for name, roles in content["models"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "MW-604",
            f"it is not the state of a service: {error}",
            expected="a file that `mw serve --state` wrote",
            fix="delete it; the bundles of the command line are served then",
            file=str(path),
        ) from error


def stable_folders(given: Sequence[Path], state: Mapping[str, Any]) -> list[Path]:
    """What to open at first: the folders given, or what the state has for their names; then
    the other names of the state. What was unloaded stays so, and is told.

    Raises:
        UserError: MW-601 for what is no bundle.
    """
    names = [str(read_bundle(folder)["name"]) for folder in given]
    kept = {name: Path(roles["stable"]) for name, roles in state.items() if roles}
    unloaded = [name for name in names if state.get(name) == {}]
    for name in unloaded:
        _LOG.warning("%s was unloaded and stays so: load it at the admin port", name)
    both = zip(names, given, strict=True)
    first = [kept.pop(name, folder) for name, folder in both if name not in unloaded]
    return [*first, *kept.values()]
