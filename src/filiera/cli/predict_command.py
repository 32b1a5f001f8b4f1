"""``filiera predict``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.cli.given_rows import given_rows
from filiera.cli.places import find_model
from filiera.cli.ticker import Ticker
from filiera.core.graphs import ServingGraph
from filiera.core.products import ProductRef
from filiera.errors import FilieraError, UsageError, did_you_mean
from filiera.project.project import Project
from filiera.project.serving.offers import find_offered
from filiera.project.serving.token import token_given
from filiera.project.versions import Version

if TYPE_CHECKING:
    from filiera.serving.model_there import ModelThere
    from filiera.serving.served_model import Predictions
    from filiera.serving.table_mode import AnswersPortions, ModelHere

_PATIENCE_S = 120.0
"""So long a portion waits for a service that is busy or starting."""


def run(options: argparse.Namespace) -> int:
    """Print one prediction per row as JSON lines, or write them to a file; the code is that of a service."""
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit takes 1 or more, not {options.limit}.")
    to = None if options.to is None else _checked(Path(options.to))
    model = _here(options) if options.url is None else _there(options)
    with ExitStack() as held:
        answers = _Counted(_answers(model, options, held), shows=to is not None)
        try:
            if to is None:
                for each in answers:
                    sys.stdout.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in each.answers())
            else:
                _write(answers, to, model)
        except FilieraError as error:
            _place(error, answers.rows, options, to)
            raise
    return 0


def _checked(to: Path) -> Path:
    """Return the file, to which answers can be written as far as its name and folder go. Raises FilieraError."""
    from filiera.serving.table_mode import require_writable

    require_writable(to)
    return to


def _write(answers: _Counted, to: Path, model: AnswersPortions) -> None:
    from filiera.serving.table_mode import write_answers

    rows = write_answers(answers, to)
    print(f"predicted {rows:,} rows with {model.shown}, to {to}")


class _Counted:
    """Passes answers on; counts their rows, and shows how many when that takes long."""

    def __init__(self, answers: Iterator[Predictions], *, shows: bool) -> None:
        self.rows = 0
        self._answers = answers
        self._tick = Ticker() if shows else None

    def __iter__(self) -> Iterator[Predictions]:
        for each in self._answers:
            yield each
            self.rows += len(each.ids)
            if self._tick is not None:
                self._tick(f"{self.rows:,} rows predicted")


def _place(error: FilieraError, answered: int, options: argparse.Namespace, to: Path | None) -> None:
    """Add to what an error says where its portion of the rows begins, and what there is of the answers."""
    told = []
    if answered and error.why and "instances[" in error.why:
        source = "standard input" if options.file == "-" else options.file
        told.append(f"There, instances[0] is row {answered + 1:,} of {source}.")
    if to is not None:
        told.append(f"{to} is not written.")
    elif answered:
        told.append(f"The {answered:,} rows before are answered.")
    error.why = " ".join(filter(None, (error.why, *told)))


def _answers(model: AnswersPortions, options: argparse.Namespace, held: ExitStack) -> Iterator[Predictions]:
    from filiera.serving.table_mode import predict_rows, predict_table

    given = given_rows(options.file, options.format, options.limit, held)
    return predict_rows(model, given) if isinstance(given, Iterator) else predict_table(model, given)


def _here(options: argparse.Namespace) -> ModelHere:
    """Return the model or graph as a service would have it."""
    from filiera.project.serving.graphs import predictor_of, versions_of
    from filiera.project.serving.runtimes import model_to_serve
    from filiera.serving.served_model import ServedModel
    from filiera.serving.table_mode import ModelHere

    project = Project.open(profile=options.profile)
    found = find_offered(project, options.model)
    if isinstance(found, ServingGraph):
        predictor, signature = predictor_of(project, found, versions_of(project, found))
        return ModelHere(ServedModel(found.name, predictor, version=0, signature=signature))
    if not isinstance(found, Version):
        raise UsageError(
            f"{options.model} is a function, which does not predict rows.", do=f"filiera serve {options.model}"
        )
    model, signature = model_to_serve(project, found)
    return ModelHere(ServedModel(found.name, model, version=found.number, signature=signature))


def _there(options: argparse.Namespace) -> ModelThere:
    """Return the service's model; a project is needed only to know which version is meant."""
    from filiera.serving.client import ServiceClient
    from filiera.serving.model_there import ModelThere

    client = ServiceClient(options.url, token=token_given(), patience_s=_PATIENCE_S)
    name, served = ProductRef.parse(options.model).name, client.models()
    if name not in served:
        why = f"It serves: {', '.join(served)}.{did_you_mean(name, served)}"
        raise UsageError(f"{client.url} serves no model {name!r}.", why=why)
    if "@" not in options.model:
        return ModelThere(client, name)
    wanted = find_model(Project.open(profile=options.profile), options.model)
    there = client.describe(name)["version"]
    if wanted.number != there:
        raise UsageError(
            f"{client.url} serves {name}@{there}, not {wanted.ref}.",
            do=f"filiera serve {wanted.ref}, or ask for {name} without a version.",
        )
    return ModelThere(client, name, version=there)
