"""A container image: a Containerfile with two stages, not root, the bundle as its own layer.

    mw deploy BUNDLE --target docker -o image
    docker build -t support-intents:3f2a9c01d4e5 image        # podman build as well

The image holds one variant of the bundle and the libraries that its engine needs, in the versions
that are installed where `mw deploy` runs. `--offline` puts the libraries beside it as wheels, so that
building needs no package index; they then are of this machine's kind.
"""

from __future__ import annotations

from typing import final

from pydantic import BaseModel, ConfigDict

from modelwright.deploy.imaging import IGNORED, MOUNTED, SECRETS, Files, image_files
from modelwright.deploy.ordering import PORT, Order
from modelwright.deploy.targets import Target

VERSION = 1


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Docker(Target):
    """See the module."""

    def files(self, order: Order) -> Files:
        return image_files(order) | {"make-secrets.sh": SECRETS, ".gitignore": IGNORED}

    def commands(self, order: Order) -> list[tuple[str, str]]:
        return [
            ("Make the keys of the service.", "sh make-secrets.sh"),
            ("Build the image.", f"docker build -t {order.image} -f Containerfile ."),
            ("Run it.", run_command(order)),
        ]

    def notes(self, order: Order) -> str:
        sizing = order.sizing
        return f"""
Then `curl -H "authorization: Bearer $(cat secrets/predict.key)" localhost:{PORT}/v1/models`.

- `podman` takes the same words; its images keep the health check with `--format docker`.
- {sizing.cores.value} cores: {sizing.cores.why}.
- {sizing.most_mb.value} MiB: {sizing.most_mb.why}.
- A key is added with `mw keys add NAME --file secrets/service/keys.json && sh make-secrets.sh`; the
  service notices within seconds.
- To pin the base by its content, give `--build-arg PYTHON_IMAGE=...@sha256:...`.
"""


def run_command(order: Order, program: str = "docker") -> str:
    """One container, held as tightly as in a cluster."""
    sizing = order.sizing
    return (
        f"{program} run -d --name {order.name} -p {PORT}:{PORT} \\\n"
        f'  -v "$PWD/secrets/service:{MOUNTED}:ro" \\\n'
        f"  --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \\\n"
        f"  --cpus {sizing.cores.value} --memory {sizing.most_mb.value}m "
        f"--stop-timeout {sizing.stop_seconds.value} {order.image}"
    )
