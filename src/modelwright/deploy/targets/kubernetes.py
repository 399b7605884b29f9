"""Kubernetes: a Kustomize base and overlays for any cluster, with Prometheus, or with KEDA.

    mw deploy BUNDLE --target kubernetes -o k8s --image registry.example.com/intents:1
    kubectl apply -k k8s/overlays/any

The base holds a Deployment with probes, limits and a tight security context, its Service, budget for
disruptions, network policy and an autoscaler by processor time. The overlay `prometheus` adds
monitoring (ServiceMonitor, PodMonitor, PrometheusRule, dashboard) and scales by requests in flight a replica too;
`keda` scales by them alone, to no replica and back. Kubernetes 1.32 or newer.
"""

from __future__ import annotations

from typing import Any, final

from pydantic import BaseModel, ConfigDict

from modelwright.deploy import beside, watched
from modelwright.deploy.imaging import IGNORED, SECRETS, Files, image_files
from modelwright.deploy.ordering import Order
from modelwright.deploy.targets import Target, _cluster
from modelwright.deploy.watched import IN_FLIGHT
from modelwright.deploy.yamltext import Noted, text

VERSION = 1
Object = dict[str, Any]
_PROMETHEUS = f"http://prometheus-operated.{_cluster.PROMETHEUS_NAMESPACE}.svc:9090"
_KUSTOMIZE = "kustomize.config.k8s.io"


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Kubernetes(Target):
    """See the module."""

    def files(self, order: Order) -> Files:
        image = {f"image/{name}": content for name, content in image_files(order).items()}
        return {
            **image,
            **_base(order),
            **_monitoring(order),
            **_by_queue(order),
            **_by_keda(order),
            "overlays/any/kustomization.yaml": _kustomization(["../../base"], []),
            **watched.runbook_files(order),
            "make-secrets.sh": SECRETS,
            ".gitignore": IGNORED,
        }

    def commands(self, order: Order) -> list[tuple[str, str]]:
        name, space = order.name, order.namespace
        return [
            (
                "Build the image and push it to where the cluster finds it.",
                f"docker build -t {order.image} -f image/Containerfile image && "
                f"docker push {order.image}",
            ),
            (
                "Make the keys and give the cluster their hashes.",
                f"sh make-secrets.sh && kubectl create namespace {space} && \\\n"
                f"  kubectl -n {space} create secret generic {name}-keys \\\n"
                "    --from-file=secrets/service/keys.json --from-file=secrets/metrics.key",
            ),
            (
                "Apply an overlay: `any`, `prometheus` or `keda`.",
                f"kubectl apply -k overlays/any && "
                f"kubectl -n {space} rollout status deployment/{name}",
            ),
        ]

    def notes(self, order: Order) -> str:
        return _notes(order)


def _kustomization(resources: list[str], components: list[str], **more: Any) -> str:
    return text(
        {
            "apiVersion": f"{_KUSTOMIZE}/v1beta1",
            "kind": "Kustomization",
            "resources": resources,
            **({"components": components} if components else {}),
            **more,
        }
    )


def _component(resources: list[str], **more: Any) -> str:
    return text(
        {
            "apiVersion": f"{_KUSTOMIZE}/v1alpha1",
            "kind": "Component",
            "resources": resources,
            **more,
        }
    )


def _base(order: Order) -> Files:
    objects = {
        "serviceaccount": _cluster.service_account(order),
        "deployment": _cluster.deployment(order),
        "service": _cluster.service(order),
        "poddisruptionbudget": _cluster.disruption_budget(order),
        "networkpolicy": _cluster.network_policy(order),
        "horizontalpodautoscaler": _cluster.autoscaler(order),
    }
    sized = {"deployment", "horizontalpodautoscaler"}
    head = order.sizing.head
    files: Files = {
        f"base/{name}.yaml": text(value, head if name in sized else "")
        for name, value in objects.items()
    }
    files["base/kustomization.yaml"] = _kustomization([f"{name}.yaml" for name in objects], [])
    return files


def _monitoring(order: Order) -> Files:
    """What the Prometheus operator reads."""
    objects = {
        "servicemonitor": _service_monitor(order),
        "prometheusrule": {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": _cluster.metadata(order),
            "spec": watched.rules(order, order.sizing.most.value),
        },
        "dashboard": _dashboard(order),
    }
    if order.records:
        objects["podmonitor"] = _pod_monitor(order)
    if order.receiver is not None:
        objects["alertmanagerconfig"] = _alertmanager_config(order, order.receiver)
    files: Files = {
        f"components/monitoring/{name}.yaml": text(value) for name, value in objects.items()
    }
    files["components/monitoring/kustomization.yaml"] = _component(
        [f"{name}.yaml" for name in objects]
    )
    return files


