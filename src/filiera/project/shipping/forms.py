"""The forms that services are shipped in: which files each has, and what it wants of the project."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from filiera.core.value import dataclass
from filiera.shipping import compose, container, kubernetes, nuclio, systemd
from filiera.shipping.shipment import DATA, Shipment

_ANY = "0.0.0.0"  # noqa: S104 - in the network of its container


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How services are run somewhere else."""

    about: str  #: for the help
    files: Callable[[Shipment], Mapping[str, str]]  #: texts by the names of files
    next: Callable[[Shipment], list[str]]  #: commands that bring it up
    store: Callable[[Shipment], str] = lambda shipment: DATA  #: where the store is to be
    host: str = _ANY  #: where declared services listen
    runs_services: bool = True  #: False: what declared services serve is served without a supervisor
    has_clocks: bool = True  #: False: nor is it called at times that they declare


def _image(shipment: Shipment) -> dict[str, str]:
    return {"Dockerfile": container.dockerfile(shipment), ".dockerignore": container.dockerignore(shipment)}


def _build(shipment: Shipment) -> str:
    return f"podman build --tag localhost/{shipment.name} ."


def _run(shipment: Shipment) -> str:
    ports = " ".join(f"--publish 127.0.0.1:{port}:{port}" for port in shipment.together.ports)
    volume = f"--volume {shipment.name}:{DATA}"
    return f"podman run --read-only --env FILIERA_TOKEN {ports} {volume} localhost/{shipment.name}"


def _install(shipment: Shipment) -> list[str]:
    name, folder = shipment.name, systemd.place(shipment.name)
    wheels = f" --find-links {folder}/wheels" if shipment.has_wheels else ""
    return [
        f"cp -r . {folder}",
        f"python{shipment.python} -m venv {folder}/packages",
        f"{folder}/packages/bin/pip install --no-deps{wheels} -r {folder}/requirements.txt",
        f"cp {name}.service {name}.socket /etc/systemd/system/",
        f"systemctl daemon-reload && systemctl enable --now {name}.socket {name}.service",
    ]


FORMS: Mapping[str, Form] = {
    "container": Form(
        about="a Dockerfile",
        files=_image,
        next=lambda shipment: [_build(shipment), _run(shipment)],
    ),
    "compose": Form(
        about="a Dockerfile and compose.yaml",
        files=lambda shipment: {**_image(shipment), "compose.yaml": compose.compose(shipment)},
        next=lambda shipment: ["docker compose up --build"],
    ),
    "kubernetes": Form(
        about="a Dockerfile, Deployments, Services and volumes",
        files=lambda shipment: {**_image(shipment), "kubernetes.yaml": kubernetes.kubernetes(shipment)},
        next=lambda shipment: [_build(shipment), "kubectl apply --filename kubernetes.yaml"],
    ),
    "kserve": Form(
        about="a Dockerfile and an InferenceService",
        files=lambda shipment: {**_image(shipment), "kserve.yaml": kubernetes.kserve(shipment)},
        next=lambda shipment: [_build(shipment), "kubectl apply --filename kserve.yaml"],
        runs_services=False,
        has_clocks=False,
    ),
    "nuclio": Form(
        about="a function of Nuclio",
        files=nuclio.function,
        next=lambda shipment: [f"nuctl deploy {shipment.name} --path ."],
        store=lambda shipment: nuclio.STORE,
        runs_services=False,
    ),
    "systemd": Form(
        about="a service and its socket",
        files=systemd.units,
        next=_install,
        store=lambda shipment: systemd.state(shipment.name),
        host=systemd.HOST,
    ),
}
