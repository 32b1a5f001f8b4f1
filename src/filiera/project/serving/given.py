"""The versions of models and datasets that served functions take, as of when the service starts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from filiera.core.products import CHAMPION, LATEST, Dataset, Model, ProductRef
from filiera.project.project import Project
from filiera.project.serving.functions import FoundFunction
from filiera.project.versions import Version


class Given:
    """Versions of products, and their values."""

    def __init__(self, project: Project, products: Sequence[Model | Dataset]) -> None:
        """Find them. Raises UsageError for one that there is not, Untrusted for one that must be signed and is not."""
        self._project = project
        self._versions: dict[tuple[str, ProductRef], Version] = {
            (each.kind, each.ref): project.versions.resolve(each.kind, _wanted(each)) for each in products
        }

    def __bool__(self) -> bool:
        return bool(self._versions)

    @property
    def versions(self) -> tuple[Version, ...]:
        """Return them."""
        return tuple(self._versions.values())

    @property
    def refs(self) -> tuple[str, ...]:
        """Return which versions they are, ``name@number`` each."""
        return tuple(dict.fromkeys(version.ref for version in self._versions.values()))

    def value(self, product: Model | Dataset) -> Any:
        """Return the value of a product. Raises CodecError, BlobMissing, BlobCorrupted."""
        return self._project.value(self._versions[product.kind, product.ref].artifact)

    def version_with(self, version: str) -> str:
        """Return the version of code together with what it is given: with another model it is another one."""
        told = "\n".join([version, *self.refs])
        return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()[: len(version)]


def given_to(project: Project, found: FoundFunction) -> Given:
    """Return what a function or class takes. Raises what ``Given`` does."""
    from filiera.serving.operation import all_products

    return Given(project, all_products(found.function))


def _wanted(product: Model | Dataset) -> ProductRef:
    is_model = isinstance(product, Model) and product.ref.selector == LATEST
    return ProductRef(product.ref.name, CHAMPION) if is_model else product.ref
