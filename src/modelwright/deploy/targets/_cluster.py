"""The objects of a cluster that every overlay has: what runs, who may reach it, how it is kept up."""

from __future__ import annotations

from typing import Any

from modelwright.deploy import beside
from modelwright.deploy.imaging import MOUNTED, TRAFFIC, USER
from modelwright.deploy.ordering import PORT, Order
from modelwright.deploy.sizing import UNROUTE_SECONDS
from modelwright.deploy.yamltext import Noted

Object = dict[str, Any]
MONITOR = "monitor"
"""Name of the monitor's port."""
PROMETHEUS_NAMESPACE = "monitoring"
VOLUME_MB = 3072
"""Of recorded traffic: its two kinds of files take a gigabyte each at most."""


def metadata(order: Order, name: str = "") -> Object:
    """Name, namespace and the recommended labels."""
    return {
        "name": name or order.name,
        "namespace": order.namespace,
        "labels": order.labels,
    }


def selector(order: Order) -> dict[str, str]:
    """Labels that never change, by which pods are found."""
    return {"app.kubernetes.io/name": order.name}


def service_account(order: Order) -> Object:
    """An identity without rights; the service never talks to the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(order),
        "automountServiceAccountToken": False,
    }


def deployment(order: Order) -> Object:
    """The replicas. Their number is the autoscaler's, and so not named here."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(order),
        "spec": {
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": selector(order)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": Noted(
                    {"maxSurge": "25%", "maxUnavailable": 0},
                    "new ones are ready before old ones go",
                ),
            },
            "template": {
                "metadata": {"labels": order.labels},
                "spec": _pod(order),
            },
        },
    }


def _pod(order: Order) -> Object:
    stop = order.sizing.stop_seconds
    return {
        "serviceAccountName": order.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": Noted(stop.value, stop.why),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(order)},
                "matchLabelKeys": ["pod-template-hash"],
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
        "containers": [_container(order), *([_monitor(order)] if order.records else [])],
        "volumes": _volumes(order),
    }


