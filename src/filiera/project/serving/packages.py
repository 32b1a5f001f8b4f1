"""What service versions are made of, and who needs which model version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filiera.errors import Untrusted, UsageError
from filiera.project.audit import came_from
from filiera.project.versions import Version, Versions

if TYPE_CHECKING:
    from filiera.core.package import Package
    from filiera.project.project import Project

_ALL = 10_000_000


def package_of(project: Project, service: Version) -> Package:
    """Return what a service version is made of. Raises CodecError, BlobMissing, BlobCorrupted."""
    from filiera.core import package  # noqa: F401 - its classes are decoded only when they are loaded

    found: Package = project.value(service.artifact)
    return found


def require_trust(project: Project, service: Version) -> None:
    """Refuse to run code that came in an archive, unless a trusted key has signed the version. Raises Untrusted."""
    file = came_from(project.records, "publish", service.ref)
    if not file:
        return
    try:
        project.signing.must_be_trusted(service)
    except Untrusted as error:
        raise Untrusted(
            f"The service {service.ref} came in {file}, with code of its own.",
            why=f"To serve it is to run that code, and nobody here vouches for it. {error.why}",
            do=f"Publish it from code that you have: filiera run {service.name}. Or vouch for it with a key that the "
            f"project trusts: filiera sign {service.ref}",
        ) from error


def require_unasked(versions: Versions, version: Version) -> None:
    """Refuse to let go of a model version that a version of a service asks. Raises UsageError."""
    if version.kind != "model":
        return
    for name in versions.names("service"):
        for service in versions.find(kind="service", name=name, limit=_ALL):
            if version.ref in service.inputs.values():
                raise UsageError(
                    f"{version.ref} cannot be dropped: {service.ref} asks it.",
                    why="A version of a service can be served as long as its models are there.",
                    do=f"Drop that first: filiera gc --drop {service.ref}",
                )
