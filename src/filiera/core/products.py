"""What pipelines publish and consume: named products with numbered versions, and the sources of the catalog."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from filiera.core.value import dataclass
from filiera.errors import UsageError

if TYPE_CHECKING:
    from filiera.core.contract import Contract
    from filiera.core.signature import Task

ProductKind = Literal["dataset", "model", "service"]
LATEST = "latest"
CHAMPION = "champion"
OF_EXPERIMENT = "~"
"""Stands between the name of a product and that of the experiment which publishes it."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def check_name(name: str, what: str) -> str:
    """Return *name* if it can name a *what*: a letter, then letters, digits, ``-`` and ``_``, at most 100.

    Raises:
        UsageError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name {'an' if what[0] in 'aeiou' else 'a'} {what}.",
            why="Names become folders, addresses and options.",
            do="Use a letter, then letters, digits, '-' or '_', at most 100.",
        )
    return name


def check_product_name(name: str, what: str = "product") -> str:
    """Return *name* if it can name a product, also one that an experiment publishes: ``points~deeper``.

    Raises:
        UsageError: It cannot.
    """
    for part in name.split(OF_EXPERIMENT, 1):
        check_name(part, what)
    return name


@dataclass(frozen=True, slots=True)
class ProductRef:
    """A product and which version of it: a number, or an alias such as ``champion``; ``latest`` is the newest.

    What an experiment publishes is called after it: ``flows~deeper`` is the ``flows`` of the experiment ``deeper``.

    >>> ProductRef.parse("flows@3"), ProductRef.parse("flows").selector
    (ProductRef(name='flows', selector='3'), 'latest')
    """

    name: str
    selector: str = LATEST

    @classmethod
    def parse(cls, text: str, *, default: str = LATEST) -> ProductRef:
        """Return the reference written as ``name@version``, ``name@alias`` or ``name``, which means its *default*.

        Raises UsageError.
        """
        name, at, selector = text.partition("@")
        check_product_name(name)
        if at and not _VERSION.fullmatch(selector):
            check_name(selector, "version or alias")
        return cls(name, selector if at else default)

    @property
    def number(self) -> int | None:
        """Return the version asked for by number, or None for an alias."""
        return int(self.selector) if _VERSION.fullmatch(self.selector) else None

    def __str__(self) -> str:
        return f"{self.name}@{self.selector}"


@dataclass(frozen=True, slots=True)
class Source:
    """An entry of the catalog in ``filiera.toml``, as the default of a pipeline's parameter."""

    name: str


class Dataset:
    """A dataset: what a data pipeline publishes (with checks), or which version a pipeline consumes.

    Args:
        reference: ``"flows"`` when published; ``"flows@latest"``, ``"flows@3"`` or ``"flows@alias"`` when consumed.
        checks: What must hold before a version is published; a blocking check that fails ends the run as rejected.
        keys: Columns that name a row, so that two versions are compared row by row. It is checked that they do.
        partitions: The pipeline's list over which it maps its steps: each value is a partition, and what the mapped
            step returns for it. A run makes those that are asked for, beside those that the newest version has.
        sensitive: Columns whose values are shown nowhere: in no report, profile, difference or message, and which
            services do not log. It holds for columns of the same names in all that is made of the dataset, too.

    >>> Dataset("flows@3").ref.number
    3
    """

    kind: ProductKind = "dataset"

    def __init__(
        self,
        reference: str,
        *,
        checks: Any = (),
        keys: Iterable[str] = (),
        partitions: str = "",
        sensitive: Iterable[str] = (),
    ) -> None:
        self.ref = ProductRef.parse(reference)
        self.checks = tuple(checks)
        self.keys = (keys,) if isinstance(keys, str) else tuple(keys)
        self.partitions = partitions
        self.sensitive = (sensitive,) if isinstance(sensitive, str) else tuple(sensitive)
        self.part = ""

    @property
    def quarantined(self) -> Dataset:
        """Return, to be consumed: the rows that this version's checks set aside, with the rule they broke."""
        aside = Dataset(str(self.ref))
        aside.part = "quarantine"
        return aside

    def __repr__(self) -> str:
        return f"Dataset({str(self.ref)!r}){'.quarantined' if self.part else ''}"


class Model:
    """A model: what a model pipeline publishes (with gates), or which version a pipeline consumes.

    Args:
        reference: ``"flow-classifier"`` when published; with ``@version`` or ``@alias`` when consumed.
        task: What it does; a run whose evaluation is of another task is refused. None: what its evaluation says.
        gates: Blocking checks on the metrics; one that fails ends the run as rejected.
        onnx: Attach the model as an ONNX graph, too, if one can be made that gives the same answers.
        contract: What applications that call it may count on beyond what training data and checks say.
        may_share_rows: Rows that are evaluated may equal rows that were trained on: equal rows are independent
            observations. Otherwise a run in which they do is rejected, since the model may have learnt them by heart.
    """

    kind: ProductKind = "model"

    def __init__(
        self,
        reference: str,
        *,
        task: Task | None = None,
        gates: Any = (),
        onnx: bool = False,
        contract: Contract | None = None,
        may_share_rows: bool = False,
    ) -> None:
        self.ref = ProductRef.parse(reference)
        self.onnx = onnx
        self.contract = contract
        self.task = task
        self.gates = tuple(gates)
        self.may_share_rows = may_share_rows

    def __repr__(self) -> str:
        return f"Model({str(self.ref)!r})"


class Service:
    """A service: what a serving graph publishes. Nobody declares one; the graph is its declaration.

    Args:
        reference: The name of the graph.
    """

    kind: ProductKind = "service"

    def __init__(self, reference: str) -> None:
        self.ref = ProductRef.parse(reference)

    def __repr__(self) -> str:
        return f"Service({str(self.ref)!r})"


Product = Dataset | Model | Service
