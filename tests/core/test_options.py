"""Options of steps."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from filiera.core.options import Cache, Nothing, Options, StepOptions


def test_keywords_are_the_fields() -> None:
    """What ``@step`` takes are the options, under the same names."""
    assert list(Options.__annotations__) == [field.name for field in fields(StepOptions)]


def test_the_usual_options() -> None:
    """Without options a step is cached, never retried, and its failure is not caught."""
    usual = StepOptions()
    assert (usual.is_cached, usual.retries, usual.catches) == (True, 0, False)
    assert StepOptions(cache=Cache(max_age_s=60)).is_cached
    assert not StepOptions(cache=False).is_cached
    assert StepOptions(catch=None).catches
    assert usual.catch is Nothing


@pytest.mark.parametrize(
    "options",
    [
        {"queue_timeout_s": 0},
        {"min_success": 1.1},
        {"min_success": -0.1},
        {"concurrency": 0},
        {"dynamic": True, "env": "requirements.txt"},
        {"name": ".hidden"},
    ],
    ids=str,
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    """An option out of range, or one that excludes another, is an error where it is written."""
    with pytest.raises(ValueError, match=rf"{next(iter(options))}|step's name"):
        StepOptions(**options)


def test_a_key_of_ones_own_sees_all() -> None:
    """A cache's age is above 0, and what a key of one's own leaves out is said there."""
    with pytest.raises(ValueError, match="max_age_s must be above 0"):
        Cache(max_age_s=0)
    with pytest.raises(ValueError, match="leave out there what ignore names"):
        Cache(key=str, ignore=("verbose",))