def _service_monitor(order: Order) -> Object:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": _cluster.metadata(order),
        "spec": {
            "selector": {"matchLabels": _cluster.selector(order)},
            "endpoints": [
                {
                    "port": "http",
                    "path": "/metrics",
                    "interval": "15s",
                    "authorization": Noted(
                        {
                            "type": "Bearer",
                            "credentials": {"name": f"{order.name}-keys", "key": "metrics.key"},
                        },
                        "the key of the scope `metrics` from the same secret",
                    ),
                    "relabelings": Noted(
                        [{"targetLabel": "job", "replacement": order.title}],
                        "the rules know the job by the bundle's name",
                    ),
                }
            ],
        },
    }


def _pod_monitor(order: Order) -> Object:
    """The monitor's port is no port of the Service, so that callers do not find it."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": _cluster.metadata(order),
        "spec": {
            "selector": {"matchLabels": _cluster.selector(order)},
            "podMetricsEndpoints": [
                {
                    "port": _cluster.MONITOR,
                    "path": "/metrics",
                    "interval": "15s",
                    "relabelings": Noted(
                        [{"targetLabel": "job", "replacement": beside.job(order)}],
                        "the rules know the job by the bundle's name",
                    ),
                }
            ],
        },
    }


def _dashboard(order: Order) -> Object:
    found = _cluster.metadata(order, f"{order.name}-dashboard")
    found["labels"] = {**order.labels, "grafana_dashboard": "1"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": Noted(
            found, "Grafana's sidecar loads what carries the label grafana_dashboard"
        ),
        "data": {f"{order.name}.json": watched.dashboard_text(order)},
    }


def _alertmanager_config(order: Order, receiver: str) -> Object:
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": _cluster.metadata(order),
        "spec": {
            "route": {
                "receiver": "webhook",
                "groupBy": ["alertname", "model"],
                "groupWait": "30s",
                "repeatInterval": "4h",
            },
            "receivers": [
                {"name": "webhook", "webhookConfigs": [{"url": receiver, "sendResolved": True}]}
            ],
        },
    }


def _in_flight_query(order: Order) -> str:
    return f'{IN_FLIGHT}{{namespace="{order.namespace}",service="{order.name}"}}'


def _by_queue(order: Order) -> Files:
    """The overlay `prometheus`: the autoscaler reads requests in flight through an adapter."""
    figure = order.sizing.in_flight
    metric = {
        "type": "Pods",
        "pods": {
            "metric": {"name": IN_FLIGHT},
            "target": {"type": "AverageValue", "averageValue": str(figure.value)},
        },
    }
    patch = [Noted({"op": "add", "path": "/spec/metrics/-", "value": metric}, figure.why)]
    rule = {
        "seriesQuery": f'{IN_FLIGHT}{{namespace!="",pod!=""}}',
        "resources": {
            "overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}
        },
        "name": {"as": IN_FLIGHT},
        "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
    }
    target = {"target": {"kind": "HorizontalPodAutoscaler", "name": order.name}}
    return {
        "overlays/prometheus/in-flight.yaml": text(patch),
        "overlays/prometheus/kustomization.yaml": _kustomization(
            ["../../base"],
            ["../../components/monitoring"],
            patches=[{"path": "in-flight.yaml", **target}],
        ),
        "overlays/prometheus/adapter-values.yaml": text(
            {"prometheus": {"url": _PROMETHEUS.rpartition(":")[0]}, "rules": {"custom": [rule]}},
            "Values of the chart prometheus-adapter, which lets the autoscaler ask Prometheus.",
        ),
    }


def _by_keda(order: Order) -> Files:
    """The overlay `keda`: the base's autoscaler goes, a ScaledObject takes its place."""
    gone = {
        "$patch": "delete",
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": order.name, "namespace": order.namespace},
    }
    return {
        "overlays/keda/scaledobject.yaml": text(_scaled_object(order), order.sizing.head),
        "overlays/keda/no-hpa.yaml": text(gone),
        "overlays/keda/kustomization.yaml": _kustomization(
            ["../../base", "scaledobject.yaml"],
            ["../../components/monitoring"],
            patches=[{"path": "no-hpa.yaml"}],
        ),
    }


