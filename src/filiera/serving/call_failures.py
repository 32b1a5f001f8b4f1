"""What a caller is told of a call that failed, and what the operator is."""

from __future__ import annotations

import logging
import traceback

from filiera.serving.operation import Operation
from filiera.serving.problem import Problem, RequestRefused

_log = logging.getLogger("filiera.serving")


def problem_of(operation: Operation, error: Exception, limit_s: float) -> Problem:
    """Return the problem that tells a caller of *error*; what a function raised is only logged."""
    if isinstance(error, RequestRefused):
        return error.problem
    if isinstance(error, TimeoutError):
        return Problem(kind="timed-out", detail=f"It was waited for {limit_s:g} s.")
    _log_failure(operation, error)
    return Problem(kind="function-failed", detail="See the service's log.")


def _log_failure(operation: Operation, error: Exception) -> None:
    """Log what happened; messages of exceptions may quote arguments, so with sensitive ones only the frames."""
    cause = error.__cause__
    if any(argument.is_sensitive for argument in operation.arguments):
        frames = "".join(traceback.format_tb(cause.__traceback__)) if cause is not None else ""
        _log.error("%s failed: it raised %s\n%s", operation.name, type(cause).__name__, frames)
    else:
        _log.error("%s failed", operation.name, exc_info=cause)
