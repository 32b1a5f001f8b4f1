"""From a fitted model to what a model version must say about it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera.core.metric import Metrics
from filiera.core.plain import name_of
from filiera.core.reference import MAX_PROBABILITY, Reference
from filiera.core.signature import Field, FieldType, Output, Semantics, Signature, Task
from filiera.errors import UsageError
from filiera.model.answers import Label, label_series, matrix, number_array, plain_label
from filiera.model.card import ModelCard
from filiera.model.reference import categorical_reference, field_type, numeric_reference, reference_profile

Domain = tuple[float | None, float | None, tuple[Label, ...] | None]
"""Least value, greatest value and closed set of values that a dataset's checks promise for a column; None: no limit."""

_NO_LIMITS: Domain = (None, None, None)
_EDGE_ROWS = 5
_ORDINARY_ROWS = 3


def describe_model(
    model: Any,
    *,
    training: pl.DataFrame,
    metrics: Metrics,
    evaluated: pl.DataFrame | None = None,
    domains: Mapping[str, Domain] | None = None,
) -> ModelCard:
    """Return signature, metrics and reference profile of a fitted *model*; the task is that of *metrics*.

    The model is asked as a service will ask it: ``predict`` (and ``predict_proba`` if there is one) with a polars
    DataFrame of its inputs, in its order. Types come from *training*; a column takes nulls when *training* has some
    (or NaN), or the model says that it takes missing values; limits come from *domains*, because what was seen is not
    what was promised, and from a model that says which values it knows.

    Args:
        model: Fitted on a DataFrame, so that it has ``feature_names_in_``: scikit-learn's estimators and pipelines do,
            and models with transforms, which may say more: ``takes_missing(name)`` and ``known_values(name)``.
        training: The rows it was fitted on; columns that are not inputs are ignored.
        metrics: What its evaluation returned.
        evaluated: Rows it was *not* fitted on, for the profile of its answers; a model is surer of rows it has learnt
            than it will be in service. None: *training* serves, and a note says so.
        domains: Limits per column; names that are not inputs are ignored.

    Raises:
        UsageError: A model without input names, classes or predictions; inputs that *training* lacks; no rows.
    """
    inputs = _input_names(model)
    rows = training if evaluated is None else evaluated
    for frame, name in ((training, "training"), (rows, "evaluated")):
        _check_columns(frame, inputs, name)
    limits = dict(domains or {})
    fields = tuple(_field(training[name], limits.get(name, _NO_LIMITS), model) for name in inputs)
    features = rows.select(inputs)
    outputs, answers = _outputs(model, metrics.task, features)
    examples = _examples(training.select(inputs), fields)
    note = "The profile of the answers is on training rows, of which a model is surer than of others."
    return ModelCard(
        model=name_of(type(model.estimator if callable(getattr(model, "prepare", None)) else model)),
        signature=Signature(
            task=metrics.task,
            inputs=fields,
            outputs=outputs,
            examples=tuple({name: _sent(value) for name, value in row.items()} for row in examples.to_dicts()),
            answers=_answers(model, outputs, examples),
        ),
        metrics=metrics,
        reference=reference_profile(training, inputs=inputs, outputs=answers),
        notes=(note,) if evaluated is None else (),
    )


def without_values_of(sensitive: Collection[str], card: ModelCard, *, domains: Mapping[str, Domain]) -> ModelCard:
    """Return *card* with the inputs named in *sensitive* marked so: what was seen of their values is not in it.

    Limits that *domains* promise stay, since people wrote them down; services neither log nor echo such inputs.
    """
    fields = tuple(
        replace(field, sensitive=True, values=field.values if domains.get(field.name, _NO_LIMITS)[2] else None)
        if field.name in sensitive
        else field
        for field in card.signature.inputs
    )
    columns = tuple(column for column in card.reference.columns if column.name not in sensitive)
    return replace(
        card,
        signature=replace(card.signature, inputs=fields),
        reference=replace(card.reference, columns=columns),
    )


def _input_names(model: Any) -> list[str]:
    names = getattr(model, "feature_names_in_", None)
    if names is None or not callable(getattr(model, "predict", None)):
        lacks = "predict" if names is not None else "feature_names_in_"
        raise UsageError(
            f"A model of class {name_of(type(model))} cannot be published: it has no {lacks}.",
            why="A service must know the names of the columns the model takes, and be able to ask it.",
            do="Return an estimator or Pipeline fitted on a DataFrame, not on an array, or give your own class both.",
        )
    return [str(name) for name in names]


def _check_columns(frame: pl.DataFrame, inputs: Sequence[str], name: str) -> None:
    missing = [column for column in inputs if column not in frame.columns]
    if missing:
        raise UsageError(
            f"The {name} rows lack columns that the model takes: {', '.join(missing)}.",
            why=f"They have: {', '.join(frame.columns)}.",
            do="Do inside the model (a scikit-learn Pipeline) what makes these columns, or in the dataset's pipeline.",
        )
    if frame.is_empty():
        raise UsageError(f"There are no {name} rows to describe the model by.")


def _field(column: pl.Series, domain: Domain, model: Any) -> Field:
    kind = field_type(column)
    has_missing = column.null_count() > 0 or (column.dtype.is_float() and bool(column.is_nan().any()))
    minimum, maximum, values = domain
    takes_missing, known_values = (getattr(model, name, None) for name in ("takes_missing", "known_values"))
    if callable(takes_missing):
        has_missing = has_missing or bool(takes_missing(column.name))
    known = known_values(column.name) if callable(known_values) else None
    if known is not None:
        values = known if values is None else tuple(value for value in values if value in known)
    return Field(
        name=column.name,
        type=kind,
        nullable=has_missing,
        minimum=minimum,
        maximum=maximum,
        values=None if values is None else tuple(plain_label(value) for value in values),
    )


