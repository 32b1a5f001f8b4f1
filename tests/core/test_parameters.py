"""Parameters: from a function's typed arguments to values, and from the words of a command line."""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NewType, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.parameters import Parameter, bind, parameters_of, parse, value_fits
from filiera.core.products import Dataset, Model, Source
from filiera.errors import GraphError, UsageError

Seed = NewType("Seed", int)


class Mode(enum.Enum):
    FAST = 1
    EXACT = 2


def parameter(hint: Any, **options: Any) -> Parameter:
    return Parameter(name="max_depth", type=hint, **options)


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (int, "12", 12),
        (int, "-1", -1),
        (float, "0.5", 0.5),
        (float, "1e-3", 0.001),
        (float, "inf", float("inf")),
        (str, "", ""),
        (str, "12", "12"),
        (bool, "True", True),
        (bool, "off", False),
        (Path, "a/b", Path("a/b")),
        (Decimal, "1.10", Decimal("1.10")),
        (dt.date, "2026-01-31", dt.date(2026, 1, 31)),
        (dt.datetime, "2026-01-31T10:00:00+01:00", dt.datetime.fromisoformat("2026-01-31T10:00:00+01:00")),
        (Mode, "FAST", Mode.FAST),
        (Literal["a", "b"], "b", "b"),
        (Literal[1, 2], "2", 2),
        (int | None, "none", None),
        (Optional[int], "3", 3),  # noqa: UP045  people write it
        (int | str, "3", 3),
        (str | int, "3", 3),
        (int | str, "x", "x"),
        (Mode | None, "EXACT", Mode.EXACT),
        (list[int], "1, 2,3", [1, 2, 3]),
        (list[int], "", []),
        (list, "a,b", ["a", "b"]),
        (set[str], "a,b,a", {"a", "b"}),
        (frozenset[int], "1", frozenset({1})),
        (tuple[int, ...], "1,2", (1, 2)),
        (tuple[int, str], "1,a", (1, "a")),
        (list[Mode], "FAST,EXACT", [Mode.FAST, Mode.EXACT]),
        (dict, '{"a": 1}', {"a": 1}),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Any, "[1, 2]", [1, 2]),
        (Any, "text", "text"),
        (Seed, "7", 7),
    ],
)
def test_text_becomes_a_value_of_the_type(hint: Any, text: str, value: Any) -> None:
    """Each type has one way to be written on the command line, and what is read fits the type."""
    found = parse(text, parameter(hint))
    assert found == value
    assert type(found) is type(value)
    assert value_fits(found, hint)


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "1.5"), (int, ""), (int, "x"), (float, "1,5"), (bool, "maybe"), (Mode, "fast"), (Literal["a"], "b"),
        (list[int], "1,x"), (tuple[int, str], "1"), (tuple[int, str], "1,a,b"), (dict, "{"), (dt.date, "31.1.2026"),
        (Decimal, "1,1"), (int | None, "x"), (Any, "[" * 100_000), (dict, "[" * 100_000), (complex, "1j"),
        (int, "9" * 5000),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_text_of_another_type_is_refused(hint: Any, text: str) -> None:
    """Text that is no value of the type is a usage error that names the option and the type."""
    with pytest.raises(UsageError, match="--max-depth takes "):
        parse(text, parameter(hint))


@given(
    st.text(),
    st.sampled_from([int, float, bool, Mode, list[int], dict[str, int], int | None, Any, dt.datetime, Decimal]),
)
def test_any_text_is_read_or_refused(text: str, hint: Any) -> None:
    """No text on the command line makes anything but a value or a usage error."""
    with contextlib.suppress(UsageError):
        parse(text, parameter(hint))


@pytest.mark.parametrize(
    ("value", "hint", "is_fit"),
    [
        (3, float, True), (True, int, False), (True, float, False), (True, bool, True), (1, bool, False),
        (3.0, int, False), (None, int | None, True), (None, int, False), ("a", Literal["a"], True),
        (1, Literal[True], False), ([1], list[int], True), (["a"], list[int], False), ({"a"}, set[str], True),
        ((1,), list[int], False), ([1, None], list[int | None], True), ([True], list[int], False),
        (Mode.FAST, Mode, True), ("FAST", Mode, False), ({"a": 1}, dict[str, int], True), (NotImplemented, Any, True),
        (Path("a"), Path, True), ("a", Path, False),
    ],
)  # fmt: skip
def test_value_fits_its_type(value: Any, hint: Any, is_fit: bool) -> None:
    """A value may be given where its type is wanted; a truth value is no number."""
    assert value_fits(value, hint) is is_fit


