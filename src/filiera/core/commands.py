"""Steps that run a program, here or in a container: files and plain values go in, files or what it prints come out."""

from __future__ import annotations

import functools
import inspect
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Unpack

from filiera.core.call import CallShape
from filiera.core.options import Options, StepOptions
from filiera.core.step import Step, step
from filiera.core.value import dataclass

_FIELD = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)\}")
"""What is no name in braces, and what has a $ in front, is the shell's."""

_Input = Path | str | int | float | bool | list[Any]


@dataclass(frozen=True, slots=True)
class In:
    """Stands in a command for an input of the step: the path of a file or folder, or a value as text.

    A list makes an argument of each of its items.
    """

    name: str  #: the step's parameter

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name == "command":
            raise ValueError(f"an input's name is a word, and not 'command': {self.name!r}")


@dataclass(frozen=True, slots=True)
class Out:
    """Stands in a command for the path of a file or folder that it makes: an output of the step."""

    path: str  #: relative to the folder that the program runs in

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        if not parts or self.path.startswith(("/", "-")) or ".." in parts:
            raise ValueError(f"an output's path is relative, and leads to no other folder: {self.path!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What a step runs. It is an argument of the step, and so part of its cache key."""

    words: tuple[str | In | Out, ...] = ()  #: program and arguments
    script: str = ""  #: of a shell, instead of *words*; names in braces are inputs and outputs
    outputs: tuple[str, ...] = ()  #: files it makes; none: the output is what it prints
    environment: Mapping[str, str] = field(default_factory=dict)  #: further variables
    image: str = ""  #: of the container it runs in; "": here
    image_id: str = ""  #: of the image's content, where that is known; decides which one runs

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of the inputs, in the order in which they come first."""
        names = [word.name for word in self.words if isinstance(word, In)]
        names += [name for name in _FIELD.findall(self.script) if name not in self.outputs]
        return tuple(dict.fromkeys(names))

    def arguments(self, values: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the program and its arguments, where *values* holds the words that each input is.

        >>> Command(script="sort {rows} > {best}", outputs=("best",)).arguments({"rows": ["a b", "c"]})
        ['/bin/sh', '-euc', "sort 'a b' c > best"]
        """
        if self.script:
            texts = {
                **{path: path for path in self.outputs},
                **{name: shlex.join(words) for name, words in values.items()},
            }
            return ["/bin/sh", "-euc", _FIELD.sub(lambda found: texts[found[1]], self.script)]
        return [text for word in self.words for text in _texts(word, values)]


def _texts(word: str | In | Out, values: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if isinstance(word, In):
        yield from values[word.name]
    else:
        yield word.path if isinstance(word, Out) else word


class CommandStep(Step[..., Any]):
    """A step that runs a program. Its parameters are the inputs of the command."""

    def __init__(self, command: Command, options: StepOptions) -> None:
        super().__init__(run_command, options)
        self.command = command

    def with_options(self, **changes: Unpack[Options]) -> CommandStep:
        """Return this step with other options; see ``Step.with_options``."""
        return CommandStep(self.command, super().with_options(**changes).options)

    @functools.cached_property
    def shape(self) -> CallShape:
        """Return the inputs of the command as parameters."""
        return _CommandShape(self.command)

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """Return the types of the inputs."""
        return dict.fromkeys(self.command.inputs, _Input)

    @functools.cached_property
    def outputs(self) -> tuple[Any, ...]:
        """Return the type of each output: a path for each file, or else text."""
        return (Path,) * len(self.command.outputs) or (str,)

    def _run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        return run_command(**self.shape.bind(self.name, args, kwargs))

    def __repr__(self) -> str:
        return f"<step {self.name}: {self.command.script or self.command.words[0]}>"


class _CommandShape(CallShape):
    def __init__(self, command: Command) -> None:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        super().__init__(inspect.Signature([inspect.Parameter(name, kind) for name in command.inputs]))
        self._command = command

    def bind(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        return {"command": _pinned(self._command), **super().bind(name, args, kwargs)}


def _pinned(command: Command) -> Command:
    if not command.image or command.image_id:
        return command
    from filiera.core.programs import try_image_id

    return replace(command, image_id=try_image_id(command.image))


def command_step(
    name: str,
    words: Sequence[str | In | Out],
    /,
    *,
    image: str = "",
    environment: Mapping[str, str] | None = None,
    **options: Unpack[Options],
) -> Step[..., Any]:
    """Return a step that runs a program: without a shell, in an empty folder of its own.

    Its parameters are the inputs that *words* name. It returns the path of each file that they name as output, or, if
    there is none, what the program prints. What it prints otherwise goes to the step's log. It fails when the program
    ends with another exit code than 0.

    Args:
        name: Of the step.
        words: The program and its arguments, with ``In("wav")`` for an input and ``Out("result.wav")`` for an output.
        image: Of a container to run it in, by podman or docker, without a network; "": it runs here.
        environment: Further environment variables. They are recorded: not for secrets.
        options: Those of ``@step``.

    Raises:
        TypeError: A word is neither text nor an input or output, or there is no such option.
        ValueError: There is no program, or a name or path cannot be one.

    >>> count = command_step("count", ["wc", "-c", In("file")])
    >>> count
    <step count: wc>
    """
    for word in words:
        if not isinstance(word, str | In | Out):
            raise TypeError(f"a command has words, In and Out, not {word!r}")
    if not words or not isinstance(words[0], str):
        raise ValueError("a command begins with the name of a program")
    outputs = tuple(dict.fromkeys(word.path for word in words if isinstance(word, Out)))
    command = Command(words=tuple(words), outputs=outputs, environment=dict(environment or {}), image=image)
    return _made(name, command, options)


def shell_step(
    name: str,
    script: str,
    /,
    *,
    outputs: Sequence[str] = (),
    image: str = "",
    **options: Unpack[Options],
) -> Step[..., Any]:
    """Return a step that runs a shell script, ``sh -eu``; otherwise as ``command_step``.

    A name in braces is an input, and is replaced by its path or value, quoted. All other braces are the shell's:
    ``${HOME}``, ``{ print }``.

    Args:
        name: Of the step.
        script: Such as ``"sort {rows} | uniq > {result}"``.
        outputs: The files it makes, such as ``["result"]``; none: it returns what the script prints.
        image: Of a container to run it in; "": it runs here.
        options: Those of ``@step``.

    Raises:
        TypeError: There is no such option.
        ValueError: The script is empty, or a path leads out of the folder.

    >>> shell_step("shout", "echo {text} | tr a-z A-Z")("hello")
    $ echo hello | tr a-z A-Z
    'HELLO\\n'
    """
    if not script.strip():
        raise ValueError("a script has a command")
    command = Command(script=script, outputs=tuple(Out(path).path for path in outputs), image=image)
    return _made(name, command, options)


def _made(name: str, command: Command, options: Any) -> CommandStep:
    for parameter in command.inputs:
        In(parameter)
    options["name"] = name
    return CommandStep(command, step(run_command, **options).options)


def run_command(command: Command, **inputs: Any) -> Any:
    """Return what a command makes of its inputs: the path of each output, or what it prints.

    Raises:
        StepFailed: It ended with an exit code other than 0, made no such file, or there is no such program.
    """
    from filiera.core.programs import run

    return run(command, inputs)


def _step_of(arguments: Mapping[str, Any]) -> CommandStep:
    return CommandStep(arguments["command"], StepOptions())


run_command.__filiera_step__ = _step_of  # type: ignore[attr-defined]
