"""Filiera: one chain from sources to a watched service.

    sources → [data pipeline] → dataset version → [model pipeline] → model version → [serving pipeline] → service → monitoring

The front door: what a project's code needs. Everything else is found under the module that does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from filiera.core.check import Check
from filiera.core.gate import Gate
from filiera.core.metric import Metric, Metrics
from filiera.core.pipeline import Pipeline, pipeline
from filiera.core.products import Dataset, Model, Source
from filiera.core.report import Html, Markdown
from filiera.core.step import step
from filiera.core.task import Resources

__version__ = "0.1.0"

__all__ = [
    "Check",
    "Dataset",
    "Gate",
    "Html",
    "Markdown",
    "Metric",
    "Metrics",
    "Model",
    "Resources",
    "Source",
    "pipeline",
    "step",
]


def _launch(started: Pipeline, parameters: Mapping[str, Any]) -> Any:
    """Run a pipeline in the project its file lies in; see ``Pipeline.run``."""
    from filiera.project.launch import start_in_its_project

    return start_in_its_project(started, parameters)


Pipeline.launcher = staticmethod(_launch)
