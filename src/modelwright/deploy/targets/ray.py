"""A Ray cluster: a config file of Ray Serve whose replicas are started and ended by load.

    mw deploy BUNDLE --target ray -o cluster
    cd cluster && sh make-secrets.sh && pip install -r requirements.txt
    serve run --working-dir . serve.yaml

Ray counts the requests in flight, and keeps as many replicas as the policy wants for them. The bundle
and the hashes of the keys travel to each machine with the folder.
"""

from __future__ import annotations

import math
from dataclasses import replace
from importlib import metadata
from typing import Any, final

from pydantic import BaseModel, ConfigDict

from modelwright.deploy.imaging import SECRETS, Files, bundle_files, library_files
from modelwright.deploy.ordering import PORT, Order
from modelwright.deploy.policy import UNBOUNDED, Policy
from modelwright.deploy.targets import Target
from modelwright.deploy.yamltext import Noted, text
from modelwright.runtime.libraries import missing

VERSION = 1
REQUIRES = {"ray": "ray"}

APPLICATION = "modelwright.serve.ray_app:build"
DEPLOYMENT = "Model"
METRICS_SECONDS = 10.0
"""Between two reports of the requests in flight, where the policy doesn't say; Ray's own default."""
LOOK_BACK_SECONDS = (15.0, 30.0)
"""Over how long they are averaged, where the policy doesn't say: its delay, within these bounds."""


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Ray(Target):
    """See the module."""

    def files(self, order: Order) -> Files:
        libraries = library_files(order)
        return {
            **libraries,
            **bundle_files(order),
            "requirements.txt": f"ray[serve]=={_version()}\n{libraries['requirements.txt']}",
            "serve.yaml": config(order),
            "make-secrets.sh": SECRETS,
            # the hashes of the keys travel with the folder, for Ray leaves out what git ignores
            ".gitignore": "secrets/*.key\n",
        }

    def commands(self, order: Order) -> list[tuple[str, str]]:
        return [
            ("Make the keys of the service.", "sh make-secrets.sh"),
            (
                "Install the libraries, on each machine of the cluster.",
                "python -m pip install -r requirements.txt",
            ),
            (
                "Start it, on this machine or, after `ray start`, on the cluster that it is part of.",
                "serve run --working-dir . serve.yaml",
            ),
        ]

    def follows(self, policy: Policy) -> Policy:
        """Ray averages what it is told, has gains and no bound on the growth in one step."""
        least = max(2, policy.minimum)
        every = policy.metrics_seconds or METRICS_SECONDS
        usual = min(max(policy.up_seconds, LOOK_BACK_SECONDS[0]), LOOK_BACK_SECONDS[1])
        back = policy.look_back_seconds or float(math.ceil(usual))
        return replace(
            policy,
            minimum=least,
            maximum=max(least, policy.maximum),
            up_factor=UNBOUNDED,
            metrics_seconds=every,
            look_back_seconds=back if back > every else 1.5 * every,
        )

    def notes(self, order: Order) -> str:
        return f"""
Then `curl -H "authorization: Bearer $(cat secrets/predict.key)" localhost:{PORT}/v1/models`.

- `serve status` tells the replicas, `serve shutdown` ends it.
- A new bundle, or another key: `serve shutdown`, then the last command. Without a pause: put the
  bundle under a new path that all machines have, name that path as `bundle` in serve.yaml, and give
  `serve deploy serve.yaml`; Ray starts new replicas before it ends old ones.
- `/metrics` tells of the replica that happens to answer; Ray has metrics of all of them.
- Whoever reaches Ray's own ports (6379, 8265, 10001 and those of its workers) with its token runs
  programs there: keep them in a network of the cluster's machines. Callers need {PORT} alone.
- Ray gives replicas niceness 15: on machines that do other work as well, set `RAY_worker_niceness=0`
  where Ray is started.
- `RAY_USAGE_STATS_ENABLED=0` keeps Ray from reporting to its makers.
{_recording(order)}"""


def _recording(order: Order) -> str:
    if not order.records:
        return ""
    return (
        f"- Requests are recorded in {_traffic(order)}: make it on each machine, for Ray's user.\n"
    )


def _traffic(order: Order) -> str:
    """Beyond the folder that travels, of which Ray keeps a copy only as long as it is used."""
    return f"/var/lib/modelwright/{order.name}"


def config(order: Order) -> str:
    """serve.yaml, as Ray Serve's `ServeDeploySchema` has it."""
    document = {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": PORT},
        "applications": [
            {
                "name": order.name,
                "route_prefix": "/",
                "import_path": APPLICATION,
                "args": _arguments(order),
                "deployments": [_deployment(order)],
            }
        ],
    }
    return text(document, order.sizing.head)


def _arguments(order: Order) -> dict[str, Any]:
    given: dict[str, Any] = {
        "bundle": "bundle",
        "variant": order.variant,
        "keys": "secrets/service/keys.json",
        "threads": order.capacity.cores,
    }
    return given | ({"traffic": _traffic(order)} if order.records else {})


def _deployment(order: Order) -> dict[str, Any]:
    sizing, target = order.sizing, math.ceil(order.policy.target)
    return {
        "name": DEPLOYMENT,
        "max_ongoing_requests": Noted(
            2 * target, f"2 x {target} wanted: what a replica takes on while others start"
        ),
        "autoscaling_config": _noted(order),
        "graceful_shutdown_timeout_s": Noted(
            float(sizing.stop_seconds.value), sizing.stop_seconds.why
        ),
        "health_check_period_s": 10.0,
        "health_check_timeout_s": 30.0,
        "ray_actor_options": {
            "num_cpus": Noted(sizing.cores.value, sizing.cores.why),
            "memory": Noted(sizing.reserved_mb.value * 1024**2, sizing.reserved_mb.why),
        },
    }


def autoscaling(policy: Policy) -> dict[str, Any]:
    """A policy in the words of Ray Serve's `AutoscalingConfig`; all of it but the bound on growth."""
    return {
        "min_replicas": policy.minimum,
        "initial_replicas": policy.minimum,
        "max_replicas": policy.maximum,
        "target_ongoing_requests": float(policy.target),
        "upscale_delay_s": float(policy.up_seconds),
        "downscale_delay_s": float(policy.down_seconds),
        "metrics_interval_s": float(policy.metrics_seconds),
        "look_back_period_s": float(policy.look_back_seconds),
        "upscaling_factor": float(policy.up_gain),
        "downscaling_factor": float(policy.down_gain),
    }


def _noted(order: Order) -> dict[str, Any]:
    sizing = order.sizing
    notes = {
        "min_replicas": sizing.least.why,
        "max_replicas": sizing.most.why,
        "target_ongoing_requests": sizing.in_flight.why,
        "upscale_delay_s": "that more must have been wanted: the policy's",
        "downscale_delay_s": "that fewer must have been wanted: the policy's",
        "metrics_interval_s": "between two reports of the requests in flight",
        "look_back_period_s": "over which they are averaged, as was simulated",
        "upscaling_factor": "of the way up in one step; Ray has no other bound on it",
        "downscaling_factor": "of the way down in one step",
    }
    return {
        key: Noted(value, notes[key]) if key in notes else value
        for key, value in autoscaling(order.policy).items()
    }


def _version() -> str:
    try:
        return metadata.version("ray")
    except metadata.PackageNotFoundError:
        raise missing("ray", "ray") from None
