"""A pipeline's typed parameters as options of ``run`` and ``plan``."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from filiera.cli.verbs import HelpAsWritten, running_options
from filiera.core.parameters import Parameter, parse
from filiera.core.pipeline import Pipeline
from filiera.errors import UsageError, did_you_mean


def parse_values(pipeline: Pipeline, words: list[str]) -> dict[str, Any]:
    """Return the parameter values that the words after the pipeline's name give.

    Raises:
        UsageError: An unknown option, one without value, one given twice, or a value of another type.
    """
    by_option = {parameter.option: parameter for parameter in pipeline.parameters}
    values: dict[str, Any] = {}
    rest = list(words)
    while rest:
        option, equals, text = rest.pop(0).partition("=")
        parameter = by_option.get(option)
        if parameter is None:
            raise UsageError(
                f"Pipeline {pipeline.name!r} has no option {option!r}.",
                why=f"It has: {', '.join(by_option) or 'none'}.{did_you_mean(option, by_option)}",
                do=f"filiera run {pipeline.name} --help",
            )
        if parameter.name in values:
            raise UsageError(f"{option} is given twice.")
        if not equals:
            if not rest:
                raise UsageError(f"{option} needs a value: {parameter.type_text}.")
            text = rest.pop(0)
        values[parameter.name] = parse(text, parameter)
    return values


def print_pipeline_help(verb: str, pipeline: Pipeline) -> None:
    """Print what the pipeline does, its parameters as options, and the options of the verb."""
    parser = argparse.ArgumentParser(
        prog=f"filiera {verb} {pipeline.name}",
        description=inspect.getdoc(pipeline.function),
        usage=f"filiera {verb} {pipeline.name} [PARAMETERS] [OPTIONS]",
        add_help=False,
        parents=[running_options()],
        formatter_class=HelpAsWritten,
    )
    group = parser.add_argument_group("parameters")
    for parameter in pipeline.parameters:
        group.add_argument(parameter.option, metavar=parameter.type_text, help=_default(parameter).replace("%", "%%"))
    parser.print_help()


def _default(parameter: Parameter) -> str:
    if parameter.is_required:
        return "required"
    if parameter.is_input:
        return f"default: {getattr(parameter.default, 'name', '') or parameter.default.ref}"
    return f"default: {parameter.default}"
