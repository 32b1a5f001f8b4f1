"""Nuclio: the configuration of a function, and the handler that gives its events to the service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from filiera.shipping.shipment import PROJECT, REQUIREMENTS, TOKEN_VARIABLE, WHEELS, Cron, Shipment
from filiera.shipping.texts import yaml_text

STORE = "/tmp/filiera"  # noqa: S108 - inside the container, which has it alone
_PLACE = "/opt/nuclio"


def function(shipment: Shipment) -> Mapping[str, str]:
    """Return the texts of ``function.yaml`` and ``main.py``."""
    return {"function.yaml": _configuration(shipment), "main.py": _handler(shipment)}


def _configuration(shipment: Shipment) -> str:
    finds = f" --find-links {_PLACE}/{WHEELS}" if shipment.has_wheels else ""
    finds += " --no-index" if shipment.is_offline else ""
    install = f"pip install --no-cache-dir --no-deps{finds} -r {_PLACE}/{REQUIREMENTS}"
    secret = {"secretKeyRef": {"name": shipment.name, "key": "token"}}
    triggers: dict[str, Any] = {"http": {"kind": "http", "numWorkers": 1, "attributes": {"serviceType": "ClusterIP"}}}
    for cron in shipment.crons:
        triggers |= _triggers(cron)
    spec = {
        "description": ", ".join(shipment.together.served),
        "runtime": f"python:{shipment.python}",
        "handler": "main:handler",
        "env": [{"name": TOKEN_VARIABLE, "valueFrom": secret}],
        "minReplicas": 1,
        "maxReplicas": 1,
        "triggers": triggers,
        "build": {"commands": ["@nuclio.postCopy", install]},
    }
    document = {
        "apiVersion": "nuclio.io/v1",
        "kind": "NuclioFunction",
        "metadata": {"name": shipment.name},
        "spec": spec,
    }
    about = [
        *shipment.about,
        f"The token: kubectl create secret generic {shipment.name} --from-literal=token=…",
        f"The log of predictions goes with its pod: mount a volume at {STORE} to keep it.",
    ]
    return yaml_text(document, about=about)


def _triggers(cron: Cron) -> Mapping[str, Any]:
    event = {"body": "{}", "headers": {"Content-Type": "application/json", "Filiera-Call": cron.path}}
    found = {}
    if cron.schedule:
        attributes = {"schedule": cron.schedule, "event": event}
        found[f"{cron.name}-cron"] = {"kind": "cron", "attributes": attributes}
    if cron.every_s:
        attributes = {"interval": f"{cron.every_s:g}s", "event": event}
        found[f"{cron.name}-every"] = {"kind": "cron", "attributes": attributes}
    return found


def _handler(shipment: Shipment) -> str:
    about = "".join(f"# {line}\n" for line in shipment.about)
    return f'''\
{about}"""Gives the events of Nuclio to the service."""

from pathlib import Path

from filiera.project.serving.in_nuclio import Events

SERVED = {json.dumps(list(shipment.together.served))}


def init_context(context):
    context.user_data.events = Events(Path(__file__).with_name("{PROJECT}"), SERVED)


def handler(context, event):
    return context.Response(**context.user_data.events.answer(event))
'''
