"""Datasets in partitions: which ones a run makes, of those that the newest version has and those that are asked for.

A partition is a value of the pipeline's list that ``Dataset(partitions=…)`` names, over which it maps its steps. So
each partition has its own places in the cache, a run computes those that are new or changed, and what a version has
follows from the run's parameters alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from filiera.core.parameters import Parameter, parse
from filiera.core.partitions import all_partitions, partitions_between
from filiera.core.pipeline import Pipeline
from filiera.core.products import Dataset
from filiera.errors import GraphError, UsageError
from filiera.project.versions import Versions


def partition_parameter(pipeline: Pipeline) -> Parameter | None:
    """Return the list of a pipeline's partitions; None when what it publishes has none.

    Raises:
        GraphError: The pipeline has no such parameter, or it is no list.
    """
    dataset = pipeline.publishes
    if not isinstance(dataset, Dataset) or not dataset.partitions:
        return None
    for parameter in pipeline.parameters:
        if parameter.name == dataset.partitions and get_origin(parameter.type) is list:
            return parameter
    raise GraphError(
        f"Pipeline {pipeline.name!r} does not take {dataset.partitions!r} as a list.",
        why=f"{dataset!r} names it as the list of its partitions.",
        do=f"Give the function a parameter: {dataset.partitions}: list[str]",
    )


def with_partitions(
    versions: Versions, pipeline: Pipeline, values: Mapping[str, Any], *, asked: str = "", backfill: str = ""
) -> dict[str, Any]:
    """Return the parameters of a run that makes what is asked for and what the newest version has already.

    Args:
        versions: Where the newest version is looked up.
        pipeline: The one to run.
        values: Its parameters; a list of partitions among them is taken as it is.
        asked: Partitions to make, as text with commas between them.
        backfill: ``FIRST..LAST``: these and all between.

    Raises:
        UsageError: What it publishes has no partitions, or a text names none.
    """
    parameter = partition_parameter(pipeline)
    if parameter is None:
        if asked or backfill:
            raise UsageError(
                f"Pipeline {pipeline.name!r} makes no partitions.",
                do='Declare the list that it maps over: Dataset("…", partitions="days").',
            )
        return dict(values)
    if parameter.name in values:
        if asked or backfill:
            raise UsageError(f"{parameter.option} names all partitions; --partition and --backfill add to them.")
        return dict(values)
    wanted = [*_parsed(asked, parameter), *_range(backfill, parameter)]
    known = _known(versions, pipeline, parameter)
    if not known and not wanted:
        return dict(values)
    return {**values, parameter.name: all_partitions(known, wanted)}


def _parsed(text: str, parameter: Parameter) -> list[Any]:
    return list(parse(text, parameter)) if text else []


def _range(text: str, parameter: Parameter) -> list[Any]:
    if not text:
        return []
    first, dots, last = text.partition("..")
    if not (first and dots and last):
        raise UsageError(f"--backfill takes FIRST..LAST, such as 2026-01-01..2026-01-31, not {text!r}.")
    return partitions_between(parse(first, _item(parameter)), parse(last, _item(parameter)))


def _known(versions: Versions, pipeline: Pipeline, parameter: Parameter) -> list[Any]:
    assert isinstance(pipeline.publishes, Dataset)
    newest = versions.newest("dataset", pipeline.publishes.ref.name)
    texts = newest.description.get("partitions", ()) if newest else ()
    return [parse(text, _item(parameter)) for text in texts]


def _item(parameter: Parameter) -> Parameter:
    return Parameter(name=parameter.name, type=(get_args(parameter.type) or (str,))[0])
