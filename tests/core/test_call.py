"""What a call's arguments are by name."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.call import CallShape
from filiera.errors import GraphError

FUNCTIONS: list[Any] = [
    lambda: None,
    lambda a: None,
    lambda a, b: None,
    lambda a, b=2: None,
    lambda a=1, b=2: None,
    lambda a, *, b: None,
    lambda a, *, b=2: None,
    lambda *, a, b=2: None,
    lambda a, **rest: None,
]


@given(
    st.sampled_from(FUNCTIONS),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=3),
)
def test_a_call_is_bound_as_python_binds_it(function: Any, args: list[int], kwargs: dict[str, int]) -> None:
    """Arguments, defaults and their order are those that ``inspect`` finds, and what it refuses is refused."""
    signature = inspect.signature(function)
    shape = CallShape(signature)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        with pytest.raises(GraphError) as caught:
            shape.bind("f", tuple(args), kwargs)
        assert str(error) in caught.value.what
        return
    bound.apply_defaults()
    expected = {**bound.arguments, **bound.arguments.get("rest", {})}
    expected.pop("rest", None)
    found = shape.bind("f", tuple(args), kwargs)
    assert list(found.items()) == list(expected.items())


@pytest.mark.parametrize(
    ("function", "words"),
    [(lambda *items: None, r"takes \*items"), (lambda a, /: None, "takes a by position only")],
    ids=["star", "position"],
)
def test_what_a_worker_could_not_call_is_refused(function: Any, words: str) -> None:
    """Workers give every argument by its name, so each must have one."""
    with pytest.raises(GraphError, match=words):
        CallShape(inspect.signature(function)).bind("f", (1,), {})
