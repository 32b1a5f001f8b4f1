from __future__ import annotations

from typing import Any, Literal

import pytest

from filiera import Dataset, Source, pipeline
from filiera.cli.parameters import parse_values, print_pipeline_help
from filiera.core.pipeline import Pipeline
from filiera.errors import GraphError, UsageError


@pipeline(kind="data")
def many(depth: int, share: float = 0.5, kind: Literal["a", "b"] = "a", raw: Any = Source("raw"), flag: bool = False):
    """Take many parameters: 100 % typed."""


@pipeline(kind="model")
def taken(json: str = "x"):
    """Have a parameter that is called like an option of the verb."""


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], {}),
        (["--depth", "3"], {"depth": 3}),
        (["--depth=3", "--share=1"], {"depth": 3, "share": 1.0}),
        (["--depth", "-3"], {"depth": -3}),
        (["--kind", "b", "--flag", "yes"], {"kind": "b", "flag": True}),
        (["--raw", "other"], {"raw": "other"}),
    ],
)
def test_options_become_values(words: list[str], values: dict[str, Any]) -> None:
    """Each option is read as the type of its parameter; a sign does not make an option of a number."""
    assert parse_values(many, words) == values


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dept", "3"], "Did you mean '--depth'?"),
        (["three"], "no option 'three'"),
        (["--depth"], "--depth needs a value: int"),
        (["--depth", "3", "--depth", "4"], "--depth is given twice"),
        (["--depth", "x"], "--depth takes int, not 'x'"),
        (["--kind", "c"], "--kind takes a|b, not 'c'"),
        (["--share="], "--share takes float, not ''"),
    ],
)
def test_wrong_options_are_told(words: list[str], said: str) -> None:
    """What is wrong and what would be right are both in the message."""
    with pytest.raises(UsageError) as error:
        parse_values(many, words)
    assert said in str(error.value)


def test_a_parameter_may_not_hide_behind_an_option() -> None:
    """A parameter called like an option of ``run`` could never be given, so it is refused."""
    for use in (lambda: parse_values(taken, []), lambda: print_pipeline_help("run", taken)):
        with pytest.raises(GraphError, match="parameter 'json'") as error:
            use()
        assert "an option --json" in str(error.value)


@pytest.mark.parametrize("shown", [many])
def test_help_shows_parameters_with_type_and_default(shown: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a pipeline is generated from its signature and docstring."""
    print_pipeline_help("run", shown)
    text = capsys.readouterr().out
    assert text.startswith("usage: filiera run many [PARAMETERS] [OPTIONS]\n\nTake many parameters: 100 % typed.\n")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in ("--depth int required", "--share float default: 0.5", "--kind a|b default: a"):
        assert line in lines
    assert "--raw SOURCE default: raw" in lines
    assert any(line.startswith("--fresh STEP") for line in lines)


def test_an_input_is_given_by_reference(capsys: pytest.CaptureFixture[str]) -> None:
    """A dataset is named with its version."""

    @pipeline(kind="model")
    def learn(rows: Any = Dataset("flows@3")):
        """Learn."""

    print_pipeline_help("plan", learn)
    assert "--rows NAME@VERSION default: flows@3" in " ".join(capsys.readouterr().out.split())
    assert parse_values(learn, ["--rows", "flows@2"]) == {"rows": "flows@2"}
