"""Services for ``docker compose`` or ``podman-compose``: one container each, each with a volume of its own."""

from __future__ import annotations

from typing import Any

from filiera.shipping.shipment import DATA, TOKEN_VARIABLE, Process, Shipment, health_command
from filiera.shipping.texts import yaml_text


def compose(shipment: Shipment) -> str:
    """Return the text of ``compose.yaml``."""
    services = {process.label: _service(process, f"localhost/{shipment.name}") for process in shipment.processes}
    volumes: dict[str, Any] = {process.label: {} for process in shipment.processes}
    about = [
        *shipment.about,
        f"Needs {TOKEN_VARIABLE} in the environment, or in a file .env beside this one.",
    ]
    return yaml_text({"name": shipment.name, "services": services, "volumes": volumes}, about=about)


def _service(process: Process, image: str) -> dict[str, Any]:
    return {
        "image": image,
        "build": ".",
        "command": process.command("0.0.0.0"),  # noqa: S104 - in the network of its container
        "environment": {TOKEN_VARIABLE: f"${{{TOKEN_VARIABLE}:?set it, or write it into .env}}"},
        "ports": [f"127.0.0.1:{port}:{port}" for port in process.ports],
        "volumes": [f"{process.label}:{DATA}"],
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108 - inside the container
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "init": True,
        "restart": "unless-stopped",
        "stop_grace_period": "45s",
        "healthcheck": {
            "test": ["CMD", *health_command(process)],
            "interval": "30s",
            "timeout": "10s",
            "start_period": "60s",
        },
    }
