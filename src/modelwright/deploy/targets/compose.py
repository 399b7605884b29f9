"""One machine with everything: the service, Prometheus, Alertmanager and Grafana, set up.

    mw deploy BUNDLE --target compose -o stack
    cd stack && sh make-secrets.sh && docker compose up -d --build

Prometheus scrapes the service with a key of its own, evaluates the rules and tells Alertmanager;
Grafana opens with the dashboard. Only the service is reached from other machines. Where the recipe
records, `mw monitor` looks at the traffic beside it, in a network that it shares with Prometheus alone.
"""

from __future__ import annotations

from typing import Any, final

from pydantic import BaseModel, ConfigDict

from modelwright.deploy import beside, watched
from modelwright.deploy.imaging import IGNORED, MOUNTED, SECRETS, TRAFFIC, Files, image_files
from modelwright.deploy.ordering import PORT, Order
from modelwright.deploy.targets import Target
from modelwright.deploy.yamltext import Noted, text

VERSION = 1
Object = dict[str, Any]
PROMETHEUS = "prom/prometheus:v3.5.0"
ALERTMANAGER = "prom/alertmanager:v0.28.1"
GRAFANA = "grafana/grafana:12.1.1"
_PASSWORD = """\
[ -e secrets/grafana.key ] || {
  umask 077
  od -An -N16 -tx1 /dev/urandom | tr -d ' \\n' > secrets/grafana.key
}
"""


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Compose(Target):
    """See the module."""

    def files(self, order: Order) -> Files:
        image = {f"image/{name}": content for name, content in image_files(order).items()}
        return {
            **image,
            "compose.yaml": text(_compose(order), order.sizing.head),
            "prometheus/prometheus.yml": text(prometheus_config(order)),
            "prometheus/rules.yml": watched.rules_text(order),
            "prometheus/rules_test.yml": watched.rule_tests_text(order),
            "alertmanager/alertmanager.yml": watched.alertmanager_text(order),
            "grafana/provisioning/datasources/prometheus.yaml": text(_data_source()),
            "grafana/provisioning/dashboards/modelwright.yaml": text(_dashboards()),
            f"grafana/dashboards/{order.name}.json": watched.dashboard_text(order),
            **watched.runbook_files(order),
            "make-secrets.sh": SECRETS.replace("# Containers run", _PASSWORD + "# Containers run"),
            ".gitignore": IGNORED,
        }

    def commands(self, order: Order) -> list[tuple[str, str]]:
        return [
            ("Make the keys of the service, and Grafana's password.", "sh make-secrets.sh"),
            ("Build and start everything.", "docker compose up -d --build --wait"),
            (
                "Ask the service.",
                'curl -H "authorization: Bearer $(cat secrets/predict.key)" '
                f"localhost:{PORT}/v1/models",
            ),
        ]

    def notes(self, order: Order) -> str:
        return f"""
| | |
| --- | --- |
| service | port {PORT}, from everywhere, with a key |
| Prometheus | http://localhost:9090, from this machine |
| Alertmanager | http://localhost:9093, from this machine |
| Grafana | http://localhost:3000, from this machine; `admin`, password in `secrets/grafana.key` |

{beside.notes(order, replicas=False)}- Alerts are posted to {order.receiver or "nobody; give `--alerts URL` to `mw deploy`"}.
- `runbooks/` has a page for each alert; `promtool test rules prometheus/rules_test.yml` tests the rules.
- Put TLS in front where callers come from other networks, or give the service `--tls-cert`.
- A new bundle: `mw deploy` into this folder again, then `docker compose up -d --build`.
- Another key: `mw keys add NAME --file secrets/service/keys.json && sh make-secrets.sh`.
- One machine has one replica; where more are needed, deploy to a cluster.
"""


def _compose(order: Order) -> Object:
    services = {
        "model": _model(order),
        "prometheus": _prometheus(),
        "alertmanager": _alertmanager(),
        "grafana": _grafana(),
    }
    volumes: Object = {"prometheus": {}, "alertmanager": {}, "grafana": {}}
    found: Object = {"name": order.name, "services": services, "volumes": volumes}
    if order.records:
        volumes["traffic"] = {}
        services["monitor"] = _monitor(order)
        services["prometheus"]["networks"] = ["default", "monitor"]
        services["prometheus"]["depends_on"].append("monitor")
        found["networks"] = {
            "monitor": Noted({"internal": True}, "of the monitor and Prometheus alone")
        }
    return found


