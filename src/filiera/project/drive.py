"""Driving planned runs to their ends: until every step has ended, they are published and recorded, or given up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from filiera.core.events import Published, RunInterrupted, RunResumed, RunStarted
from filiera.engine.conclusion import conclusion
from filiera.engine.course import Course
from filiera.engine.driver import Driver
from filiera.engine.journal import Journal
from filiera.engine.recorder import Recorder
from filiera.errors import BlobMissing, StoreError
from filiera.project.assemble import Assembled, artifact_of
from filiera.project.healing import heal_inputs
from filiera.project.project import Listener, Project
from filiera.project.runs import Run, log_folder
from filiera.project.versions import Made, Version


class Journey:
    """A recorded run, and all that it needs to go on."""

    def __init__(
        self, project: Project, assembled: Assembled, course: Course, started: RunStarted | RunResumed
    ) -> None:
        self.assembled, self.course, self.started = assembled, course, started
        recorder = course.recorder
        self.run = Run(project=project, run_id=recorder.run_id, state=recorder.state, graph=course.graph)


def drive(project: Project, journal: Journal, journeys: Sequence[Journey], listener: Listener | None = None) -> None:
    """Run all steps of these runs and record how they ended; *listener* hears of all of them.

    Raises:
        StoreError: The records or blobs cannot be used; the runs are interrupted.
        KeyboardInterrupt: Ctrl-C was pressed again while the runs were being cancelled; they are interrupted.
    """
    try:
        if listener is not None:
            _tell_starts(journeys, listener)
        _drive(project, journal, journeys, listener)
    except BaseException as error:
        _give_up(journeys, error)
        raise


def _tell_starts(journeys: Sequence[Journey], listener: Listener) -> None:
    for journey in journeys:
        recorder = journey.course.recorder
        recorder.listener = listener
        if isinstance(journey.started, RunStarted):  # recorded when the run was made; that it is resumed, is not yet
            listener(journey.started, recorder.state)


def _drive(project: Project, journal: Journal, journeys: Sequence[Journey], listener: Listener | None) -> None:
    by_course = {journey.course: journey for journey in journeys}
    first = journeys[0].run.run_id
    for journey in journeys[1:]:
        journey.course.log_prefix = f"../{first}/"
    log_dir = log_folder(project, first)
    if listener is not None:
        listener.begins(log_dir)
    journal.settle = project.settle
    with project.coordination() as (flights, limits):
        driver = Driver(
            make_executor=lambda: project.executor(log_dir, flights.holder, listener),
            journal=journal,
            flights=flights,
            limits=limits,
            env_of=project.environment,
            heal=lambda refs: heal_inputs(project, refs),
            on_over=lambda course: _conclude(project, by_course[course]),
            on_wait=(lambda: listener.waits(journeys[0].run.state)) if listener is not None else None,
        )
        for journey in journeys:
            driver.add(journey.course)
        with _stopping(driver, raises=project.config.profile.executor == "inline"):
            try:
                journal.flush()
                driver.run()
            except BaseException as error:
                _give_up(journeys, error)  # at once: what the executor has may take a while to end
                raise
            finally:
                driver.close()


def _conclude(project: Project, journey: Journey) -> None:
    """Publish what a run that succeeded made, and record how it ended."""
    course = journey.course
    outcome = conclusion(course)
    if outcome.outcome == "succeeded" and course.graph.publication is not None:
        journey.run.version, journey.run.is_new_version = _publish(project, journey.assembled, course.recorder)
        course.recorder.record(Published(product=journey.run.version.ref, is_new=journey.run.is_new_version))
    course.recorder.record(outcome)
    state = course.recorder.state
    if state.count("hit", "skipped") < len(state.steps):  # else all that it has was brought to the disk before
        course.recorder.journal.is_durable = True


def _give_up(journeys: Sequence[Journey], error: BaseException) -> None:
    """Record that nobody drives the runs any more: this process may live on, and nobody would notice."""
    reason = f"{type(error).__name__}: {error}".partition("\n")[0].encode("utf-8", "backslashreplace").decode()
    for journey in journeys:
        recorder = journey.course.recorder
        recorder.listener = None  # perhaps it raised
        if recorder.state.status == "running":
            recorder.record(RunInterrupted(reason=reason))
    with suppress(StoreError):  # likely what ended it; then this process is found gone
        journeys[0].course.recorder.flush()


def _publish(project: Project, assembled: Assembled, recorder: Recorder) -> tuple[Version, bool]:
    publication = assembled.graph.publication
    assert publication is not None
    recorder.flush(durable=True)
    outputs = {name: step.outputs for name, step in recorder.state.steps.items()}
    made = Made(
        artifact=artifact_of(publication.artifact, outputs),
        description=project.value(artifact_of(publication.description, outputs)),
        inputs=assembled.inputs,
        attachments={name: artifact_of(ref, outputs) for name, ref in publication.attachments.items()},
    )
    for ref in (made.artifact, *made.attachments.values()):
        if not project.holds(ref):
            raise BlobMissing(
                f"{publication.name} cannot be published: artifact {ref.short} is not in {project.store}.",
                why="It was removed, or damaged and set aside, while the run went on.",
                do=f"filiera resume {recorder.run_id}",
            )
    kind, name = publication.kind, publication.name
    return project.versions.publish(kind, name, run_id=recorder.run_id, at=project.clock(), made=made)


@contextmanager
def _stopping(driver: Driver, *, raises: bool) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop the driver between two events, so that no record is cut in half.

    The second one ends it at once. With *raises*, the first one also ends the step that runs in this process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        again = driver.stop_asked
        driver.stop_asked = True
        if again or (raises and driver.is_waiting):
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
