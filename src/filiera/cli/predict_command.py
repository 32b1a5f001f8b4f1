"""``filiera predict``."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filiera.cli.places import find_model
from filiera.core.collected import Collected
from filiera.core.graphs import ServingGraph
from filiera.core.products import ProductRef
from filiera.core.signature import Signature
from filiera.errors import FilieraError, SourceError, UsageError, did_you_mean
from filiera.project import plugins
from filiera.project.project import Project
from filiera.project.serving.offers import find_offered
from filiera.project.serving.token import token_given
from filiera.project.tables import FILE_TYPES, file_type
from filiera.project.versions import Version

if TYPE_CHECKING:
    from filiera.serving.served_model import ServedModel

T = TypeVar("T")


def run(options: argparse.Namespace) -> int:
    """Print one prediction per row as JSON lines, or write them to a file; the code is that of a service."""
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit takes 1 or more, not {options.limit}.")
    if options.to is not None:
        return _write(options, Path(options.to))
    answered = 0
    try:
        for answer in _ask_service(options) if options.url is not None else _ask_model(options):
            sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
            answered += 1
    except FilieraError as error:
        if answered:
            _place(error, answered, options, "; those before it are answered")
        raise
    return 0


def _write(options: argparse.Namespace, file: Path) -> int:
    from filiera.serving.table_mode import ENDINGS, predict_table, write_answers

    if file.suffix not in ENDINGS:
        raise UsageError(f"{file} has no ending that can be written.", why=f"Known are: {', '.join(ENDINGS)}.")
    if options.url is not None or options.file == "-":
        raise UsageError("--to is for rows of a file, predicted in this process.", do="leave out --url, name a file")
    served = _served(options)
    answered = 0

    def counted() -> Iterator[Any]:
        nonlocal answered
        for each in predict_table(served, _table(options)):
            yield each
            answered += len(each.ids)

    try:
        rows = write_answers(_explained(counted(), served.contract.signature), file)
    except FilieraError as error:
        _place(error, answered, options, f"; {file} is not written")
        raise
    print(f"predicted {rows:,} rows with {served.contract.name}@{served.contract.version}, to {file}")
    return 0


def _place(error: FilieraError, answered: int, options: argparse.Namespace, then: str) -> None:
    """Add to what an error says where its portion of the file begins."""
    if error.why and "instances[" in error.why:
        error.why += f" There, instances[0] is row {answered + 1:,} of {options.file}{then}."


def _ask_model(options: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    from filiera.serving.table_mode import predict_table

    served = _served(options)
    signature = served.contract.signature
    if options.file == "-":
        return _explained(served.predict_rows(_rows(options, _names(signature))), signature)
    predictions = predict_table(served, _table(options))
    return _explained((answer for each in predictions for answer in each.answers()), signature)


def _served(options: argparse.Namespace) -> ServedModel:
    """Return the model or graph as a service would have it."""
    from filiera.project.serving.graphs import predictor_of, versions_of
    from filiera.project.serving.runtimes import model_to_serve
    from filiera.serving.served_model import ServedModel

    project = Project.open(profile=options.profile)
    found = find_offered(project, options.model)
    if isinstance(found, ServingGraph):
        predictor, signature = predictor_of(project, found, versions_of(project, found))
        return ServedModel(found.name, predictor, version=0, signature=signature)
    if not isinstance(found, Version):
        raise UsageError(
            f"{options.model} is a function, which does not predict rows.", do=f"filiera serve {options.model}"
        )
    model, signature = model_to_serve(project, found)
    return ServedModel(found.name, model, version=found.number, signature=signature)


def _explained(answers: Iterator[T], signature: Signature) -> Iterator[T]:
    """Yield answers; say what a model raised, which a service does not tell, unless it may quote sensitive values."""
    from filiera.serving.predictor import PredictionFailed

    try:
        yield from answers
    except PredictionFailed as error:
        if error.__cause__ is not None:
            error.do = "Let the dataset's checks promise what the model takes, such as Check.in_set; else is refused."
            if not any(field.sensitive for field in signature.inputs):
                error.why = f"It raised {type(error.__cause__).__name__}: {error.__cause__}"
        raise


def _ask_service(options: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    """Return the service's answers; a project is needed only to know which version is meant."""
    from filiera.serving.client import ServiceClient

    client = ServiceClient(options.url, token=token_given())
    name, served = ProductRef.parse(options.model).name, client.models()
    if name not in served:
        why = f"It serves: {', '.join(served)}.{did_you_mean(name, served)}"
        raise UsageError(f"{client.url} serves no model {name!r}.", why=why)
    described = client.describe(name)
    if "@" in options.model:
        wanted = find_model(Project.open(profile=options.profile), options.model)
        if wanted.number != described["version"]:
            raise UsageError(
                f"{client.url} serves {name}@{described['version']}, not {wanted.ref}.",
                do=f"filiera serve {wanted.ref}, or ask for {name} without a version.",
            )
    inputs = [field["name"] for field in described["signature"]["inputs"]]
    return client.predict(_rows(options, inputs), model=name)


def _names(signature: Signature) -> list[str]:
    return [field.name for field in signature.inputs]


def _rows(options: argparse.Namespace, inputs: list[str]) -> Iterable[Mapping[str, Any]]:
    """Return the rows of the file with the model's inputs only; other columns, such as the label, are left out."""
    if options.file == "-":
        rows: Iterable[Mapping[str, Any]] = _lines()
    else:
        rows = _table(options).collect().iter_rows(named=True)
    known = set(inputs)
    picked = ({name: value for name, value in row.items() if name in known} for row in rows)
    return itertools.islice(picked, options.limit)


def _table(options: argparse.Namespace) -> Any:
    """Return the table of the file, not read yet, as far as is asked for."""
    path = Path(options.file).absolute()
    if not path.exists():
        raise SourceError(f"There is no file {options.file}.", do=f"Name one that is there, from {Path.cwd()}.")
    kind = file_type(path.name)
    if not kind:
        raise UsageError(
            f"{options.file} has no ending that says what it is.", why=f"Known are: {', '.join(FILE_TYPES)}."
        )
    entry = {"type": kind, "path": str(path)}
    reader = plugins.source_reader(kind)
    reader.check(entry)
    table = reader.read(entry, path.parent, Collected(entry=entry)).lazy()
    return table if options.limit is None else table.head(options.limit)


def _lines() -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(sys.stdin, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise SourceError(f"Line {number} of standard input is not JSON: {error.msg}.") from error
        if not isinstance(row, dict):
            raise SourceError(f"Line {number} of standard input is no JSON object.")
        yield row