def _container(order: Order) -> Object:
    sizing = order.sizing
    mounts = [
        {"name": "keys", "mountPath": MOUNTED, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    mounts += [{"name": "traffic", "mountPath": TRAFFIC}] if order.records else []
    return {
        "name": "model",
        "image": order.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": {
            "requests": {
                "cpu": Noted(f"{sizing.millicores.value}m", sizing.millicores.why),
                "memory": Noted(f"{sizing.reserved_mb.value}Mi", sizing.reserved_mb.why),
            },
            "limits": {
                "cpu": Noted(str(sizing.cores.value), sizing.cores.why),
                "memory": Noted(f"{sizing.most_mb.value}Mi", sizing.most_mb.why),
            },
        },
        **_probes(order),
        "securityContext": _held(),
        "volumeMounts": mounts,
    }


def _monitor(order: Order) -> Object:
    """`mw monitor` in the same pod, where the traffic lies. It has no probes: a check that is slow
    must not take a replica out of service; the alerts MonitorDown and DriftJobStale tell."""
    given = beside.beside(order)
    return {
        "name": "monitor",
        "image": order.image,
        "imagePullPolicy": "IfNotPresent",
        "command": beside.words(order),
        "ports": [{"name": MONITOR, "containerPort": beside.MONITOR_PORT}],
        "resources": {
            "requests": {
                "cpu": Noted(f"{given.millicores.value}m", given.millicores.why),
                "memory": Noted(f"{given.reserved_mb.value}Mi", given.reserved_mb.why),
            },
            "limits": {
                "cpu": Noted(f"{given.most_millicores.value}m", given.most_millicores.why),
                "memory": Noted(f"{given.most_mb.value}Mi", given.most_mb.why),
            },
        },
        "securityContext": _held(),
        "volumeMounts": [{"name": "traffic", "mountPath": TRAFFIC, "readOnly": True}],
    }


def _held() -> Object:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _probes(order: Order) -> Object:
    start = order.sizing.start_seconds
    return {
        "startupProbe": {
            "httpGet": {"path": "/health/ready", "port": "http"},
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": Noted(start.value, f"times 1 s: {start.why}"),
        },
        "readinessProbe": {
            "httpGet": {"path": "/health/ready", "port": "http"},
            "periodSeconds": 5,
            "timeoutSeconds": 2,
            "failureThreshold": 2,
        },
        "livenessProbe": {
            "httpGet": {"path": "/health/live", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "lifecycle": {
            "preStop": Noted(
                {"exec": {"command": ["sleep", str(UNROUTE_SECONDS)]}},
                "proxies hear late that a pod goes; until then it answers",
            )
        },
    }


def _volumes(order: Order) -> list[Object]:
    volumes: list[Object] = [
        {
            "name": "keys",
            "secret": {
                "secretName": f"{order.name}-keys",
                "optional": False,
                "defaultMode": Noted(0o440, "0440"),
                "items": [{"key": "keys.json", "path": "keys.json"}],
            },
        },
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
    ]
    if order.records:
        volumes.append(
            Noted(
                {"name": "traffic", "emptyDir": {"sizeLimit": f"{VOLUME_MB}Mi"}},
                "recorded requests go with the pod; name a volume claim to keep them",
            )  # type: ignore[arg-type]
        )
    return volumes


def service(order: Order) -> Object:
    """One address in the cluster for all replicas."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(order),
        "spec": {
            "selector": selector(order),
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }


def disruption_budget(order: Order) -> Object:
    """A drained node takes one replica at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(order),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": Noted("AlwaysAllow", "a broken one does not hold a node"),
            "selector": {"matchLabels": selector(order)},
        },
    }


def network_policy(order: Order) -> Object:
    """Asked from inside the cluster on one port, by Prometheus on the monitor's too; asks nobody."""
    asked: list[Any] = [
        Noted(
            {"from": [{"namespaceSelector": {}}], "ports": [{"port": "http"}]},
            "from every namespace; keys say who may ask. Narrow it by namespace labels",
        )
    ]
    if order.records:
        prometheus = {
            "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": PROMETHEUS_NAMESPACE}
            },
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
        }
        asked.append(
            Noted(
                {"from": [prometheus], "ports": [{"port": MONITOR}]},
                "the monitor asks for no key, and answers Prometheus alone",
            )
        )
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(order),
        "spec": {
            "podSelector": {"matchLabels": selector(order)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": asked,
            "egress": Noted(
                [], "a service asks nobody; name the collector's address here to send traces"
            ),
        },
    }


def autoscaler(order: Order) -> Object:
    """By processor time, which every cluster with metrics-server knows."""
    sizing = order.sizing
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(order),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": order.name,
            },
            "minReplicas": Noted(sizing.least.value, sizing.least.why),
            "maxReplicas": Noted(sizing.most.value, sizing.most.why),
            "metrics": [
                Noted(
                    {
                        "type": "ContainerResource",
                        "containerResource": {
                            "name": "cpu",
                            "container": "model",
                            "target": {
                                "type": "Utilization",
                                "averageUtilization": sizing.cpu_percent.value,
                            },
                        },
                    },
                    f"{sizing.cpu_percent.why}; what runs beside the model does not count",
                )
            ],
            "behavior": behaviour(order),
        },
    }


def behaviour(order: Order) -> Object:
    """Fast up, slow down."""
    policy = order.policy
    percent = max(1, round(100 * (policy.up_factor - 1)))
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": round(policy.up_seconds),
            "selectPolicy": "Max",
            "policies": [
                Noted(
                    {"type": "Percent", "value": percent, "periodSeconds": 15},
                    f"the policy lets the number grow by the factor {policy.up_factor:g} at a time",
                ),
                {"type": "Pods", "value": 2, "periodSeconds": 15},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": Noted(
                round(policy.down_seconds), "the policy's patience before replicas go"
            ),
            "policies": [{"type": "Percent", "value": 25, "periodSeconds": 60}],
        },
    }
