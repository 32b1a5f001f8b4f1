"""Several pipelines of a project: which ones are meant, and which of them must wait for what others publish."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from filiera.core.pipeline import Pipeline
from filiera.core.products import Dataset, Model
from filiera.errors import ProjectError, UsageError, did_you_mean
from filiera.project.config import ProjectConfig
from filiera.project.index import import_module, pipelines


def load_several(config: ProjectConfig, wanted: Sequence[str]) -> list[Pipeline]:
    """Return the pipelines that names and patterns stand for, each once, in order; only their modules are imported.

    Raises:
        UsageError: There is no such pipeline, or none that fits a pattern.
        ProjectError: A file of the project does not parse, or a module cannot be imported.
    """
    known = pipelines(config)
    names: dict[str, None] = {}
    for text in wanted:
        fitting = [text] if text in known else [name for name in known if fnmatchcase(name, text)]
        if not fitting:
            raise UsageError(
                f"The project {config.name!r} has no pipeline {text!r}.",
                why=did_you_mean(text, known).strip(),
                do="filiera pipelines",
            )
        names.update(dict.fromkeys(fitting))
    return [_load(config, known[name].module, name) for name in names]


def upstream(wanted: Sequence[Pipeline]) -> dict[str, frozenset[str]]:
    """Return, by the name of each pipeline, which of the others publish what it reads the newest version of."""
    makers = {(p.publishes.kind, p.publishes.ref.name): p.name for p in wanted if p.publishes is not None}
    found = {}
    for pipeline in wanted:
        defaults = [parameter.default for parameter in pipeline.parameters]
        read = [(d.kind, d.ref.name) for d in defaults if isinstance(d, Dataset | Model) and d.ref.number is None]
        found[pipeline.name] = frozenset(makers[product] for product in read if product in makers) - {pipeline.name}
    return found


def in_order(wanted: Sequence[Pipeline]) -> list[list[Pipeline]]:
    """Return the pipelines in groups that can run together: whoever reads what another publishes is in a later one.

    What two pipelines read of each other is the version there was before.
    """
    needs, left, groups = upstream(wanted), {pipeline.name: pipeline for pipeline in wanted}, []
    while left:
        ready = [pipeline for name, pipeline in left.items() if not needs[name] & left.keys()]
        groups.append(ready or list(left.values()))
        for pipeline in groups[-1]:
            del left[pipeline.name]
    return groups


def _load(config: ProjectConfig, module: str, name: str) -> Pipeline:
    found = getattr(import_module(config, module), name, None)
    if not isinstance(found, Pipeline):
        raise ProjectError(f"{module}.{name} is not a pipeline.", why="The module replaced it by another value.")
    return found
