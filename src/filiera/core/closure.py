"""The code closure of a step: everything of the project that its result can depend on, and the versions of the rest.

It is read from live objects, not from text. Starting at a function, every name that its instructions load is followed
to the function, class or constant it stands for, and on from there. Code counts by its instructions (comments,
formatting, docstrings, line numbers and file names do not), constants by value, installed distributions by version.
Equal digests mean: the same code over the same constants. When in doubt, digests differ, and the step runs again.

Annotations of parameters are not compared, but followed: methods of an argument's class are code that the step runs.
The annotation of the result is compared, because it says how many outputs there are. A path below the project's folder
(the nearest with ``filiera.toml``, ``pyproject.toml`` or ``.git``) counts from there, so that checkouts are alike.

What cannot be followed:

- names computed while running: ``importlib`` with a computed name, ``eval``, ``exec``, and submodules of a package by
  ``getattr`` (all else in a module that is used as a value counts);
- what is read while running: files, environment variables, the network, the clock;
- state kept in other libraries (``polars.Config``, ``numpy.seterr``) and attributes set on functions;
- classes of arguments that no annotation names, and subclasses of those that are named;
- code that a library calls because it was registered there (namespaces, plug-ins, replaced methods), and other effects
  of modules that are imported and never used by name.

``Closure.opaque`` names the functions in which some of these were seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Any, get_args

from filiera.core._closure_survey import PartKind, Survey
from filiera.core.digest import digest, is_digest
from filiera.core.value import dataclass

_KINDS: tuple[str, ...] = get_args(PartKind)
_VERSIONED = ("distribution", "python", "processors")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Part:
    """One thing that a closure depends on.

    Kinds: ``environment``: a requirements file, of a step that runs in an environment of its own; ``function``,
    ``class`` and ``constant`` of the project; ``opaque``: one of these that holds something without comparable content;
    ``source``: a module whose text then counts instead; ``module``: all of a module, as it is used as a value;
    ``distribution`` and ``python``: a version that stands for code outside the project.
    """

    kind: PartKind
    name: str  #: "traffic.helpers:THRESHOLD", "traffic.helpers", "polars 2.1.0", "cpython 3.11.7"; a ' if there are two
    digest: str  #: of its own content, in which other parts occur by name only


@dataclass(frozen=True, kw_only=True, slots=True)
class Closure:
    """All parts that a function or class depends on. Equal digests mean equal parts."""

    parts: tuple[Part, ...]  #: sorted, each name of a kind once
    opaque: tuple[str, ...] = ()  #: what could not be followed: "traffic.helpers:load: uses eval"
    digest: str = field(init=False)  #: 64 hex digits, of the parts

    def __post_init__(self) -> None:
        pieces = [
            text.encode("utf-8", "surrogatepass") for part in self.parts for text in (part.kind, part.name, part.digest)
        ]
        object.__setattr__(self, "digest", digest("closure/1", *pieces))


def closure_of(thing: Callable[..., Any] | type, *, is_project: Callable[[str], bool]) -> Closure:
    """Return the closure of a function, step or class.

    Args:
        thing: A function, a step (an object whose class has ``__filiera_function__``), a class, or another callable.
        is_project: Tells for the full name of a module whether its code belongs to the project. Modules neither of the
            project, nor of the standard library, nor of an installed distribution are followed as if they did.

    Raises:
        ProjectError: A module of the project that a function imports when it runs cannot be imported.

    >>> [part.kind for part in closure_of(json.dumps, is_project=lambda module: False).parts]
    ['function', 'python']
    """
    return closures_of([thing], is_project=is_project)[0]


def closures_of(things: Iterable[Callable[..., Any] | type], *, is_project: Callable[[str], bool]) -> list[Closure]:
    """Return the closure of each of several *things*; what they share is read once. See ``closure_of``."""
    survey = Survey(is_project)
    starts = [survey.follow(thing) for thing in things]
    closures = []
    for start in starts:
        nodes = survey.reached_from(start)
        parts = sorted(Part(kind=node.kind, name=node.name, digest=node.digest) for node in nodes)
        notes = sorted({note for node in nodes for note in node.notes})
        closures.append(Closure(parts=tuple(parts), opaque=tuple(notes)))
    return closures


def changes(old: Closure, new: Closure) -> list[str]:
    """Return in words what differs between two closures, the project's own code first.

    >>> old, new = (Part(kind="distribution", name=f"polars {version}", digest="0" * 64) for version in ("2.0", "2.1"))
    >>> changes(Closure(parts=(old,)), Closure(parts=(new,)))
    ['distribution polars 2.0 -> 2.1']
    """
    before, after = ({_identity(part): part for part in closure.parts} for closure in (old, new))
    found = []
    for identity in sorted(before.keys() | after.keys()):
        gone, come = before.get(identity), after.get(identity)
        if gone is None and come is not None:
            found.append(f"{come.kind} {come.name} added")
        elif come is None and gone is not None:
            found.append(f"{gone.kind} {gone.name} removed")
        elif gone is not None and come is not None and gone != come:
            versions = f"{gone.name} -> {come.name.rpartition(' ')[2]}" if come.kind in _VERSIONED else ""
            found.append(f"{come.kind} {versions}" if versions else f"{come.kind} {come.name} changed")
    return found


def encode(closure: Closure) -> bytes:
    """Return the closure as JSON bytes, the same for equal closures."""
    parts = [[part.kind, part.name, part.digest] for part in closure.parts]
    content = {"opaque": closure.opaque, "parts": parts}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def decode(content: bytes) -> Closure:
    """Return the closure that ``encode`` wrote.

    Raises:
        ValueError: The bytes are not ours.

    >>> closure = Closure(parts=(Part(kind="function", name="flows.data:clean", digest="0" * 64),))
    >>> decode(encode(closure)) == closure
    True
    """
    try:
        found = json.loads(content.decode("utf-8", "surrogatepass"))
        parts = tuple(Part(kind=kind, name=name, digest=own) for kind, name, own in found["parts"])
        notes = tuple(found["opaque"])
    except (TypeError, KeyError, AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"not a closure: {error}") from error
    texts = (*notes, *(part.name for part in parts))
    if not all(type(text) is str for text in texts) or not all(
        part.kind in _KINDS and type(part.digest) is str and is_digest(part.digest) for part in parts
    ):
        raise ValueError("not a closure: a part has no known kind, name and digest")
    return Closure(parts=parts, opaque=notes)


def _identity(part: Part) -> tuple[int, str]:
    """Return what stays when a part changes: its name without the version, behind the code of the project."""
    if part.kind in _VERSIONED:
        return (_VERSIONED.index(part.kind) + 2, part.name.rpartition(" ")[0])
    return (int(part.kind in ("module", "source")), part.name)
