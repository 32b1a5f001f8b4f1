"""Kubernetes: a Deployment, a Service and a volume for each process; or an InferenceService of KServe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from filiera.errors import UsageError
from filiera.shipping.shipment import DATA, TOKEN_VARIABLE, USER, Process, Shipment, health_command
from filiera.shipping.texts import yaml_text

_ANY = "0.0.0.0"  # noqa: S104 - in the network of its pod
_WHO = {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER}
_LOCKED = {
    **_WHO,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def kubernetes(shipment: Shipment) -> str:
    """Return the text of ``kubernetes.yaml``."""
    documents: list[Mapping[str, Any]] = []
    for process in shipment.processes:
        documents += [_claim(process), _deployment(process, f"localhost/{shipment.name}:latest"), _service(process)]
    about = [
        *shipment.about,
        "The image: build it from the Dockerfile, push it to your registry, and write its name here.",
        *_secret_lines(shipment),
        "One pod each, because its volume has its log and queue: for more, a StatefulSet with a claim per pod.",
    ]
    return yaml_text(*documents, about=about)


def kserve(shipment: Shipment) -> str:
    """Return the text of an InferenceService of KServe. Raises UsageError unless it serves models only."""
    (process, *others) = shipment.processes
    if others or process.is_declared or not shipment.models or len(shipment.models) != len(process.served):
        raise UsageError(
            "KServe serves models, one service at a time.",
            why="Its protocol, Open Inference, is for models; functions do not speak it.",
            do="filiera ship MODEL --for kserve; for functions --for kubernetes.",
        )
    container = {
        "name": "kserve-container",
        **_container(process, f"localhost/{shipment.name}:latest"),
        "ports": [{"containerPort": process.ports[0], "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": process.ports[0]}, "periodSeconds": 5},
        "livenessProbe": {"httpGet": {"path": "/v2/health/live", "port": process.ports[0]}, "periodSeconds": 15},
    }
    predictor = {
        "minReplicas": 1,
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
    document = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": process.label},
        "spec": {"predictor": predictor},
    }
    about = [
        *shipment.about,
        "The image: build it from the Dockerfile, push it to your registry, and write its name here.",
        *_secret_lines(shipment),
        *(f"Open Inference Protocol (V2): POST /v2/models/{name}/infer" for name in shipment.models),
        "The log of predictions goes with its pod: mount a claim in place of emptyDir to keep it.",
    ]
    return yaml_text(document, about=about)


def _secret_lines(shipment: Shipment) -> list[str]:
    return [
        f"The token: kubectl create secret generic {process.label} --from-literal=token=…"
        for process in shipment.processes
    ]


def _container(process: Process, image: str) -> dict[str, Any]:
    secret = {"secretKeyRef": {"name": process.label, "key": "token"}}
    return {
        "image": image,
        "args": process.command(_ANY),
        "env": [{"name": TOKEN_VARIABLE, "valueFrom": secret}],
        "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": _LOCKED,
        "volumeMounts": [{"name": "data", "mountPath": DATA}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }


def _claim(process: Process) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": process.label},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
    }


def _deployment(process: Process, image: str) -> dict[str, Any]:
    labels = {"app": process.label}
    container = {
        "name": process.label,
        "imagePullPolicy": "IfNotPresent",
        **_container(process, image),
        "ports": [{"name": name, "containerPort": port} for name, port in _named_ports(process)],
        **_probes(process),
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"fsGroup": USER},  # to whose group the volume is given
        "terminationGracePeriodSeconds": 45,
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": process.label}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": process.label, "labels": labels},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _probes(process: Process) -> dict[str, Any]:
    if process.is_declared:
        check = {"exec": {"command": health_command(process)}, "timeoutSeconds": 10}
        return {
            "startupProbe": {**check, "periodSeconds": 2, "failureThreshold": 60},
            "livenessProbe": {**check, "periodSeconds": 30},
        }

    def asked(path: str) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": process.ports[0]}}

    return {
        "startupProbe": {**asked("/health/ready"), "periodSeconds": 2, "failureThreshold": 60},
        "readinessProbe": {**asked("/health/ready"), "periodSeconds": 5},
        "livenessProbe": {**asked("/health/live"), "periodSeconds": 15},
    }


def _service(process: Process) -> dict[str, Any]:
    ports = [{"name": name, "port": port, "targetPort": port} for name, port in _named_ports(process)]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": process.label},
        "spec": {"selector": {"app": process.label}, "ports": ports},
    }


def _named_ports(process: Process) -> list[tuple[str, int]]:
    return [("http" if len(process.ports) == 1 else f"http-{port}", port) for port in process.ports]
