"""A function or class as a service: what ``@service`` says of it. It stays what it is, and is called as ever."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, TypedDict, TypeVar, Unpack, overload

from filiera.core.products import check_name
from filiera.core.redaction import Redaction
from filiera.core.value import dataclass
from filiera.errors import FilieraError, ProjectError, did_you_mean

T = TypeVar("T", bound=Callable[..., Any])
_MARK = "__filiera_service__"


class Sensitive:
    """Marks a parameter or answer whose values are never logged: ``email: Annotated[str, Sensitive]``.

    A parameter with a sensitive part, such as one field of a dataclass, is left out of the log as a whole. In place of
    a parameter's value may stand a hash, or the bin that it is in: ``Annotated[str, Sensitive("hash")]``.

    Args:
        logged: ``"drop"``, ``"hash"``, or the ascending edges of bins of numbers.

    Raises:
        ProjectError: It is none of these.

    >>> Sensitive([18, 65]).redaction.binned(40)
    '18 to below 65'
    """

    def __init__(self, logged: str | Iterable[float] = "drop") -> None:
        try:
            self.redaction = Redaction.said(logged)
        except (TypeError, ValueError) as error:
            raise ProjectError("A parameter cannot be redacted so.", why=f"{error}.") from error


class Refused(FilieraError):
    """Raise it in a service to say that the caller asked for something wrong: status 422 with your words.

    Anything else that a service raises is its own failure: status 500, the words only in its log.
    """

    exit_code = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceOptions:
    """What ``@service`` may say."""

    name: str = ""  #: under which it is served; "" for the name of the function or class
    version: str = ""  #: shown to callers and logged; "" for a digest of the code that it reaches
    concurrency: int | None = None  #: calls at once; None for 1, or 64 of functions that are ``async``
    max_waiting: int = 64  #: calls that may wait; more are refused with status 503
    timeout_s: float = 60.0  #: how long a caller waits for an answer, or for the next item of a stream
    example: Mapping[str, Any] | None = None  #: arguments of a call that is made before the service says it is ready
    needs_token: bool = True  #: False: answered without the token, such as a webhook that checks a signature itself
    cache_s: float = 0.0  #: answers, not streams, are kept so long for equal arguments; 0: not at all

    def __post_init__(self) -> None:
        if self.name:
            check_name(self.name, "service")
        if self.concurrency is not None and self.concurrency < 1:
            raise ValueError(f"concurrency must be 1 or more, not {self.concurrency}")
        if self.max_waiting < 0:
            raise ValueError(f"max_waiting must be 0 or more, not {self.max_waiting}")
        if not 0 < self.timeout_s < math.inf:
            raise ValueError(f"timeout_s must be a positive number of seconds, not {self.timeout_s}")
        if not 0 <= self.cache_s < math.inf:
            raise ValueError(f"cache_s must be a number of seconds, 0 or more, not {self.cache_s}")


class Options(TypedDict, total=False):
    """The fields of ``ServiceOptions``, for type checkers."""

    name: str
    version: str
    concurrency: int | None
    max_waiting: int
    timeout_s: float
    example: Mapping[str, Any] | None
    needs_token: bool
    cache_s: float


@overload
def service(function: T, /) -> T: ...


@overload
def service(**options: Unpack[Options]) -> Callable[[T], T]: ...


def service(function: Any = None, /, **options: Unpack[Options]) -> Any:
    """Return *function* marked as a service of the project, or a decorator that marks one.

    What is marked stays what it is: a call of it is a plain call. ``filiera serve NAME`` finds it by its name; anything
    typed can be served without the mark too, as ``filiera serve module:function``.

    Args:
        function: A typed function, also ``async`` or a generator, whose items are streamed; or a class. The class is
            made once when the service starts, without arguments; its public methods are what can be called.
        options: The fields of ``ServiceOptions``, such as ``timeout_s=5``. The *example* of a class has the arguments
            by method: ``example={"summarize": {"text": "…"}}``.

    Raises:
        TypeError: There is no such option.
        ValueError: An option is out of range.
        UsageError: *name* cannot be one.

    >>> @service(timeout_s=5, example={"name": "Ann"})
    ... def greet(name: str) -> str:
    ...     return f"Hello {name}"
    >>> greet("Ann")
    'Hello Ann'
    """
    chosen = _checked(options)

    def marked(wrapped: T) -> T:
        setattr(wrapped, _MARK, chosen)
        return wrapped

    return marked if function is None else marked(function)


def options_of(function: object) -> ServiceOptions | None:
    """Return what ``@service`` said of a function or class, None when it is not marked itself.

    >>> options_of(len) is None
    True
    """
    # Of a class its own dictionary: a class derived from a service is not one by that alone.
    found = vars(function).get(_MARK) if hasattr(function, "__dict__") else None
    return found if isinstance(found, ServiceOptions) else None


def _checked(options: Options) -> ServiceOptions:
    known = [item.name for item in fields(ServiceOptions)]
    for name in options:
        if name not in known:
            raise TypeError(f"@service has no option {name!r}.{did_you_mean(name, known)} It has: {', '.join(known)}.")
    return replace(ServiceOptions(), **options)