FLOWS = Dataset("flows@latest")


def train(rows: Any = FLOWS, *, depth: int, share: float = 0.5, mode: Mode = Mode.FAST) -> None:
    """Have an input, a required parameter and two optional ones."""


PARAMETERS = parameters_of(train, "train")


def test_parameters_are_the_arguments() -> None:
    """A pipeline's parameters are its function's arguments, in order, with types and defaults."""
    assert [(p.name, p.option, p.is_required, p.is_input) for p in PARAMETERS] == [
        ("rows", "--rows", False, True),
        ("depth", "--depth", True, False),
        ("share", "--share", False, False),
        ("mode", "--mode", False, False),
    ]
    assert [p.type_text for p in PARAMETERS] == ["NAME@VERSION", "int", "float", "FAST|EXACT"]
    assert parameter(Any, default=Source("raw")).type_text == "SOURCE"
    assert parameter(Literal["a", 1]).type_text == "a|1"


def test_binding_fills_in_defaults() -> None:
    """Every parameter gets the value given, else its default; whole numbers become floats where these are wanted."""
    bound = bind(PARAMETERS, {"depth": 3, "share": 1}, "train")
    assert bound == {"rows": PARAMETERS[0].default, "depth": 3, "share": 1.0, "mode": Mode.FAST}
    assert type(bound["share"]) is float


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, r"needs --depth \(int\)"),
        ({"depth": 3, "width": 4}, "has no parameter 'width'.\nWhy: It has: rows, depth, share, mode."),
        ({"depth": "3"}, "'depth' of pipeline 'train' takes int, not '3'"),
        ({"depth": True}, "takes int, not True"),
        ({"depth": 3, "mode": "FAST"}, r"takes FAST\|EXACT"),
        ({"depth": 3, "rows": 5}, ""),
        ({"depth": 3, "rows": "../x"}, "cannot name a product"),
        ({"depth": 3, "rows": "flows@0"}, "cannot name a version"),
    ],
)
def test_wrong_values_are_usage_errors(values: dict[str, Any], words: str) -> None:
    """An unknown, missing or mistyped parameter is named, with what there is."""
    if words:
        with pytest.raises(UsageError, match=words):
            bind(PARAMETERS, values, "train")


def test_values_are_plain() -> None:
    """A value that the run's record cannot keep is refused before anything is recorded."""
    with pytest.raises(UsageError, match="cannot be a object"):
        bind((parameter(Any),), {"max_depth": object()}, "train")


@pytest.mark.parametrize(
    ("default", "text", "expected"),
    [
        (Source("raw"), "other", Source("other")),
        (Dataset("flows"), "flows@3", "Dataset('flows@3')"),
        (Model("m", task="regression"), "m@champion", "Model('m@champion')"),
    ],
)
def test_inputs_are_named_by_text(default: Any, text: str, expected: Any) -> None:
    """Another source or version is asked for by its name; what kind of thing it is stays."""
    found = bind((parameter(Any, default=default),), {"max_depth": text}, "train")["max_depth"]
    assert (found if isinstance(expected, Source) else repr(found)) == expected
    assert parse(text, parameter(Any, default=default)) == text
    if isinstance(default, Model):
        assert found.task == "regression"


def test_open_arguments_are_refused() -> None:
    """A pipeline cannot take ``*args`` or ``**kwargs``: there would be no options to show."""

    def star(*args: int) -> None: ...

    def stars(**kwargs: int) -> None: ...

    for function in (star, stars):
        with pytest.raises(GraphError, match=r"Pipeline 'p' takes \*"):
            parameters_of(function, "p")


@pytest.mark.parametrize("name", ["json", "help", "fresh", "profile"])
def test_a_name_that_every_run_has_is_refused(name: str) -> None:
    """A parameter called like an option of `run` could never be given on the command line."""
    namespace: dict[str, Any] = {}
    exec(f"def taken({name}: str = 'x'): ...", namespace)
    with pytest.raises(GraphError, match=f"--{name}"):
        parameters_of(namespace["taken"], "taken")
