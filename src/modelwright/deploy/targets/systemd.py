"""One Linux machine without containers: a unit that is held as tightly as a container.

    mw deploy BUNDLE --target systemd -o unit
    cd unit && sh make-secrets.sh && sudo sh install.sh

The service runs as a user that exists only while it runs, sees nothing but its bundle and its keys,
and is limited in processor time and memory by what one replica was measured to need. Where the recipe
records, a second unit runs `mw monitor` as the same user, which reads the traffic and writes nothing.
"""

from __future__ import annotations

import hashlib
import sys
from typing import final

from pydantic import BaseModel, ConfigDict

from modelwright.deploy import beside
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
        units = {unit_name(order): unit(order)}
        if order.records:
            units[monitor_name(order)] = monitor_unit(order)
        return {
            **library_files(order),
            **bundle_files(order),
            **units,
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
{_monitored(order)}"""


def unit_name(order: Order) -> str:
    """Name of the unit's file."""
    return f"modelwright-{order.name}.service"


def monitor_name(order: Order) -> str:
    """Name of the monitor's unit."""
    return f"modelwright-{order.name}-monitor.service"


def user_name(order: Order) -> str:
    """Of the user that both units run as, so that one reads what the other keeps; 31 letters at most."""
    name = f"mw-{order.name}"
    if len(name) <= 31:
        return name
    return f"{name[:22]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _monitored(order: Order) -> str:
    if not order.records:
        return ""
    return (
        f"{beside.notes(order, replicas=False)}"
        f"- The monitor is `{monitor_name(order)}`. It listens on this machine alone, for it asks for no "
        "key;\n  for a Prometheus elsewhere write another address into the unit, behind a firewall.\n"
        f"  The job's name is `{beside.job(order)}`: `mw deploy --target prometheus` writes it.\n"
        "- Several machines: each monitor sees the traffic of its own alone.\n"
    )


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _home(order: Order) -> str:
    return f"/opt/modelwright/{order.name}"


def unit(order: Order) -> str:
    """The unit. Every name in it is made of letters, digits and -, so that nothing needs escaping."""
    sizing, home = order.sizing, _home(order)
    state = (
        f"User={user_name(order)}\nStateDirectory=modelwright/{order.name}\n"
        if order.records
        else ""
    )
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


def monitor_unit(order: Order) -> str:
    """The second unit: it sees the bundle and, to read, what the service recorded."""
    home, given = _home(order), beside.beside(order)
    seen = f"/run/modelwright-{order.name}-traffic"
    mw, *words = beside.words(order, f"{home}/current/bundle", seen, "127.0.0.1")
    reserved, most = given.millicores, given.most_millicores
    return f"""\
{comment(order.sizing.head)}
[Unit]
Description=Modelwright monitor of {order.title}
After={unit_name(order)}
PartOf={unit_name(order)}
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={home}/current/venv/bin/{mw} {" ".join(words)}
Restart=on-failure
RestartSec=10
TimeoutStopSec=60

{comment(reserved.why)}
# = {reserved.value / 1000:g} cores on average; {most.why}
CPUQuota={most.value // 10}%
CPUWeight=20
{comment(given.reserved_mb.why)}
MemoryLow={given.reserved_mb.value}M
{comment(given.most_mb.why)}
MemoryMax={given.most_mb.value}M

# the service's user, whose files none but it may read; here they can't be written
DynamicUser=yes
User={user_name(order)}
BindReadOnlyPaths=%S/private/modelwright/{order.name}:{seen}
{_HELD}
[Install]
WantedBy=multi-user.target
"""


def _install(order: Order) -> str:
    home, release, name = _home(order), f"{_home(order)}/{order.version}", unit_name(order)
    units = " ".join([name, monitor_name(order)] if order.records else [name])
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
install -m 644 {units} /etc/systemd/system/
systemctl daemon-reload
systemctl enable {units}
systemctl restart {units}
systemctl --no-pager status {units}
"""