def _scaled_object(order: Order) -> Object:
    sizing = order.sizing
    arriving = (
        f'sum(rate(nginx_ingress_controller_requests{{exported_namespace="{order.namespace}",'
        f'exported_service="{order.name}"}}[1m]))'
    )
    per_second = max(1, sizing.per_minute.value // 60)
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": _cluster.metadata(order),
        "spec": {
            "scaleTargetRef": {"name": order.name},
            "minReplicaCount": Noted(0, "without requests nothing runs"),
            "maxReplicaCount": Noted(sizing.most.value, sizing.most.why),
            "pollingInterval": 5,
            "cooldownPeriod": Noted(
                max(60, round(order.policy.down_seconds)), "seconds without a request before 0"
            ),
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _cluster.behaviour(order)}},
            "triggers": [
                Noted(
                    _trigger(f"sum({_in_flight_query(order)})", sizing.in_flight.value),
                    sizing.in_flight.why,
                ),
                Noted(
                    _trigger(arriving, per_second),
                    f"What arrives before there is a replica is counted where it arrives: by the\n"
                    f"ingress, here ingress-nginx. {sizing.per_minute.why} / 60 s.",
                ),
            ],
        },
    }


def _trigger(query: str, threshold: int) -> Object:
    return {
        "type": "prometheus",
        "metadata": {
            "serverAddress": _PROMETHEUS,
            "query": query,
            "threshold": str(threshold),
            "activationThreshold": "0",
        },
    }


def _monitored(order: Order) -> str:
    """What is to be known of the container `monitor`."""
    if not order.records:
        return ""
    return (
        f"{beside.notes(order)}"
        "- The monitor is a container of each pod, for the traffic lies in the pod and goes with it; fewer\n"
        "  than 100 recorded answers are not judged. A pod is ready while both containers run: a monitor\n"
        "  that is killed for its memory takes its replica out until it runs again.\n"
        f"- The network policy lets Prometheus in the namespace `{_cluster.PROMETHEUS_NAMESPACE}` reach "
        "it; the operator selects PodMonitors\n  in every namespace with "
        "`podMonitorSelectorNilUsesHelmValues: false`.\n"
    )


def _notes(order: Order) -> str:
    name, space, sizing = order.name, order.namespace, order.sizing
    return f"""
Then, from your machine:

```sh
kubectl -n {space} port-forward service/{name} 8000:80 &
curl -H "authorization: Bearer $(cat secrets/predict.key)" localhost:8000/v1/models
```

| overlay | needs | scales by |
| --- | --- | --- |
| `any` | metrics-server | processor time: {sizing.cpu_percent.value}% of the request, \
{sizing.least.value} to {sizing.most.value} replicas |
| `prometheus` | the Prometheus operator, prometheus-adapter with `overlays/prometheus/adapter-values.yaml` \
| the same, and {sizing.in_flight.value} requests in flight a replica |
| `keda` | the Prometheus operator, KEDA, ingress-nginx | requests in flight, from 0 to \
{sizing.most.value} replicas |

Valid for Kubernetes 1.32 to 1.37. Custom resources: monitoring.coreos.com/v1, keda.sh/v1alpha1.

- **GKE**: metrics-server is there (`any` works at once, on Autopilot too); install kube-prometheus-stack
  for the other two. **EKS**: install the metrics-server add-on first. Network policies need a cluster
  that enforces them: Dataplane V2 on GKE, the VPC CNI with its policy agent on EKS.
- The overlays expect Prometheus at `{_PROMETHEUS}`, and an operator that selects ServiceMonitors and
  rules in every namespace (`serviceMonitorSelectorNilUsesHelmValues: false` and the same of rules).
{_monitored(order)}- From zero the first request meets no replica: the ingress answers 503 while one starts, and a caller
  that tries again (as `modelwright.Client` does) is answered then. KEDA's HTTP add-on holds requests.
- A new bundle: `mw deploy` into this folder again, build, push, apply. Replicas change one by one.
- Another key: `mw keys add NAME --file secrets/service/keys.json`, then the secret again with
  `--dry-run=client -o yaml | kubectl apply -f -`; running replicas notice within minutes.
- `runbooks/` has a page for each alert.
"""
