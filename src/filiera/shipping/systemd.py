"""systemd: a socket that it holds, and a service that takes it over, locked into what it needs."""

from __future__ import annotations

from collections.abc import Mapping

from filiera.shipping.shipment import PROJECT, Process, Shipment

HOST = "127.0.0.1"
_LOCKED = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
RemoveIPC=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077"""


def place(name: str) -> str:
    """Return the folder that what is shipped is to lie in."""
    return f"/opt/{name}"


def state(name: str) -> str:
    """Return the folder that it writes to."""
    return f"/var/lib/{name}"


def units(shipment: Shipment) -> Mapping[str, str]:
    """Return the texts of ``NAME.service`` and ``NAME.socket``, by the names of their files."""
    process, name = shipment.together, shipment.name
    return {f"{name}.service": _service(shipment, process), f"{name}.socket": _socket(shipment, process)}


def _about(shipment: Shipment) -> str:
    return "".join(f"# {line}\n" for line in shipment.about)


def _socket(shipment: Shipment, process: Process) -> str:
    streams = "".join(f"ListenStream={HOST}:{port}\n" for port in process.ports)
    return f"""\
{_about(shipment)}# Callers wait here while the service starts or is replaced: none is refused.
[Unit]
Description=Sockets of {shipment.name}

[Socket]
{streams}Backlog=1024

[Install]
WantedBy=sockets.target
"""


def _service(shipment: Shipment, process: Process) -> str:
    name, folder = shipment.name, place(shipment.name)
    return f"""\
{_about(shipment)}[Unit]
Description={name}, a service of Filiera
Requires={name}.socket
After=network.target {name}.socket

[Service]
ExecStart={folder}/packages/bin/filiera {" ".join(process.command(HOST))}
WorkingDirectory={folder}/{PROJECT}
# A token, and what else is secret: FILIERA_TOKEN=…, readable by root alone.
EnvironmentFile=-/etc/{name}.env
Environment=HOME={state(name)} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
DynamicUser=yes
StateDirectory={name}
StateDirectoryMode=0700
Restart=on-failure
RestartSec=1
TimeoutStopSec=45
KillMode=mixed
{_LOCKED}

[Install]
WantedBy=multi-user.target
"""
