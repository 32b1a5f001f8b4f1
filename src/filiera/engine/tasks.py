"""From a call to the task that an executor gets."""

from __future__ import annotations

from dataclasses import replace

from filiera.core import plain
from filiera.core.graph import Node, OutputRef, map_futures
from filiera.core.task import Following, Task
from filiera.engine.course import Course
from filiera.engine.planner import Call


def task_of(course: Course, call: Call, env: str) -> Task:
    """Return the first attempt at a call."""
    return replace(_task(call, task_id(course, call.node.name, 1), env, None), watched=course.watched(call.node.name))


def _task(call: Call, name: str, env: str, following: Following | None) -> Task:
    node = call.node
    step, options = node.step, node.step.options
    arguments = b",".join([_name(name) + value for name, value in call.arguments.items()])
    return Task(
        task_id=name,
        function=step.address,
        arguments=b"{" + arguments + b"}",
        modules=_modules_named(node),
        sources=call.code.sources,
        inputs=call.inputs,
        outputs=1 if options.dynamic else len(step.outputs),
        codecs=node.codecs,
        timeout_s=options.timeout_s,
        resources=options.resources,
        priority=options.priority,
        queue_timeout_s=options.queue_timeout_s,
        key=call.parts.key if following is None else "",
        env=env,
        code=call.code.digest,
        is_dynamic=options.dynamic,
        lazy=step.lazy,
        following=following,
    )


def task_ahead(course: Course, node: Node, before: Node, env: str, *, ids: tuple[str, str]) -> tuple[Task, Call]:
    """Return the task of a node whose only unknown inputs are what node *before* returns, and its unfinished call.

    Args:
        course: The run.
        node: What to do.
        before: What the worker does before.
        env: Digest of the environment.
        ids: Of the task before, and of this one.

    Raises:
        Skipped: Another of its inputs was skipped.
    """
    call, places = course.planner.call_ahead(node, before, course.outputs)
    following = Following(task_id=ids[0], inputs=places, parts=call.parts)
    return replace(_task(call, ids[1], env, following), watched=course.watched(node.name)), call


def task_id(course: Course, step: str, attempt: int) -> str:
    """Return what a task is called: unique among running ones."""
    return f"{course.recorder.run_id}/{step}#{attempt}"


_NAMELESS = frozenset({int, float, str, bool, bytes, type(None), OutputRef})
"""Types of arguments, by far the most frequent, in which no function or class can lie."""
_names: dict[str, bytes] = {}


def _name(name: str) -> bytes:
    written = _names.get(name)
    if written is None:
        written = _names[name] = plain.encode(name) + b":"
    return written


def _modules_named(node: Node) -> tuple[str, ...]:
    """Return the modules of the functions and classes that lie in a node's arguments."""
    found: dict[str, None] = {}
    for value in node.arguments.values():
        if type(value) not in _NAMELESS:
            for thing in plain.names_in(map_futures(value, lambda future: None)):
                found[thing.__module__] = None
    return tuple(found)
