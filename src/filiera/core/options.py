"""How a step is run: the options of ``@step``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import field
from typing import Any, TypedDict, get_args

from filiera.core.stages import Stage
from filiera.core.task import Resources
from filiera.core.value import dataclass

_NAME = re.compile(r"\w[\w.-]{0,99}")


class Nothing:
    """The value of ``catch`` when a failure is not caught; None is a value like others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cache:
    """When a result found in the cache may be used, where ``cache=True`` says too little.

    >>> Cache(max_age_s=3600, ignore=("verbose",)).ignore
    ('verbose',)
    """

    max_age_s: float | None = None  #: an older result is computed again; None: it never gets too old
    ignore: tuple[str, ...] = ()  #: parameters that do not change the result: their values and inputs do not count
    key: Callable[..., str] | None = None
    """Returns the text that counts instead of the arguments; called with them by name, each input as its digest."""

    def __post_init__(self) -> None:
        if self.max_age_s is not None and self.max_age_s <= 0:
            raise ValueError(f"max_age_s must be above 0, got {self.max_age_s}; cache=False never uses a result")
        if self.key is not None and self.ignore:
            raise ValueError("a cache key of your own sees all arguments: leave out there what ignore names")


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOptions:
    """How a step is run."""

    name: str = ""  #: of its node in the graph; "": the function's name
    stage: Stage | None = None  #: part of the generic workflow; None: inferred from types and pipeline kind
    retries: int = 0  #: further attempts after a failure
    retry_delay_s: float = 1.0  #: wait before the first retry; doubles each time, at most 60 s
    never_retry: tuple[type[BaseException], ...] = ()  #: failures that another attempt would only repeat
    timeout_s: float | None = None  #: an attempt that takes longer is killed
    queue_timeout_s: float | None = None  #: one that waits longer for a free place fails
    resources: Resources = field(default_factory=Resources)  #: slots and memory
    priority: int = 0  #: of the steps that could start, higher ones do first
    limits: tuple[str, ...] = ()  #: names in ``[limits]`` of filiera.toml: how many such steps run at once here
    env: str = ""  #: requirements file, relative to the project, of an environment of its own; "": the project's
    cache: bool | Cache = True  #: False: run every time, for steps that read a clock, a network or the like
    catch: Any = Nothing  #: after the last attempt failed, go on as if it had returned this plain value
    dynamic: bool = False  #: its function calls steps, on real values: the graph they make is run in its place
    concurrency: int | None = None  #: of the calls that ``map`` makes, so many run at once; None: as many as fit
    min_success: float = 1.0  #: of the calls by ``map``, the share that must succeed; None stands for others

    def __post_init__(self) -> None:
        if self.name and not _NAME.fullmatch(self.name):
            raise ValueError(f"a step's name has letters, digits, '_', '-' and '.', at most 100, not {self.name!r}")
        if self.stage is not None and self.stage not in get_args(Stage):
            raise ValueError(f"stage must be one of {', '.join(get_args(Stage))}, got {self.stage!r}")
        if self.retries < 0 or self.retry_delay_s < 0:
            raise ValueError(
                f"retries and retry_delay_s must not be negative, got {self.retries}, {self.retry_delay_s}"
            )
        for name in ("timeout_s", "queue_timeout_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        if not 0.0 <= self.min_success <= 1.0:
            raise ValueError(f"min_success is a share between 0 and 1, got {self.min_success}")
        if self.concurrency is not None and self.concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, got {self.concurrency}")
        if self.dynamic and self.env:
            raise ValueError("a dynamic step runs in the project's own environment; give env to the steps it calls")

    @property
    def is_cached(self) -> bool:
        """Tell whether results are kept and looked for at all."""
        return self.cache is not False

    @property
    def catches(self) -> bool:
        """Tell whether a failure is replaced by a value."""
        return self.catch is not Nothing


class Options(TypedDict, total=False):
    """The keywords of ``@step`` and ``Step.with_options``: the fields of ``StepOptions``, explained there."""

    name: str
    stage: Stage | None
    retries: int
    retry_delay_s: float
    never_retry: tuple[type[BaseException], ...]
    timeout_s: float | None
    queue_timeout_s: float | None
    resources: Resources
    priority: int
    limits: tuple[str, ...]
    env: str
    cache: bool | Cache
    catch: Any
    dynamic: bool
    concurrency: int | None
    min_success: float
