"""What an executor is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from filiera.core.artifact import ArtifactRef
from filiera.core.key import KeyParts
from filiera.core.logged import Logged
from filiera.core.types import Lazy
from filiera.core.value import dataclass

FailureKind = Literal["raised", "crashed", "timeout", "queue", "memory", "cancelled", "codec", "input", "exit"]
LOG_UNKNOWN = -1
SourceStamp = tuple[str, str, int, int]
"""A module, its file, and that file's size in bytes and time of change in ns when the driver's code was read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a step needs while it runs; the engine never promises more than the machine has.

    >>> Resources(cpu=2).memory_mib
    0
    """

    cpu: int = 1  #: processor slots, and how many threads OpenMP and BLAS compute with
    memory_mib: int = 0  #: memory the step may use; above it the step is killed; 0 means unlimited
    gpu: int = 0  #: GPU slots

    def __post_init__(self) -> None:
        if self.cpu < 1 or self.memory_mib < 0 or self.gpu < 0:
            raise ValueError(f"resources must be cpu >= 1, memory_mib >= 0, gpu >= 0, got {self}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Following:
    """How a worker goes on by itself with a task whose only unknown inputs are what its predecessor returns.

    It computes the cache key, and drops the task when its predecessor did not simply succeed, when the result is
    cached, or when somebody else computes it at the moment.
    """

    task_id: str  #: of the predecessor, which was given to an executor before
    inputs: tuple[tuple[int, int], ...]  #: position in ``Task.inputs`` to fill (what stands there now means nothing),
    #: and number of the predecessor's output
    parts: KeyParts  #: of its key, with the inputs that are not known yet as empty identities


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
    priority: int = 0  #: of the tasks that could start, higher ones do first; equal ones in order of submission
    queue_timeout_s: float | None = None  #: one that has not started after so many seconds fails
    key: str = ""  #: cache key, under which checkpoints are kept; "" when it is not known yet
    env: str = ""  #: digest of the environment it runs in; "": the executor's own
    code: str = ""  #: digest of the code that it runs; "": unknown. Stays with the driver
    is_dynamic: bool = False  #: the function calls steps: what it returns is a graph, described as plain data
    lazy: Mapping[str, Lazy] = field(default_factory=dict)  #: arguments that need not be in memory
    watched: tuple[str, bool, str] | None = None  #: the fields of a Watched: a worse attempt ends early
    following: Following | None = None  #: given to the worker that has the predecessor, ahead of time


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why an attempt did not succeed."""

    kind: FailureKind  #: what happened to it
    error: str  #: name of the exception class, or of the signal: "ValueError", "SIGSEGV"
    message: str  #: one line or a few, for people
    traceback: str = ""  #: the user's frames only, as Python prints them
    bases: tuple[str, ...] = ()  #: of an exception: its class and their bases, as "module:qualified.name"


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
    metrics: Logged | None = None  #: what it has logged


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """A task that follows another was not run; whoever gave it has to decide anew."""

    task_id: str
    is_lost: bool = False  #: its worker died, and may have taken its key before


ExecutorEvent = Started | Finished | Dropped
Entry = Mapping[str, Any]
"""One table of the catalog in ``filiera.toml``: ``type``, ``path`` and options of that type of source."""


@dataclass(frozen=True, slots=True)
class CodeState:
    """Which code a run had, as version control knows it."""

    commit: str  #: of the checked out commit; "" in a repository without one
    is_dirty: bool  #: files differ from that commit, or are new
