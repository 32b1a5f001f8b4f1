"""The generic workflow."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from filiera.core.check import CheckReport
from filiera.core.gate import GateReport
from filiera.core.metric import Metrics
from filiera.core.report import Html
from filiera.core.stages import STAGES, Kind, Stage, infer_stage


class DataFrame:
    """A table, known by the name of its class."""


def test_every_stage_has_its_place() -> None:
    """Each stage belongs to a kind of pipeline, and each kind has its stages in the order of the work."""
    assert set(STAGES) == set(get_args(Kind))
    assert {stage for stages in STAGES.values() for stage in stages} == set(get_args(Stage))
    assert all(len(set(stages)) == len(stages) for stages in STAGES.values())


@pytest.mark.parametrize(
    ("kind", "returned", "stage"),
    [
        ("data", DataFrame, "transform"),
        ("data", Html, "explore"),
        ("data", CheckReport, "validate"),
        ("data", None, "transform"),
        ("model", DataFrame, "transform"),
        ("model", tuple[DataFrame, DataFrame], "split"),
        ("model", tuple[DataFrame, int], "train"),
        ("model", tuple[DataFrame, ...], "train"),
        ("model", object, "train"),
        ("model", Metrics, "evaluate"),
        ("model", GateReport, "gate"),
        ("serving", int, "serve"),
        ("serving", Any, "serve"),
    ],
)
def test_stage_follows_from_kind_and_type(kind: Kind, returned: Any, stage: Stage) -> None:
    """A step that declares no stage gets one from the kind of its pipeline and what it returns."""
    assert infer_stage(kind, returned) == stage
