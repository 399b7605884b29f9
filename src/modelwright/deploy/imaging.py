"""The container image that most places run: what goes into its folder, and how it is built.

Two stages: one installs pinned libraries, the other holds them and the bundle, each as a layer of
its own, so that a new model moves as many bytes as it has. Nothing in it runs as root.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from modelwright.deploy.ordering import PORT, Order
from modelwright.deploy.wheels import needs, own_wheel, requirements, wheel
from modelwright.tasks import restore_task

Files = dict[str, str | bytes | Path]
"""Relative path to content; a Path is copied."""

USER = 10001
MOUNTED = "/run/secrets/modelwright"
"""Where the folder with the keys is mounted; a folder, for a file alone is not seen to change."""
KEYS = f"{MOUNTED}/keys.json"
TRAFFIC = "/var/lib/modelwright"
_IMAGES = {"3.11": "3.11.14", "3.12": "3.12.12", "3.13": "3.13.9"}
_USUAL = "3.12"
HEALTH = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/health/ready', timeout=4)"
"""A program that fails while the service is not ready."""


def python_image() -> str:
    """The official slim image of the Python that the libraries were resolved with."""
    mine = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"python:{_IMAGES.get(mine, _IMAGES[_USUAL])}-slim-bookworm"


def image_files(order: Order) -> Files:
    """Everything that `docker build` reads: Containerfile, requirements, wheels, the bundle."""
    return {
        "Containerfile": _containerfile(order),
        ".dockerignore": "*\n!bundle\n!requirements.txt\n!wheels\n",
        **library_files(order),
        **bundle_files(order),
    }


def library_files(order: Order) -> Files:
    """Pinned names of the libraries, and as wheels this package, and all of them where asked for."""
    image = restore_task(order.manifest["task_spec"]).modality == "image"
    pins = needs(order.engine, image=image, records=order.records)
    name, data = own_wheel()
    files: Files = {
        # by its path, for an index may hold something else of that name
        "requirements.txt": requirements(pins) + f"./wheels/{name}\n",
        f"wheels/{name}": data,
    }
    if order.offline:
        files |= {f"wheels/{file}": content for file, content in map(wheel, pins)}
    return files


def bundle_files(order: Order, under: str = "bundle") -> Files:
    """The bundle's files with one variant, which is what a service opens."""
    others = tuple(
        f"variants/{entry['name']}/"
        for entry in order.manifest["variants"]
        if entry["name"] != order.variant
    )
    names = ["bundle.json", *order.manifest["files"]]
    wanted = sorted(name for name in names if not name.startswith(others))
    return {f"{under}/{name}": order.bundle / name for name in wanted}


def serve_arguments(order: Order, keys: str = KEYS, bundle: str = "/bundle") -> list[str]:
    """`mw` in a container: where the bundle lies, that it is reached from outside, who may ask."""
    words = ["serve", bundle, "--variant", order.variant, "--host", "0.0.0.0", "--port", str(PORT)]
    words += ["--keys", keys, "--log", "json"]
    return words + (["--traffic", TRAFFIC] if order.records else [])


def _containerfile(order: Order) -> str:
    sizing = order.sizing
    index = "--no-index " if order.offline else ""
    entry = json.dumps(["mw", *serve_arguments(order)])
    start = sizing.start_seconds
    traffic = " \\\n && mkdir /traffic" if order.records else ""
    copied = f"\nCOPY --from=libraries --chown={USER}:{USER} /traffic {TRAFFIC}" if traffic else ""
    return f"""\
# {order.title} {order.version}: a service of one bundle.
#
#   docker build -t {order.image} .
#
# To pin the base by its content: --build-arg PYTHON_IMAGE={python_image()}@sha256:...
ARG PYTHON_IMAGE={python_image()}

# Libraries, in a stage that leaves nothing else behind. They are the versions that the service was
# measured with, and modelwright itself comes from wheels/.
FROM ${{PYTHON_IMAGE}} AS libraries
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.txt ./
COPY wheels/ wheels/
RUN python -m venv --without-pip /opt/modelwright \\
 && python -m pip --python /opt/modelwright/bin/python install \\
      {index}--no-deps --find-links wheels -r requirements.txt \\
 && find /opt/modelwright -depth -type d -name tests -exec rm -rf {{}} +{traffic}

FROM ${{PYTHON_IMAGE}}
LABEL org.opencontainers.image.title="{order.title}" \\
      org.opencontainers.image.version="{order.version}" \\
      org.opencontainers.image.description="{order.task}, variant {order.variant}"
ENV PATH=/opt/modelwright/bin:$PATH \\
    HOME=/tmp \\
    PYTHONUNBUFFERED=1 \\
    PYTHONDONTWRITEBYTECODE=1
COPY --from=libraries /opt/modelwright /opt/modelwright{copied}
# The model last, as a layer of its own: a new version moves only this.
COPY bundle/ /bundle/
# A number, for clusters check that it is not root's.
USER {USER}:{USER}
EXPOSE {PORT}
STOPSIGNAL SIGTERM
# start: {start.why}
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period={start.value}s \\
  CMD ["python", "-c", {json.dumps(HEALTH)}]
# The keys are mounted when it runs (`mw keys`); without them it does not start.
ENTRYPOINT {entry}
"""


SECRETS = f"""\
#!/bin/sh
# Makes the keys of the service: secrets/predict.key for callers, secrets/metrics.key for Prometheus,
# and secrets/service/keys.json with their hashes, which is all that the service is given. Keys that
# are there stay; run it again after `mw keys add NAME --file secrets/service/keys.json`.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets/service
chmod 700 secrets
[ -e secrets/service/keys.json ] || {{
  mw keys add callers --file secrets/service/keys.json --scope predict --scope feedback \\
    | head -n 1 | tr -d '\\n' > secrets/predict.key
  mw keys add prometheus --file secrets/service/keys.json --scope metrics \\
    | head -n 1 | tr -d '\\n' > secrets/metrics.key
}}
# Containers run as other users than you (the service as {USER}); no other user enters the folder.
chmod 755 secrets/service
chmod 444 secrets/*.key secrets/service/keys.json
"""
IGNORED = "secrets/\n"
