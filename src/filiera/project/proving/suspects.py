"""Why a step may return something else each time: what it reaches that draws random numbers or reads the clock.

Found by names in its code, as written. What is computed while running, or done inside of libraries, is not seen.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, Literal

from filiera.core._closure_code import Import, facts_of
from filiera.core.closure import Part
from filiera.core.value import dataclass

Kind = Literal["chance", "clock", "order"]

_CHANCE = (
    "random.",
    "numpy.random.",
    "secrets.",
    "os.urandom",
    "os.getrandom",
    "uuid.uuid1",
    "uuid.uuid4",
    "torch.rand",
)
_CLOCK = (
    *(f"time.{name}" for name in ("time", "monotonic", "perf_counter", "process_time", "localtime", "gmtime", "ctime")),
    *(f"time.{name}" for name in ("strftime", "asctime", "thread_time")),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    "datetime.date.today",
)
_ORDER = ("concurrent.futures", "multiprocessing.", "threading.", "os.listdir", "os.scandir", "glob.", "os.getpid")
_NAMES: tuple[tuple[Kind, tuple[str, ...]], ...] = (("chance", _CHANCE), ("clock", _CLOCK), ("order", _ORDER))
_SEEDED = ("random.seed", "random.Random", "numpy.random.seed", "numpy.random.Generator", "numpy.random.SeedSequence")
_UNORDERED = {"polars": ("group_by", "unique", "join"), "pathlib": ("iterdir", "glob", "rglob")}


@dataclass(frozen=True, slots=True, order=True)
class Suspect:
    """Something in the code of a step that may differ from one time to the next."""

    kind: Kind
    name: str  #: "random.random"
    place: str  #: the function of the project that uses it: "flows.data:noise"


def suspects(parts: Iterable[Part]) -> list[Suspect]:
    """Return what the functions and classes of a code closure use that may differ from one time to the next.

    Args:
        parts: Of the closure; their modules are loaded in this process.
    """
    found: set[Suspect] = set()
    for part in parts:
        if part.kind in ("function", "class"):
            for function in _functions(part.name):
                found.update(Suspect(kind, name, part.name) for kind, name in _uses(function))
    return sorted(found)


def _functions(name: str) -> Iterator[FunctionType]:
    """Yield the function of a part of the project, or the methods of its class."""
    module, _, path = name.rstrip("'").partition(":")
    thing: Any = sys.modules.get(module)
    for attribute in path.split("."):
        thing = getattr(thing, attribute, None)
    thing = getattr(thing, "__filiera_function__", thing)
    for each in vars(thing).values() if isinstance(thing, type) else (thing,):
        function = inspect.unwrap(each) if callable(each) else each
        if isinstance(function, FunctionType) and not function.__module__.startswith("filiera."):
            yield function


def _uses(function: FunctionType) -> Iterator[tuple[Kind, str]]:
    facts = facts_of(function.__code__)
    names = [_dotted(function.__globals__.get(chain[0]), chain) for chain in facts.loads]
    names += [_imported(statement) for statement in facts.imports]
    for name in names:
        for kind, starts in _NAMES:
            if name.startswith(starts) and not name.startswith(_SEEDED):
                yield kind, name
        if _takes_random_state(name):
            yield "chance", f"{name} without random_state"
    modules = {name.partition(".")[0] for name in names} | {
        getattr(value, "__name__", "") for value in function.__globals__.values() if isinstance(value, ModuleType)
    }
    used = set(_attributes(function.__code__))
    for library, methods in _UNORDERED.items():
        if library in modules:
            yield from (("order", f"{library} {method}") for method in methods if method in used)


def _dotted(value: Any, chain: tuple[str, ...]) -> str:
    """Return the whole name of what attributes read from a global lead to; '' when it is not from elsewhere."""
    if isinstance(value, ModuleType):
        return ".".join((value.__name__, *chain[1:]))
    owner = getattr(value, "__self__", None)  # random.random is a method of a generator that its module holds
    module = getattr(value, "__module__", None) or type(owner).__module__
    own = getattr(value, "__name__", "")
    return ".".join((module, own, *chain[1:])) if callable(value) and isinstance(module, str) else ""


def _imported(statement: Import) -> str:
    base = statement.module if statement.from_list else statement.module.partition(".")[0]
    return ".".join((base, *statement.path))


def _takes_random_state(name: str) -> bool:
    """Tell whether a name is a scikit-learn estimator or function that draws numbers unless it is given a state."""
    if not name.startswith("sklearn."):
        return False
    module, _, attribute = name.rpartition(".")
    thing = getattr(sys.modules.get(module), attribute, None)
    try:
        return "random_state" in inspect.signature(thing).parameters if callable(thing) else False
    except (TypeError, ValueError):
        return False


def _attributes(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _attributes(constant)
