from __future__ import annotations

import importlib

import pytest

from filiera.cli.verbs import build_parser


@pytest.mark.parametrize("verb", build_parser().verbs)
def test_each_verb_has_a_module_that_does_it(verb: str) -> None:
    """The module of a verb is called like it and has ``run``."""
    assert callable(importlib.import_module(f"filiera.cli.{verb}_command").run)


def test_verbs_are_those_of_the_reference() -> None:
    """What can be asked is this, in this order."""
    assert " ".join(build_parser().verbs) == (
        "init pipelines run plan runs show log metrics study explain resume approve cancel versions promote card "
        "compare importance contributions prove data experiment serve up services ship predictions queue deploy "
        "rollback deployments predict feedback client monitor contract keys sign verify audit demo gc export import "
        "doctor"
    )
