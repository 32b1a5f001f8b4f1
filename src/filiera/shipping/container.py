"""A container image: its Dockerfile, and what the engine need not see."""

from __future__ import annotations

import json

from filiera.shipping.shipment import DATA, PROJECT, REQUIREMENTS, USER, WHEELS, Shipment, health_command

_PLACE = "/srv/service"
_PACKAGES = "/opt/packages"


def dockerfile(shipment: Shipment) -> str:
    """Return the text of a Dockerfile that builds an image of all that is shipped."""
    process = shipment.together
    wheels = f"COPY {WHEELS}/ /build/{WHEELS}/\n" if shipment.has_wheels else ""
    finds = f" --find-links /build/{WHEELS}" if shipment.has_wheels else ""
    finds += " --no-index" if shipment.is_offline else ""
    about = "".join(f"# {line}\n" for line in shipment.about)
    ports = " ".join(map(str, process.ports))
    return f"""\
{about}
# Python {shipment.python} with venv; another image: --build-arg BASE=…
ARG BASE=python:{shipment.python}-slim

FROM ${{BASE}} AS packages
COPY {REQUIREMENTS} /build/
{wheels}RUN python3 -m venv {_PACKAGES} \\
 && {_PACKAGES}/bin/pip install --no-cache-dir --no-deps{finds} -r /build/{REQUIREMENTS} \\
 && {_PACKAGES}/bin/pip uninstall --yes pip

FROM ${{BASE}}
COPY --from=packages {_PACKAGES} {_PACKAGES}
COPY {PROJECT}/ {_PLACE}/
RUN python3 -c "import os; os.mkdir('{DATA}', 0o700); os.chown('{DATA}', {USER}, {USER})"
ENV PATH={_PACKAGES}/bin:$PATH HOME={DATA} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR {_PLACE}
# All that it writes: what it takes over of {PROJECT}/, its log of predictions, its queue.
VOLUME {DATA}
USER {USER}:{USER}
EXPOSE {ports}
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD {json.dumps(health_command(process))}
ENTRYPOINT ["filiera"]
CMD {json.dumps(process.command("0.0.0.0"))}
"""  # noqa: S104 - in the network of its container


def dockerignore(shipment: Shipment) -> str:
    """Return the text of ``.dockerignore``: nothing but what the Dockerfile copies."""
    kept = [PROJECT, REQUIREMENTS, *([WHEELS] if shipment.has_wheels else [])]
    return "".join(f"{line}\n" for line in ("*", *(f"!{name}" for name in kept)))
