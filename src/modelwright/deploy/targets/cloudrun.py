"""Google Cloud Run: a service that scales from nothing to many and back.

    mw deploy BUNDLE --target cloudrun -o run --image REGION-docker.pkg.dev/PROJECT/models/intents:1

A Knative Service in Cloud Run's dialect: concurrency and bounds of instances from the measured
capacity, probes, the keys from Secret Manager.
"""

from __future__ import annotations

from typing import Any, final

from pydantic import BaseModel, ConfigDict

from modelwright.deploy.imaging import IGNORED, MOUNTED, SECRETS, Files, image_files
from modelwright.deploy.ordering import PORT, Order
from modelwright.deploy.targets import Target
from modelwright.deploy.yamltext import Noted, text

VERSION = 1
Object = dict[str, Any]
_CORES = (1, 2, 4, 6, 8)
_LEAST_MB = {1: 512, 2: 512, 4: 2048, 6: 4096, 8: 4096}
"""Memory that Cloud Run asks for with so many cores."""


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class CloudRun(Target):
    """See the module."""

    def files(self, order: Order) -> Files:
        image = {f"image/{name}": content for name, content in image_files(order).items()}
        return {
            **image,
            "service.yaml": text(service(order), order.sizing.head),
            "make-secrets.sh": SECRETS,
            ".gitignore": IGNORED,
        }

    def commands(self, order: Order) -> list[tuple[str, str]]:
        return [
            (
                "Build the image and push it to Artifact Registry.",
                f"docker build -t {order.image} -f image/Containerfile image && "
                f"docker push {order.image}",
            ),
            (
                "Make the keys and keep their hashes in Secret Manager.",
                "sh make-secrets.sh && "
                f"gcloud secrets create {order.name}-keys --data-file=secrets/service/keys.json",
            ),
            (
                "Start the service.",
                "gcloud run services replace service.yaml --region europe-west1",
            ),
        ]

    def notes(self, order: Order) -> str:
        return f"""
- The image must lie in Artifact Registry: give its name to `mw deploy` with
  `--image REGION-docker.pkg.dev/PROJECT/REPOSITORY/{order.name}:{order.version}`.
- The account that the service runs as needs the role Secret Manager Secret Accessor on
  `{order.name}-keys`.
- Callers need a key in any case. Cloud Run asks for Google's identity besides, in the header
  `authorization`; then the key goes into `x-api-key`. Who wants keys alone:
  `gcloud run services add-iam-policy-binding {order.name} --member=allUsers --role=roles/run.invoker`.
- Another key: `mw keys add NAME --file secrets/service/keys.json`, then
  `gcloud secrets versions add {order.name}-keys --data-file=secrets/service/keys.json` and a new
  revision.
- Recorded traffic has no place on Cloud Run; the service runs without `--traffic`.
"""


def service(order: Order) -> Object:
    """The Knative Service."""
    sizing = order.sizing
    cores = next((one for one in _CORES if one >= sizing.cores.value), _CORES[-1])
    memory = max(sizing.most_mb.value, _LEAST_MB[cores])
    note = f"{sizing.most_mb.why}; Cloud Run asks for {_LEAST_MB[cores]} with {cores} cores"
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": order.name,
            "labels": {"modelwright-version": order.version.lower().replace(".", "-")},
            "annotations": {"run.googleapis.com/ingress": "all"},
        },
        "spec": {
            "template": {
                "metadata": {
                    "annotations": {
                        "autoscaling.knative.dev/minScale": Noted(
                            str(sizing.none_least.value), sizing.none_least.why
                        ),
                        "autoscaling.knative.dev/maxScale": Noted(
                            str(sizing.most.value), sizing.most.why
                        ),
                        "run.googleapis.com/startup-cpu-boost": "true",
                        "run.googleapis.com/cpu-throttling": "true",
                    }
                },
                "spec": {
                    "containerConcurrency": Noted(sizing.in_flight.value, sizing.in_flight.why),
                    "timeoutSeconds": 60,
                    "containers": [_container(order, cores, Noted(f"{memory}Mi", note))],
                    "volumes": [
                        {
                            "name": "keys",
                            "secret": {
                                "secretName": f"{order.name}-keys",
                                "items": [{"key": "latest", "path": "keys.json"}],
                            },
                        }
                    ],
                },
            }
        },
    }


def _container(order: Order, cores: int, memory: Noted) -> Object:
    start = order.sizing.start_seconds
    args = ["serve", "/bundle", "--variant", order.variant, "--host", "0.0.0.0"]
    args += ["--port", str(PORT), "--keys", f"{MOUNTED}/keys.json", "--log", "json"]
    return {
        "image": order.image,
        "command": ["mw"],
        "args": args,
        "ports": [{"name": "http1", "containerPort": PORT}],
        "resources": {
            "limits": {
                "cpu": Noted(str(cores), order.sizing.cores.why),
                "memory": memory,
            }
        },
        "startupProbe": {
            "httpGet": {"path": "/health/ready", "port": PORT},
            "periodSeconds": 1,
            "timeoutSeconds": 1,
            "failureThreshold": Noted(min(240, start.value), f"times 1 s: {start.why}"),
        },
        "livenessProbe": {
            "httpGet": {"path": "/health/live", "port": PORT},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "volumeMounts": [{"name": "keys", "mountPath": MOUNTED}],
    }