def _model(order: Order) -> Object:
    sizing = order.sizing
    volumes = [f"./secrets/service:{MOUNTED}:ro"]
    volumes += [f"traffic:{TRAFFIC}"] if order.records else []
    return {
        "image": order.image,
        "build": {"context": "image", "dockerfile": "Containerfile"},
        "ports": [f"{PORT}:{PORT}"],
        "volumes": volumes,
        **_held(),
        "tmpfs": ["/tmp"],
        "stop_grace_period": Noted(f"{sizing.stop_seconds.value}s", sizing.stop_seconds.why),
        "deploy": _resources(
            Noted(str(sizing.cores.value), sizing.cores.why),
            Noted(f"{sizing.most_mb.value}M", sizing.most_mb.why),
            Noted(f"{sizing.millicores.value / 1000:g}", sizing.millicores.why),
            Noted(f"{sizing.reserved_mb.value}M", sizing.reserved_mb.why),
        ),
    }


def _monitor(order: Order) -> Object:
    """The service's image with other words; it reads what the service recorded."""
    given = beside.beside(order)
    return {
        "image": order.image,
        "pull_policy": Noted("never", "the same image, built for the service"),
        "entrypoint": beside.words(order),
        "volumes": [f"traffic:{TRAFFIC}:ro"],
        "networks": ["monitor"],
        **_held(),
        "tmpfs": ["/tmp"],
        "healthcheck": Noted(
            {
                "test": ["CMD", "python", "-c", beside.HEALTH],
                "interval": "30s",
                "timeout": "5s",
                "start_period": "60s",
            },
            "in place of the image's, which asks the service",
        ),
        "depends_on": ["model"],
        "deploy": _resources(
            Noted(f"{given.most_millicores.value / 1000:g}", given.most_millicores.why),
            Noted(f"{given.most_mb.value}M", given.most_mb.why),
            Noted(f"{given.millicores.value / 1000:g}", given.millicores.why),
            Noted(f"{given.reserved_mb.value}M", given.reserved_mb.why),
        ),
    }


def _resources(cpus: Noted, memory: Noted, reserved_cpus: Noted, reserved_memory: Noted) -> Object:
    return {
        "resources": {
            "limits": {"cpus": cpus, "memory": memory},
            "reservations": {"cpus": reserved_cpus, "memory": reserved_memory},
        }
    }


def _held() -> Object:
    return {
        "restart": "unless-stopped",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }


def _prometheus() -> Object:
    return {
        "image": PROMETHEUS,
        "command": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=30d",
        ],
        "ports": ["127.0.0.1:9090:9090"],
        "volumes": [
            "./prometheus:/etc/prometheus:ro",
            f"./secrets/metrics.key:{MOUNTED}/metrics.key:ro",
            "prometheus:/prometheus",
        ],
        **_held(),
        "depends_on": ["model", "alertmanager"],
    }


def _alertmanager() -> Object:
    return {
        "image": ALERTMANAGER,
        "command": [
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/alertmanager",
        ],
        "ports": ["127.0.0.1:9093:9093"],
        "volumes": ["./alertmanager:/etc/alertmanager:ro", "alertmanager:/alertmanager"],
        **_held(),
        "extra_hosts": Noted(
            ["host.docker.internal:host-gateway"],
            "so that alerts can reach a program on this machine",
        ),
    }


def _grafana() -> Object:
    return {
        "image": GRAFANA,
        "environment": {
            "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{MOUNTED}/grafana.key",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        },
        "ports": ["127.0.0.1:3000:3000"],
        "volumes": [
            "./grafana/provisioning:/etc/grafana/provisioning:ro",
            "./grafana/dashboards:/var/lib/modelwright/dashboards:ro",
            f"./secrets/grafana.key:{MOUNTED}/grafana.key:ro",
            "grafana:/var/lib/grafana",
        ],
        **_held(),
        "tmpfs": ["/tmp"],
        "depends_on": ["prometheus"],
    }


def prometheus_config(order: Order) -> Object:
    """Prometheus's own configuration: whom it scrapes, with which key, whom it tells."""
    jobs: list[Object] = [
        {
            "job_name": order.title,
            "authorization": Noted(
                {"credentials_file": f"{MOUNTED}/metrics.key"}, "a key of the scope `metrics`"
            ),
            "static_configs": [{"targets": [f"model:{PORT}"]}],
        }
    ]
    if order.records:
        target = f"monitor:{beside.MONITOR_PORT}"
        jobs.append({"job_name": beside.job(order), "static_configs": [{"targets": [target]}]})
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]},
        "scrape_configs": jobs,
    }


def _data_source() -> Object:
    return {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Prometheus",
                "uid": "prometheus",
                "type": "prometheus",
                "access": "proxy",
                "url": "http://prometheus:9090",
                "isDefault": True,
                "jsonData": {"timeInterval": "15s"},
            }
        ],
    }


def _dashboards() -> Object:
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": "modelwright",
                "type": "file",
                "options": {"path": "/var/lib/modelwright/dashboards"},
            }
        ],
    }
