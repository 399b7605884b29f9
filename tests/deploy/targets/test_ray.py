"""The file for Ray Serve is one that Ray reads, and its numbers are the policy's and the measured."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwright import plugs
from modelwright.deploy.policy import UNBOUNDED, Policy

pytest.importorskip("ray", reason="ray, an extra, is not installed")

Write = Callable[..., Path]


def _application(folder: Path) -> Any:
    from ray.serve.schema import ServeDeploySchema

    document = yaml.safe_load((folder / "serve.yaml").read_text())
    ServeDeploySchema.model_validate(document)
    return document["applications"][0]


def test_ray_accepts_the_file_and_it_says_what_the_policy_says(
    write: Write, policy: Policy
) -> None:
    chosen = replace(
        policy, minimum=3, maximum=9, target=5.5, up_seconds=20.0, down_seconds=240.0, up_gain=0.5
    )
    application = _application(write("ray", policy=chosen))
    deployment = application["deployments"][0]
    scaling = deployment["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["initial_replicas"], scaling["max_replicas"]) == (
        3,
        3,
        9,
    )
    assert scaling["target_ongoing_requests"] == 5.5
    assert (scaling["upscale_delay_s"], scaling["downscale_delay_s"]) == (20.0, 240.0)
    assert (scaling["look_back_period_s"], scaling["metrics_interval_s"]) == (20.0, 10.0)
    assert (scaling["upscaling_factor"], scaling["downscaling_factor"]) == (0.5, 1.0)
    assert deployment["max_ongoing_requests"] == 12
    assert deployment["ray_actor_options"] == {"num_cpus": 2, "memory": 384 * 1024**2}


@pytest.mark.parametrize(
    "asked",
    [
        Policy(), Policy(minimum=4, maximum=9, target=2.5, up_seconds=60.0, up_gain=0.5),
        Policy(look_back_seconds=3.0, metrics_seconds=1.0), Policy(look_back_seconds=3.0),
    ],
)  # fmt: skip
def test_what_is_written_is_what_was_simulated(asked: Policy, write: Write) -> None:
    """The policy beside the file is the played one, and every word of the file is in it."""
    from ray.serve.config import AutoscalingConfig

    folder = write("ray", policy=asked)
    played = Policy.load(folder / "policy.json")
    place = plugs.load("target", "ray")
    assert place.cls(place.config()).follows(asked) == played
    scaling = _application(folder)["deployments"][0]["autoscaling_config"]
    config = AutoscalingConfig(**scaling)
    assert (config.min_replicas, config.max_replicas) == (played.minimum, played.maximum)
    assert config.get_target_ongoing_requests() == played.target
    assert (config.upscale_delay_s, config.downscale_delay_s) == (
        played.up_seconds, played.down_seconds,
    )  # fmt: skip
    assert (config.look_back_period_s, config.metrics_interval_s) == (
        played.look_back_seconds, played.metrics_seconds,
    )  # fmt: skip
    assert (config.get_upscaling_factor(), config.get_downscaling_factor()) == (
        played.up_gain, played.down_gain,
    )  # fmt: skip
    assert played.up_factor == UNBOUNDED
    assert config.look_back_period_s > config.metrics_interval_s  # or Ray complains


def test_the_application_is_built_from_what_the_file_says(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the import path and the arguments that Ray reads."""
    folder = write("ray")
    application = _application(folder)
    module, _, name = application["import_path"].partition(":")
    built = getattr(importlib.import_module(module), name)(application["args"])
    deployment = built._bound_deployment
    assert deployment.name == application["deployments"][0]["name"]
    monkeypatch.chdir(folder)
    assert (folder / application["args"]["bundle"] / "bundle.json").is_file()


def test_hashes_of_keys_travel_with_the_folder_and_the_keys_do_not(write: Write) -> None:
    folder = write("ray")
    assert (folder / ".gitignore").read_text() == "secrets/*.key\n"
    assert _application(folder)["args"]["keys"] == "secrets/service/keys.json"


def test_the_libraries_are_pinned_with_ray_among_them(write: Write) -> None:
    lines = (write("ray") / "requirements.txt").read_text().splitlines()
    assert lines[0].startswith("ray[serve]==")
    assert lines[-1].startswith("./wheels/modelwright-")
    assert plugs.load("target", "ray").requires == {"ray": "ray"}


def test_recorded_requests_outlive_the_copy_of_the_folder_that_ray_makes(
    write: Write, changed_bundle: Callable[..., Path]
) -> None:
    folder = write("ray", of=changed_bundle(serve={"record": True}))
    traffic = _application(folder)["args"]["traffic"]
    assert traffic == "/var/lib/modelwright/tiny"
    assert traffic in (folder / "README.md").read_text()