def _outputs(model: Any, task: Task, features: pl.DataFrame) -> tuple[tuple[Output, ...], list[Reference]]:
    """Return what the model gives, and the profile of its answers to *features*."""
    answers = model.predict(features)
    if len(answers) != features.height:
        raise UsageError(f"The model gave {len(answers):,} answers to {features.height:,} rows; one per row is needed.")
    if task in ("regression", "forecasting", "ranking"):
        semantics: Semantics = "score" if task == "ranking" else "value"
        column = pl.Series(semantics, number_array(answers, "the model's answers"))
        return (Output(name=semantics, type="float64", semantics=semantics),), [numeric_reference(column)]
    column = label_series(answers, "the model's answers")
    if task == "clustering":
        output = Output(name="cluster", type=field_type(column), semantics="cluster")
        return (output,), [categorical_reference(column.alias("cluster"))]
    if task == "anomaly_detection":
        flags: tuple[Label, ...] = (-1, 1) if column.dtype == pl.Int64 and (column == -1).any() else (0, 1)
        labels = (False, True) if column.dtype == pl.Boolean else flags
        output = Output(name="label", type=field_type(column), semantics="label", labels=labels)
        return (output,), [categorical_reference(column.alias("label"))]
    return _class_outputs(model, features, column.alias("label"))


def _class_outputs(
    model: Any, features: pl.DataFrame, answers: pl.Series
) -> tuple[tuple[Output, ...], list[Reference]]:
    classes = getattr(model, "classes_", None)
    if classes is None:
        raise UsageError(
            f"A classifier of class {name_of(type(model))} cannot be published: it has no classes_.",
            why="Its answers and probabilities must have names, in an order that stays.",
            do="Return a fitted scikit-learn classifier, or an object of your own with classes_.",
        )
    labels = tuple(plain_label(label) for label in classes)
    kind: FieldType = field_type(pl.Series(labels))
    label = Output(name="label", type=kind, semantics="label", labels=labels)
    references: list[Reference] = [categorical_reference(answers)]
    if not callable(getattr(model, "predict_proba", None)):
        return (label,), references
    table = matrix(model.predict_proba(features), "the model's probabilities")
    if table.shape != (features.height, len(labels)):
        raise UsageError(f"The model's probabilities have shape {table.shape}, not {(features.height, len(labels))}.")
    references.append(numeric_reference(pl.Series(MAX_PROBABILITY, table.max(axis=1))))
    return (label, Output(name="probability", type="float64", semantics="probability", labels=labels)), references


def _examples(features: pl.DataFrame, fields: Sequence[Field]) -> pl.DataFrame:
    """Return up to 8 rows that the signature takes: rows with extremes, and ordinary ones."""
    allowed = features.filter(pl.all_horizontal([_is_in_domain(field) for field in fields]))
    if allowed.is_empty():
        return allowed
    last = allowed.height - 1
    ordinary = [last * i // (_ORDINARY_ROWS - 1) for i in range(_ORDINARY_ROWS)]
    chosen = dict.fromkeys([*ordinary, *_edge_rows(allowed), *range(min(_EDGE_ROWS, last + 1))])
    return allowed[sorted(list(chosen)[: _EDGE_ROWS + _ORDINARY_ROWS])]


def _answers(model: Any, outputs: Sequence[Output], rows: pl.DataFrame) -> tuple[dict[str, Any], ...]:
    """Return what the model gives to each of *rows*, by the name of the output."""
    if rows.is_empty():
        return ()
    columns: dict[str, list[Any]] = {}
    for output in outputs:
        if output.semantics == "probability":
            table = matrix(model.predict_proba(rows), "the model's probabilities")
            columns[output.name] = [tuple(row) for row in table.tolist()]
        elif output.semantics in ("value", "score"):
            columns[output.name] = number_array(model.predict(rows), "the model's answers").tolist()
        else:
            columns[output.name] = label_series(model.predict(rows), "the model's answers").to_list()
    return tuple(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _is_in_domain(field: Field) -> pl.Expr:
    column, checks = pl.col(field.name), [pl.lit(True)]
    is_float = field.type.startswith("float")
    if is_float:
        checks.append(column.is_nan() | column.is_finite())
    if is_float or "int" in field.type:
        low = -math.inf if field.minimum is None else field.minimum
        high = math.inf if field.maximum is None else field.maximum
        is_missing = column.is_nan() if is_float else pl.lit(False)
        checks.append(is_missing | column.is_between(low, high))
    if field.values is not None:
        checks.append(column.is_in(list(field.values)))
    return pl.all_horizontal(checks).fill_null(True)


def _edge_rows(features: pl.DataFrame) -> list[int]:
    """Return rows that together show as many columns at their least or greatest value as five rows can."""
    columns = [name for name, kind in features.schema.items() if kind.is_numeric() or kind.is_temporal()]
    ends = [end for name in columns for end in (pl.col(name) == pl.col(name).min(), pl.col(name) == pl.col(name).max())]
    if not ends:
        return []
    named = [end.fill_null(False).alias(str(i)) for i, end in enumerate(ends)]
    at_end: NDArray[np.bool_] = features.select(named).to_numpy().astype(np.bool_)
    rows: list[int] = []
    for _ in range(_EDGE_ROWS):
        rows.append(int(at_end.sum(axis=1).argmax()))
        at_end[:, at_end[rows[-1]]] = False
    return rows


def _sent(value: Any) -> Any:
    """Return a value as a request carries it: dates in ISO 8601, times with an offset (UTC if none), NaN as null."""
    if isinstance(value, dt.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    return None if isinstance(value, float) and math.isnan(value) else value
