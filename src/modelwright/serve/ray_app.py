"""The service as an application of Ray Serve: the routes of `mw serve`, as many replicas as it takes.

    serve run --working-dir . serve.yaml          # the folder that `mw deploy --target ray` wrote

Each replica opens the bundle, checks its digests and its golden answers, and then is asked over HTTP
by Ray's proxies. Ray starts and ends replicas; a replica whose model stalls is replaced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelwright.errors import UserError
from modelwright.runtime.libraries import require, require_all

REQUIRES = {"ray": "ray", "starlette": "serve", "prometheus_client": "serve"}
DEPLOYMENT = "Model"
"""What the deployment is called in a config file."""


@final
class Arguments(BaseModel):
    """The `args` of the application in Ray Serve's config file.

    Attributes:
        bundle: its folder, as replicas see it.
        variant: of it; the default one when None.
        threads: of one call of the model; measured when None.
        keys: file of API keys; everybody may ask when None.
        traffic: folder where requests are recorded that recipes allow to.
        deployment: options of Ray Serve's deployment; those of a config file go over them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    bundle: str = Field(min_length=1)
    variant: str | None = None
    threads: int | None = Field(default=None, ge=1)
    keys: str | None = None
    traffic: str | None = None
    deployment: dict[str, Any] = Field(default_factory=dict)


def build(args: dict[str, Any]) -> Any:
    """The application; `import_path: modelwright.serve.ray_app:build` names it.

    Args:
        args: see `Arguments`.

    Returns:
        An `Application` for `serve.run`.

    Raises:
        UserError: MW-647 for arguments that are none of these, MW-801 without the extra `ray`.
    """
    require_all(REQUIRES)
    serve: Any = require("ray.serve", "ray")
    known = _checked(args)
    wrapped = serve.ingress()(Replica)
    deployment = serve.deployment(wrapped, name=DEPLOYMENT)
    try:
        deployment = deployment.options(**known.deployment)
    except (TypeError, ValueError) as error:
        raise _refused(f"`deployment`: {error}") from None
    return deployment.bind(known.model_dump())


def _checked(args: dict[str, Any]) -> Arguments:
    try:
        return Arguments.model_validate(args)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "args"
        raise _refused(f"`{field}`: {first['msg']}") from None


def _refused(seen: str) -> UserError:
    return UserError(
        "MW-647",
        f"the arguments of the application are wrong: {seen}",
        expected=f"{', '.join(Arguments.model_fields)}, as `mw deploy --target ray` writes them",
        fix="write serve.yaml again: mw deploy BUNDLE --target ray -o DIR",
    )


@final
class Replica:
    """One process with one verified bundle; Ray Serve's ingress asks its ASGI application.

    Raises:
        RuntimeError: the bundle cannot be opened or fails its self-test; with the text of our error,
            for it travels between processes.
    """

    def __init__(self, args: dict[str, Any]) -> None:
        known = _checked(args)
        try:
            self._app = _opened(known)
        except UserError as error:
            raise RuntimeError(str(error)) from None
        state = self._app.service.state()
        if not state["ready"]:
            why = "; ".join(f"{name}: {why}" for name, why in state["reasons"].items())
            self._app.service.close(timeout=5)
            raise RuntimeError(f"MW-603 {why}")

    def __serve_build_asgi_app__(self) -> Any:
        return self._app

    def check_health(self) -> None:
        """Asked by Ray every few seconds; a replica that raises is replaced."""
        state = self._app.service.state()
        if not state["ready"] and not self._app.service.draining:
            raise RuntimeError(str(state["reasons"]))


def _opened(known: Arguments) -> Any:
    import prometheus_client

    from modelwright.serve._opening import open_verified
    from modelwright.serve.app import create_app
    from modelwright.serve.settings import Settings

    prometheus_client.disable_created_metrics()
    settings = Settings(
        keys=Path(known.keys) if known.keys else None,
        traffic=Path(known.traffic) if known.traffic else None,
    )
    return create_app([open_verified(Path(known.bundle), known.variant, known.threads)], settings)
