"""Driving a planned run to its end: until every step has ended, it is published and recorded, or given up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from filiera.core.events import Published, RunInterrupted
from filiera.engine.driver import Driver, conclusion
from filiera.engine.recorder import Recorder
from filiera.errors import StoreError
from filiera.project.assemble import Assembled, artifact_of
from filiera.project.project import Project
from filiera.project.versions import Made, Version


def drive(project: Project, assembled: Assembled, driver: Driver) -> tuple[Version, bool] | None:
    """Run the driver's graph, record how it ended, and return the version published and whether it is new, or None.

    Raises:
        StoreError: The records or blobs cannot be used; the run is interrupted.
        KeyboardInterrupt: Ctrl-C was pressed again while the run was being cancelled; the run is interrupted.
    """
    recorder = driver.recorder
    with _stopping(driver, raises=project.config.profile.executor == "inline"):
        try:
            recorder.flush()
            driver.run()
            return _conclude(project, assembled, recorder)
        except BaseException as error:
            _give_up(recorder, error)
            raise
        finally:
            driver.executor.close()


def _conclude(project: Project, assembled: Assembled, recorder: Recorder) -> tuple[Version, bool] | None:
    """Publish what a run that succeeded made, and record how it ended."""
    published = None
    outcome = conclusion(recorder)
    if outcome.outcome == "succeeded" and assembled.graph.publication is not None:
        version, is_new = published = _publish(project, assembled, recorder)
        recorder.record(Published(product=version.ref, is_new=is_new))
    recorder.record(outcome)
    recorder.flush(durable=True)
    return published


def _give_up(recorder: Recorder, error: BaseException) -> None:
    """Record that nobody drives the run any more: this process may live on, and nobody would notice."""
    recorder.listener = None  # perhaps it raised
    if recorder.state.status == "running":
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        recorder.record(RunInterrupted(reason=reason.encode("utf-8", "backslashreplace").decode()))
    with suppress(StoreError):  # likely what ended it; then this process is found gone
        recorder.flush()


def _publish(project: Project, assembled: Assembled, recorder: Recorder) -> tuple[Version, bool]:
    publication = assembled.graph.publication
    assert publication is not None
    recorder.flush()
    outputs = {name: step.outputs for name, step in recorder.state.steps.items()}
    made = Made(
        artifact=artifact_of(publication.artifact, outputs),
        description=project.value(artifact_of(publication.description, outputs)),
        inputs=assembled.inputs,
        attachments={name: artifact_of(ref, outputs) for name, ref in publication.attachments.items()},
    )
    return project.versions.publish(publication, run_id=recorder.run_id, at=project.clock(), made=made)


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
