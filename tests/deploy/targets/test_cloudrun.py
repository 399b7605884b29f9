"""Cloud Run's dialect of a Knative Service, by the bounds that its reference states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwright.deploy.policy import Policy

Write = Callable[..., Path]
SOLD = {
    "1": (512, 4096),
    "2": (512, 8192),
    "4": (2048, 16384),
    "6": (4096, 24576),
    "8": (4096, 32768),
}


def _service(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "service.yaml").read_text())


def test_bounds_of_instances_and_concurrency_come_from_policy_and_capacity(write: Write) -> None:
    service = _service(write("cloudrun", policy=Policy(minimum=0, maximum=30, target=6)))
    assert (service["apiVersion"], service["kind"]) == ("serving.knative.dev/v1", "Service")
    template = service["spec"]["template"]
    notes = template["metadata"]["annotations"]
    assert notes["autoscaling.knative.dev/minScale"] == "0"
    assert notes["autoscaling.knative.dev/maxScale"] == "30"
    assert template["spec"]["containerConcurrency"] == 6
    assert all(isinstance(value, str) for value in notes.values())


@pytest.mark.parametrize(
    ("cores", "memory"), [(1, 50.0), (2, 300.0), (3, 300.0), (5, 3000.0), (8, 10.0)]
)
def test_cores_and_memory_are_a_pair_that_is_sold(write: Write, cores: int, memory: float) -> None:
    service = _service(write("cloudrun", cores=cores, memory_mb=memory))
    limits = service["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    least, most = SOLD[limits["cpu"]]
    assert int(limits["cpu"]) >= cores
    assert least <= int(limits["memory"].removesuffix("Mi")) <= most


def test_the_keys_come_from_secret_manager_as_a_file(write: Write) -> None:
    folder = write("cloudrun")
    spec = _service(folder)["spec"]["template"]["spec"]
    container = spec["containers"][0]
    mount = container["volumeMounts"][0]
    file = f"{mount['mountPath']}/{spec['volumes'][0]['secret']['items'][0]['path']}"
    assert container["args"][container["args"].index("--keys") + 1] == file
    secret = spec["volumes"][0]["secret"]["secretName"]
    assert f"gcloud secrets create {secret}" in (folder / "README.md").read_text()
    assert container["startupProbe"]["failureThreshold"] * 1 <= 240
