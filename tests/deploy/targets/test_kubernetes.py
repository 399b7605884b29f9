"""All manifests are valid for the stated versions, and fit each other."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from modelwright.deploy.policy import Policy

Write = Callable[..., Path]
VERSIONS = ("1.32.0", "1.33.0", "1.34.0", "1.35.0", "1.36.0", "1.37.0")
OVERLAYS = ("any", "prometheus", "keda")
QUERY = {"type": "string", "minLength": 1}
CUSTOM: dict[str, dict[str, Any]] = {
    "ServiceMonitor": {
        "type": "object", "required": ["selector", "endpoints"], "additionalProperties": False,
        "properties": {
            "selector": {"type": "object", "required": ["matchLabels"]},
            "endpoints": {"type": "array", "minItems": 1, "items": {
                "type": "object", "additionalProperties": False,
                "properties": {
                    "port": QUERY, "path": {"pattern": "^/"},
                    "interval": {"pattern": r"^\d+(ms|s|m|h)$"},
                    "authorization": {
                        "type": "object", "required": ["credentials"], "additionalProperties": False,
                        "properties": {"type": {"const": "Bearer"}, "credentials": {
                            "type": "object", "required": ["key", "name"]}},
                    },
                    "relabelings": {"type": "array", "items": {"type": "object"}},
                },
            }},
        },
    },
    "PrometheusRule": {
        "type": "object", "required": ["groups"], "additionalProperties": False,
        "properties": {"groups": {"type": "array", "items": {
            "type": "object", "required": ["name", "rules"], "additionalProperties": False,
            "properties": {
                "name": QUERY, "interval": {"pattern": r"^\d+(ms|s|m|h)$"},
                "rules": {"type": "array", "items": {
                    "type": "object", "required": ["expr"], "additionalProperties": False,
                    "properties": {
                        "alert": QUERY, "record": QUERY, "expr": QUERY,
                        "for": {"pattern": r"^\d+(ms|s|m|h|d)$"},
                        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
                }},
            },
        }}},
    },
    "ScaledObject": {
        "type": "object", "required": ["scaleTargetRef", "triggers"], "additionalProperties": False,
        "properties": {
            "scaleTargetRef": {"type": "object", "required": ["name"]},
            "minReplicaCount": {"type": "integer", "minimum": 0},
            "maxReplicaCount": {"type": "integer", "minimum": 1},
            "pollingInterval": {"type": "integer"}, "cooldownPeriod": {"type": "integer"},
            "advanced": {"type": "object", "required": ["horizontalPodAutoscalerConfig"]},
            "triggers": {"type": "array", "minItems": 1, "items": {
                "type": "object", "required": ["type", "metadata"],
                "properties": {"metadata": {
                    "type": "object", "additionalProperties": {"type": "string"},
                    "required": ["serverAddress", "query", "threshold"]}},
            }},
        },
    },
    "AlertmanagerConfig": {
        "type": "object", "required": ["route", "receivers"], "additionalProperties": False,
        "properties": {
            "route": {"type": "object", "required": ["receiver"]},
            "receivers": {"type": "array", "items": {"type": "object", "required": ["name"]}},
        },
    },
}  # fmt: skip
"""`spec` of custom resources, as their projects' references describe them."""


def _objects(text: str) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


def _base(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in yaml.safe_load((folder / "base/kustomization.yaml").read_text())["resources"]:
        found |= _objects((folder / "base" / name).read_text())
    return found


def _check(objects: dict[str, dict[str, Any]], version: str) -> None:
    for kind, one in objects.items():
        if kind in CUSTOM:
            jsonschema.validate(one["spec"], CUSTOM[kind])
        else:
            kubernetes_validate.validate(one, version, strict=True)


@pytest.fixture
def folder(write: Write) -> Path:
    return write("kubernetes", receiver="http://renewer:9095/alerts")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_base_is_valid_for_every_stated_version(folder: Path, version: str) -> None:
    objects = _base(folder)
    assert sorted(objects) == [
        "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service",
        "ServiceAccount",
    ]  # fmt: skip
    _check(objects, version)


@pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which builds overlays, is missing"
)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_overlay_is_built_and_valid(folder: Path, overlay: str) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", str(folder / "overlays" / overlay)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    objects = _objects(built.stdout)
    _check(objects, VERSIONS[-1])
    assert ("HorizontalPodAutoscaler" in objects) == (overlay != "keda")
    assert ("ScaledObject" in objects) == (overlay == "keda")
    assert ("PrometheusRule" in objects) == (overlay != "any")
    if overlay == "prometheus":
        kinds = [one["type"] for one in objects["HorizontalPodAutoscaler"]["spec"]["metrics"]]
        assert kinds == ["Resource", "Pods"]


