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
    "PodMonitor": {
        "type": "object", "required": ["selector", "podMetricsEndpoints"],
        "additionalProperties": False,
        "properties": {
            "selector": {"type": "object", "required": ["matchLabels"]},
            "podMetricsEndpoints": {"type": "array", "minItems": 1, "items": {
                "type": "object", "additionalProperties": False, "required": ["port"],
                "properties": {
                    "port": QUERY, "path": {"pattern": "^/"},
                    "interval": {"pattern": r"^\d+(ms|s|m|h)$"},
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


@pytest.fixture
def recorded(write: Write, recording: Path) -> Path:
    """The files of a bundle whose recipe allows recording."""
    return write("kubernetes", of=recording, folder="recorded", receiver="http://a:1/alerts")


@pytest.mark.parametrize("records", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_base_is_valid_for_every_stated_version(
    version: str, records: bool, request: pytest.FixtureRequest
) -> None:
    objects = _base(request.getfixturevalue("recorded" if records else "folder"))
    assert sorted(objects) == [
        "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service",
        "ServiceAccount",
    ]  # fmt: skip
    _check(objects, version)


@pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which builds overlays, is missing"
)
@pytest.mark.parametrize("records", [False, True])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_overlay_is_built_and_valid(
    overlay: str, records: bool, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue("recorded" if records else "folder")
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
    assert ("PodMonitor" in objects) == (records and overlay != "any")
    if overlay == "prometheus":
        kinds = [one["type"] for one in objects["HorizontalPodAutoscaler"]["spec"]["metrics"]]
        assert kinds == ["ContainerResource", "Pods"]


@pytest.mark.parametrize("records", [False, True])
def test_custom_resources_are_valid_without_a_builder(
    records: bool, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue("recorded" if records else "folder")
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


def test_the_monitor_is_a_container_beside_the_model_that_reads_its_traffic(recorded: Path) -> None:
    pod = _base(recorded)["Deployment"]["spec"]["template"]["spec"]
    model, monitor = pod["containers"]
    assert (model["name"], monitor["name"]) == ("model", "monitor")
    assert monitor["image"] == model["image"]
    assert monitor["securityContext"] == model["securityContext"]
    mounted = {one["name"]: one for one in model["volumeMounts"]}["traffic"]
    assert monitor["volumeMounts"] == [{**mounted, "readOnly": True}]
    words = monitor["command"]
    assert words[:3] == ["mw", "monitor", "/bundle"]
    assert words[words.index("--traffic") + 1] == mounted["mountPath"]
    assert words[words.index("--every") + 1] == "1800", "the recipe's"
    assert words[words.index("--host") + 1] == "0.0.0.0", "Prometheus is another pod"
    assert words[words.index("--port") + 1] == str(monitor["ports"][0]["containerPort"]) == "9109"
    assert not {"readinessProbe", "livenessProbe", "startupProbe"} & monitor.keys()


def test_what_the_monitor_takes_comes_from_the_measurement_and_does_not_scale(
    recorded: Path,
) -> None:
    base = _base(recorded)
    containers = base["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert containers[1]["resources"] == {
        "requests": {"cpu": "10m", "memory": "512Mi"},
        "limits": {"cpu": "500m", "memory": "960Mi"},
    }
    text = (recorded / "base/deployment.yaml").read_text()
    assert (
        "# a check takes 1,000 rows x 1.72 cores / 200.0 requests/s + 6 s = 15 s of a core" in text
    )
    assert "# 1.25 x 300 MiB + 512 MiB of true answers and what they are of" in text
    metric = base["HorizontalPodAutoscaler"]["spec"]["metrics"][0]
    assert metric["type"] == "ContainerResource"
    assert metric["containerResource"]["container"] == containers[0]["name"]


def test_prometheus_alone_reaches_the_monitor_and_calls_its_job_as_the_rules_do(
    recorded: Path,
) -> None:
    base = _base(recorded)
    containers = base["Deployment"]["spec"]["template"]["spec"]["containers"]
    (port,) = containers[1]["ports"]
    everybody, prometheus = base["NetworkPolicy"]["spec"]["ingress"]
    assert everybody["ports"] == [{"port": containers[0]["ports"][0]["name"]}]
    assert prometheus["ports"] == [{"port": port["name"]}]
    assert prometheus["from"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
        }
    ]
    assert port["name"] not in str(base["Service"]["spec"]["ports"])
    monitoring = recorded / "components/monitoring"
    spec = _objects((monitoring / "podmonitor.yaml").read_text())["PodMonitor"]["spec"]
    labels = base["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = spec["podMetricsEndpoints"]
    assert endpoint["port"] == port["name"]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "tiny-monitor"}]
    rules = (monitoring / "prometheusrule.yaml").read_text()
    asked = re.search(r"up\{job=~\W*\(\?i\)(tiny-monitor)\W", rules)
    assert asked, "the rules' selector of the job"
    readme = (recorded / "README.md").read_text()
    assert "Each monitor sees the traffic of its own replica alone" in readme


def test_without_recording_there_is_no_monitor(folder: Path) -> None:
    base = _base(folder)
    assert len(base["Deployment"]["spec"]["template"]["spec"]["containers"]) == 1
    assert len(base["NetworkPolicy"]["spec"]["ingress"]) == 1
    assert not (folder / "components/monitoring/podmonitor.yaml").exists()
    assert "mw monitor" not in (folder / "README.md").read_text()


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
    assert scaler["metrics"][0]["containerResource"]["target"]["averageUtilization"] == 76
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
