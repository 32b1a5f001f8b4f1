"""Functions, classes and graphs of a project that are served, found by ``module:name``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filiera.core.graphs import ServingGraph
from filiera.core.service import ServiceOptions, options_of
from filiera.core.value import dataclass
from filiera.errors import UsageError, did_you_mean
from filiera.project.code import ProjectCode
from filiera.project.index import import_below

_SHOWN_DIGITS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundFunction:
    """A function or class to be served."""

    function: Any
    options: ServiceOptions
    version: str  #: what ``@service`` says, else the beginning of a digest of all code that it reaches

    @property
    def name(self) -> str:
        """Return the name under which it is served."""
        name: str = self.options.name or self.function.__name__
        return name


def is_address(text: str) -> bool:
    """Tell whether *text* is an address in code rather than a name.

    >>> is_address("greeting:greet"), is_address("spam-filter@champion")
    (True, False)
    """
    return ":" in text


def find_served(root: Path, address: str) -> FoundFunction | ServingGraph:
    """Return what ``module:name`` means, the module found below the folder *root*. It is imported.

    Raises:
        UsageError: *address* is none, or the module has no such function, class or graph.
        ProjectError: The module cannot be imported.
    """
    module, _, name = address.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise UsageError(f"{address!r} is no address of a function.", do="Give one such as greeting:greet.")
    loaded = import_below(root, module)
    found = getattr(loaded, name, None)
    if isinstance(found, ServingGraph):
        return found
    if not callable(found):
        known = [key for key, value in vars(loaded).items() if _is_served(value, module)]
        raise UsageError(
            f"Module {module!r} has no function, class or graph {name!r}.",
            why=f"It has: {', '.join(known) or 'none'}.{did_you_mean(name, known)}",
        )
    options = options_of(found) or ServiceOptions()
    return FoundFunction(function=found, options=options, version=options.version or _digest(found, root))


def _is_served(value: object, module: str) -> bool:
    return isinstance(value, ServingGraph) or (callable(value) and getattr(value, "__module__", "") == module)


def _digest(function: Callable[..., Any], root: Path) -> str:
    from filiera.core.closure import closures_of

    (closure,) = closures_of([inspect.unwrap(function)], is_project=ProjectCode(root).is_project)
    return closure.digest[:_SHOWN_DIGITS]