def test_custom_resources_are_valid_without_a_builder(folder: Path) -> None:
    for path in [*(folder / "components/monitoring").glob("*.yaml"),
                 folder / "overlays/keda/scaledobject.yaml"]:  # fmt: skip
        if path.name != "kustomization.yaml":
            _check(_objects(path.read_text()), VERSIONS[0])


def test_the_pods_are_held_tightly_and_know_no_secret_but_hashes(folder: Path) -> None:
    pod = _base(folder)["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["volumes"][0]["secret"]["items"] == [{"key": "keys.json", "path": "keys.json"}]
    assert pod["volumes"][0]["secret"]["defaultMode"] == 0o440


def test_objects_find_each_other(folder: Path) -> None:
    base = _base(folder)
    labels = base["Deployment"]["spec"]["template"]["metadata"]["labels"]
    chosen = [
        base["Service"]["spec"]["selector"],
        base["Deployment"]["spec"]["selector"]["matchLabels"],
        base["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        base["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(one.items() <= labels.items() for one in chosen)
    monitor = _objects((folder / "components/monitoring/servicemonitor.yaml").read_text())
    spec = monitor["ServiceMonitor"]["spec"]
    assert spec["selector"]["matchLabels"].items() <= base["Service"]["metadata"]["labels"].items()
    assert spec["endpoints"][0]["port"] == base["Service"]["spec"]["ports"][0]["name"]
    assert base["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "tiny"
    spaces = {one["metadata"].get("namespace") for one in base.values()}
    assert spaces == {"modelwright"}
    secret = spec["endpoints"][0]["authorization"]["credentials"]
    assert f"create secret generic {secret['name']}" in (folder / "README.md").read_text()


def test_the_metric_that_replicas_are_counted_by_is_one_that_the_service_tells(
    folder: Path, tiny_bundle: Path
) -> None:
    from modelwright.serve._opening import open_verified
    from modelwright.serve.app import create_app
    from modelwright.serve.settings import Settings

    app = create_app([open_verified(tiny_bundle)], Settings())
    told = app.service.metrics.expose()[0].decode()
    app.service.close(timeout=5)
    patch = yaml.safe_load((folder / "overlays/prometheus/in-flight.yaml").read_text())
    name = patch[0]["value"]["pods"]["metric"]["name"]
    assert re.search(rf"^{name}\b", told, re.MULTILINE)
    scaled = (folder / "overlays/keda/scaledobject.yaml").read_text()
    assert f"sum({name}{{" in scaled


def test_numbers_come_from_the_measurement_and_the_policy(write: Write) -> None:
    policy = Policy(
        minimum=3, maximum=20, target=5.5, up_seconds=30, down_seconds=600, up_factor=1.5
    )
    folder = write("kubernetes", policy=policy)
    base = _base(folder)
    scaler = base["HorizontalPodAutoscaler"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 20)
    assert scaler["metrics"][0]["resource"]["target"]["averageUtilization"] == 76
    up, down = scaler["behavior"]["scaleUp"], scaler["behavior"]["scaleDown"]
    assert up["stabilizationWindowSeconds"] == 30
    assert up["policies"][0] == {"type": "Percent", "value": 50, "periodSeconds": 15}
    assert down["stabilizationWindowSeconds"] == 600
    assert base["Deployment"]["spec"]["template"]["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "1800m", "memory": "384Mi"},
        "limits": {"cpu": "2", "memory": "640Mi"},
    }
    text = (folder / "base/deployment.yaml").read_text()
    assert "# 1.72 cores were in use at 200.0 requests/s, rounded up" in text
    assert 'averageValue: "5"' in (folder / "overlays/prometheus/in-flight.yaml").read_text()


def test_the_namespace_is_the_one_asked_for(write: Write) -> None:
    folder = write("kubernetes", namespace="models")
    assert {one["metadata"]["namespace"] for one in _base(folder).values()} == {"models"}
    assert "kubectl create namespace models" in (folder / "README.md").read_text()
