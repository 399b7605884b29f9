"""One Linux machine without containers: a unit that is held as tightly as a container.

    mw deploy BUNDLE --target systemd -o unit
    cd unit && sh make-secrets.sh && sudo sh install.sh

The service runs as a user that exists only while it runs, sees nothing but its bundle and its keys,
and is limited in processor time and memory by what one replica was measured to need.
"""

from __future__ import annotations

import sys
from typing import final

from pydantic import BaseModel, ConfigDict

from modelwright.deploy.imaging import IGNORED, SECRETS, Files, bundle_files, library_files
from modelwright.deploy.ordering import PORT, Order
from modelwright.deploy.targets import Target, comment

VERSION = 1


_HELD = """\
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077
Environment=PYTHONDONTWRITEBYTECODE=1
"""
"""What the process may not do; systemd judges it by `systemd-analyze security`."""


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Systemd(Target):
    """See the module."""

    def files(self, order: Order) -> Files:
        return {
            **library_files(order),
            **bundle_files(order),
            f"{unit_name(order)}": unit(order),
            "install.sh": _install(order),
            "make-secrets.sh": SECRETS,
            ".gitignore": IGNORED,
        }

    def commands(self, order: Order) -> list[tuple[str, str]]:
        return [
            ("Make the keys of the service.", "sh make-secrets.sh"),
            ("Install the libraries, the bundle and the unit, and start it.", "sudo sh install.sh"),
            (
                "Ask it.",
                'curl -H "authorization: Bearer $(cat secrets/predict.key)" '
                f"localhost:{PORT}/v1/models",
            ),
        ]

    def notes(self, order: Order) -> str:
        name = unit_name(order)
        return f"""
- `systemctl status {name}`, `journalctl -u {name}`; `systemd-analyze security {name}`.
- Needs systemd 250 or newer and Python {_python()} as `python{_python()}` with its module venv.
- A new bundle: `mw deploy` into this folder again, then `sudo sh install.sh`. The version before stays
  under `/opt/modelwright/{order.name}`; `install.sh` says how to go back.
- Another key: `mw keys add NAME --file secrets/service/keys.json`, then `sudo sh install.sh`.
"""


def unit_name(order: Order) -> str:
    """Name of the unit's file."""
    return f"modelwright-{order.name}.service"


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _home(order: Order) -> str:
    return f"/opt/modelwright/{order.name}"


def unit(order: Order) -> str:
    """The unit. Every name in it is made of letters, digits and -, so that nothing needs escaping."""
    sizing, home = order.sizing, _home(order)
    state = f"StateDirectory=modelwright/{order.name}\n" if order.records else ""
    traffic = f" --traffic %S/modelwright/{order.name}" if order.records else ""
    return f"""\
{comment(sizing.head)}
[Unit]
Description=Modelwright service of {order.title}
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={home}/current/venv/bin/mw serve {home}/current/bundle --variant {order.variant} \\
  --host 0.0.0.0 --port {PORT} --keys %d/keys.json --log json{traffic}
LoadCredential=keys.json:{home}/keys.json
Restart=on-failure
RestartSec=1
# {sizing.stop_seconds.why}
TimeoutStopSec={sizing.stop_seconds.value}
KillMode=mixed

# {sizing.cores.why}
CPUQuota={100 * sizing.cores.value}%
# {sizing.reserved_mb.why}
MemoryLow={sizing.reserved_mb.value}M
# {sizing.most_mb.why}
MemoryMax={sizing.most_mb.value}M
LimitNOFILE=8192

# a user of its own that exists while it runs; nothing to write to but what is named
DynamicUser=yes
{state}{_HELD}
[Install]
WantedBy=multi-user.target
"""


def _install(order: Order) -> str:
    home, release, name = _home(order), f"{_home(order)}/{order.version}", unit_name(order)
    index = "--no-index " if order.offline else ""
    return f"""\
#!/bin/sh
# Installs {order.title} {order.version} beside earlier versions and starts it. To go back:
#   ln -sfn {home}/OLD_VERSION {home}/current && systemctl restart {name}
set -eu
cd "$(dirname "$0")"
if [ ! -e {release}/complete ]; then
  rm -rf {release}
  mkdir -p {release}
  python{_python()} -m venv {release}/venv
  {release}/venv/bin/python -m pip install --disable-pip-version-check {index}--no-deps \\
    --find-links wheels -r requirements.txt
  cp -R bundle {release}/bundle
  touch {release}/complete
fi
ln -sfn {release} {home}/current
install -m 600 secrets/service/keys.json {home}/keys.json
install -m 644 {name} /etc/systemd/system/{name}
systemctl daemon-reload
systemctl enable {name}
systemctl restart {name}
systemctl --no-pager status {name}
"""
