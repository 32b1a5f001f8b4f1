"""What an executor is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from filiera.core.artifact import ArtifactRef

FailureKind = Literal["raised", "crashed", "timeout", "memory", "cancelled", "codec", "input", "exit"]
LOG_UNKNOWN = -1
SourceStamp = tuple[str, str, int, int]
"""A module, its file, and that file's size in bytes and time of change in ns when the driver's code was read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a step needs while it runs; the engine never promises more than the machine has.

    >>> Resources(cpu=2).memory_mib
    0
    """

    cpu: int = 1  #: processor slots
    memory_mib: int = 0  #: memory the step may use; above it the step is killed; 0 means unlimited
    gpu: int = 0  #: GPU slots

    def __post_init__(self) -> None:
        if self.cpu < 1 or self.memory_mib < 0 or self.gpu < 0:
            raise ValueError(f"resources must be cpu >= 1, memory_mib >= 0, gpu >= 0, got {self}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One attempt at one step, in a form that crosses process borders."""

    task_id: str  #: unique among running tasks: run, step and attempt
    function: str  #: where the function is found: "module:qualified.name"
    arguments: bytes  #: parameters by name, as ``filiera.core.plain.encode`` wrote them; placeholders for inputs
    modules: tuple[str, ...] = ()  #: of functions and classes that *arguments* name: imported before they are decoded
    sources: tuple[SourceStamp, ...] = ()  #: the code its key stands for: a process that imports other code must refuse
    inputs: tuple[ArtifactRef, ...] = ()  #: values to load; placeholder number i in *arguments* stands for inputs[i]
    outputs: int = 1  #: how many artifacts the result is split into; 0: the step returns nothing
    codecs: tuple[str, ...] = ()  #: encoding per output where it is not the usual one of the type, else ""
    timeout_s: float | None = None  #: kill the attempt after this many seconds
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why an attempt did not succeed."""

    kind: FailureKind  #: what happened to it
    error: str  #: name of the exception class, or of the signal: "ValueError", "SIGSEGV"
    message: str  #: one line or a few, for people
    traceback: str = ""  #: the user's frames only, as Python prints them


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSpan:
    """Where an attempt's output lies: bytes *start* to *end* of a file in the run's log folder."""

    file: str
    start: int
    end: int = LOG_UNKNOWN


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """An attempt has begun in some process."""

    task_id: str
    pid: int  #: process that runs it
    log: LogSpan


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """An attempt has ended: with outputs, or with a failure."""

    task_id: str
    outputs: tuple[ArtifactRef, ...] = ()
    failure: Failure | None = None
    blocked: str = ""  #: set when an output is a verdict that blocks (a failed check or gate): its one-line summary
    started_at: float = 0.0  #: seconds since the epoch, UTC
    duration_s: float = 0.0
    log: LogSpan | None = None


ExecutorEvent = Started | Finished
Entry = Mapping[str, Any]
"""One table of the catalog in ``filiera.toml``: ``type``, ``path`` and options of that type of source."""


@dataclass(frozen=True, slots=True)
class CodeState:
    """Which code a run had, as version control knows it."""

    commit: str  #: of the checked out commit; "" in a repository without one
    is_dirty: bool  #: files differ from that commit, or are new
