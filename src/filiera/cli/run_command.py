"""``filiera run``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from itertools import takewhile
from typing import Any, get_args

from filiera import errors
from filiera.cli.output import counted, how_long, print_json
from filiera.cli.parameters import parse_values, print_pipeline_help
from filiera.cli.progress import Progress
from filiera.core.pipeline import Pipeline
from filiera.core.runstate import StepStatus
from filiera.errors import Cancelled, Rejected, SourceError, StepFailed, StoreError, UsageError, Waiting
from filiera.project.launch import start_pipeline
from filiera.project.partitioned import with_partitions
from filiera.project.project import Project
from filiera.project.runs import Run, get_run

EXIT_CODES = {
    "succeeded": 0,
    "failed": StepFailed.exit_code,
    "rejected": Rejected.exit_code,
    "cancelled": Cancelled.exit_code,
    "waiting": Waiting.exit_code,
}
_WORST_FIRST = (130, 5, 6, 1, 3, 9, 0)
"""Exit codes: stopped, store, source, failed, rejected, waiting, done."""
MOST_PROBLEMS = 20
"""So many failures and questions are printed at most."""


def run(options: argparse.Namespace) -> int:
    """Run a pipeline, showing progress, and return how it ended as an exit code."""
    if options.pipeline is None:
        return no_pipeline(options)
    project = Project.open(profile=options.profile)
    more = list(takewhile(lambda word: not word.startswith("-"), options.rest))
    if more or any(sign in options.pipeline for sign in "*?["):
        if options.partition or options.backfill:
            raise UsageError("Partitions are those of one pipeline.", do="Run each by itself.")
        from filiera.cli.several_runs import run_several

        return run_several(project, [options.pipeline, *more], options)
    pipeline = project.pipeline(options.pipeline)
    if options.help:
        print_pipeline_help("run", pipeline)
        return 0
    values = values_of(project, pipeline, options)
    with Progress(project, quiet=options.json) as progress:
        done = start_pipeline(project, pipeline, values, fresh=frozenset(options.fresh), listener=progress)
    for name in options.fresh:
        if name not in done.state.steps:  # such as a call of a map, which has fewer
            print(f"--fresh {name}: the run had no such step", file=sys.stderr)
    return report(done, as_json=options.json)


def values_of(project: Project, pipeline: Pipeline, options: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters that the command line gives, with the partitions to make. Raises UsageError."""
    values = parse_values(pipeline, options.rest)
    asked = {"asked": options.partition, "backfill": options.backfill}
    return with_partitions(project.versions, pipeline, values, **asked)


def exit_code(done: Run) -> int:
    """Return the exit code that says how a run ended; a source or the store that failed keeps its own code."""
    if done.status == "failed":
        for step in done.state.steps.values():
            if step.status == "failed" and step.failure is not None:
                kind = getattr(errors, step.failure.error, None)
                if isinstance(kind, type) and issubclass(kind, SourceError | StoreError):
                    return kind.exit_code
    return EXIT_CODES[done.status]


def worst_exit_code(done: Iterable[Run]) -> int:
    """Return the exit code of the one of several runs that ended worst."""
    codes = set(map(exit_code, done))
    return next(code for code in _WORST_FIRST if code in codes)


def told(error: str, message: str, traceback: str) -> str:
    """Return a failure as people read it: our own errors say all themselves, others come with their traceback."""
    if isinstance(getattr(errors, error, None), type) or not traceback:
        return f"{error}: {message}"
    return traceback.rstrip()


def no_pipeline(options: argparse.Namespace) -> int:
    """Say what is missing, or how ``run`` and ``plan`` are used. Raises UsageError."""
    if options.help:
        options.parser.print_help()
        print(f"\nfiliera pipelines lists the pipelines; filiera {options.verb} PIPELINE --help shows its parameters.")
        return 0
    raise UsageError(f"filiera {options.verb} needs the name of a pipeline.", do="filiera pipelines")


def report(done: Run, *, as_json: bool) -> int:
    """Print how a run ended and return its exit code."""
    if as_json:
        print_json(as_data(done))
        return exit_code(done)
    print(f"{done.run_id} {done.status}: {how_many(done)}")
    if done.version is not None:
        new = "published" if done.is_new_version else "unchanged, still"
        aliases = f" ({', '.join(done.version.aliases)})" if done.version.aliases else ""
        print(f"{new} {done.version.kind} {done.version.ref}{aliases}  {done.version.artifact.short}")
    print_problems(done)
    verbs = {"failed": ("show", "log", "resume"), "cancelled": ("resume",), "rejected": ("show",)}
    if done.status in verbs:
        print(f"Do:  {'; '.join(f'filiera {verb} {done.run_id}' for verb in verbs[done.status])}")
    return exit_code(done)


def how_many(done: Run) -> str:
    """Return how many steps of a run ended how, in words."""
    return counted({status: done.state.count(status) for status in get_args(StepStatus)})


def print_problems(done: Run) -> None:
    """Print what failed in a run, was rejected, or is asked; of many, the first ones."""
    problems = [step for step in done.state.steps.values() if step.status in ("failed", "rejected")]
    for step in problems[:MOST_PROBLEMS]:
        if step.status == "rejected":
            print(f"\nstep {step.name} stops the run: {step.detail}")
        elif step.failure is not None:
            print(f"\nstep {step.name} failed ({step.failure.kind}) after {how_long(step.duration_s)}")
            print(told(step.failure.error, step.failure.message, step.failure.traceback))
    if len(problems) > MOST_PROBLEMS:
        print(f"\n… and {len(problems) - MOST_PROBLEMS:,} more: filiera show {done.run_id}")
    if done.state.count("waiting"):
        from filiera.cli.questions import print_question
        from filiera.project.approvals import questions

        asked = questions(done.project, get_run(done.project, done.run_id))
        for question in asked[:MOST_PROBLEMS]:
            print_question(done.project, question)
        if len(asked) > MOST_PROBLEMS:
            print(f"\n… and {len(asked) - MOST_PROBLEMS:,} more questions: filiera show {done.run_id}")


def as_data(done: Run) -> dict[str, Any]:
    """Return a run as JSON data."""
    return {
        "run": done.run_id,
        "pipeline": done.graph.pipeline,
        "status": done.status,
        "message": done.state.message,
        "published": done.version.ref if done.version else None,
        "is_new_version": done.is_new_version,
        "steps": [
            {
                "step": step.name,
                "stage": step.stage,
                "parent": step.parent,
                "status": step.status,
                "duration_s": step.duration_s,
                "outputs": [{"digest": o.digest, "codec": o.codec, "size_bytes": o.size_bytes} for o in step.outputs],
                "detail": step.detail,
                "error": step.failure.message if step.failure and step.status in ("failed", "caught") else None,
            }
            for step in done.state.steps.values()
        ],
    }
