"""How a run has ended, and what decided it."""

from __future__ import annotations

from filiera.core.events import RunFinished, RunOutcome
from filiera.core.runstate import RunState
from filiera.engine.course import Course


def conclusion(course: Course) -> RunFinished:
    """Return how a run ends, from the state of its steps: failed before rejected, waiting before succeeded."""
    state = course.state
    own = [step for step in state.steps.values() if not step.parent]  # what others became, they answer for
    for step in own:
        if step.status == "failed":
            failure = step.failure
            first_line = failure.message.partition("\n")[0] if failure else ""
            told = f": {failure.error}: {first_line}" if failure else ""
            return RunFinished(outcome="failed", message=f"step {step.name} failed{told}")
    for step in own:
        if step.status == "rejected":
            return RunFinished(outcome="rejected", message=f"{step.name}: {step.detail}")
    return RunFinished(outcome=_outcome(state, course), message=_message(state, course))


def _outcome(state: RunState, course: Course) -> RunOutcome:
    if state.count("cancelled"):
        return "failed" if course.stopping.startswith("it ran longer") else "cancelled"
    return "waiting" if state.count("waiting") else "succeeded"


def _message(state: RunState, course: Course) -> str:
    if state.count("cancelled"):
        return course.stopping
    waiting = [step for step in state.steps.values() if step.status == "waiting"]
    return f"{waiting[0].name} waits for an answer: {waiting[0].detail}" if waiting else ""
