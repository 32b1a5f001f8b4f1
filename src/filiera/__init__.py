"""Filiera: one chain from sources to a watched service.

    sources → [data pipeline] → dataset → [model pipeline] → model → [serving pipeline] → service → monitoring

The front door: what a project's code needs. Everything else is found under the module that does it. A name is loaded
when it is first used, so that the command starts without what it does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filiera.core import checkpoint, graphs
    from filiera.core.approval import approve
    from filiera.core.check import Check
    from filiera.core.commands import In, Out, command_step, shell_step
    from filiera.core.contract import Contract
    from filiera.core.evaluation import Evaluation
    from filiera.core.files import Files
    from filiera.core.gate import Gate
    from filiera.core.logged import log_metric
    from filiera.core.metric import Metric, Metrics
    from filiera.core.options import Cache
    from filiera.core.pipeline import pipeline
    from filiera.core.products import Dataset, Model, Source
    from filiera.core.report import Html, Markdown
    from filiera.core.service import Refused, Sensitive, service
    from filiera.core.shapes import loop, when
    from filiera.core.signature import Conversion
    from filiera.core.step import step
    from filiera.core.task import Resources
    from filiera.core.wiring import pipeline_of

__version__ = "0.1.0"

__all__ = [
    "Cache",
    "Check",
    "Contract",
    "Conversion",
    "Dataset",
    "Evaluation",
    "Files",
    "Gate",
    "Html",
    "In",
    "Markdown",
    "Metric",
    "Metrics",
    "Model",
    "Out",
    "Refused",
    "Resources",
    "Sensitive",
    "Source",
    "approve",
    "checkpoint",
    "command_step",
    "graphs",
    "log_metric",
    "loop",
    "pipeline",
    "pipeline_of",
    "service",
    "shell_step",
    "step",
    "when",
]

_HOMES = {
    "Cache": "options",
    "Check": "check",
    "Contract": "contract",
    "Conversion": "signature",
    "Dataset": "products",
    "Evaluation": "evaluation",
    "Files": "files",
    "Gate": "gate",
    "Html": "report",
    "In": "commands",
    "Markdown": "report",
    "Metric": "metric",
    "Metrics": "metric",
    "Model": "products",
    "Out": "commands",
    "Refused": "service",
    "Resources": "task",
    "Sensitive": "service",
    "Source": "products",
    "approve": "approval",
    "checkpoint": "checkpoint",
    "command_step": "commands",
    "graphs": "graphs",
    "log_metric": "logged",
    "loop": "shapes",
    "pipeline": "pipeline",
    "pipeline_of": "wiring",
    "service": "service",
    "shell_step": "commands",
    "step": "step",
    "when": "shapes",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'filiera' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"filiera.core.{home}")
    if home in ("pipeline", "wiring"):
        module.Pipeline.launcher = staticmethod(_launch)
    found = module if name in ("checkpoint", "graphs") else getattr(module, name)
    globals()[name] = found
    return found


def _launch(started: Any, parameters: Any) -> Any:
    """Run a pipeline in the project its file lies in; see ``Pipeline.run_many``."""
    from filiera.project.launch import start_in_its_project

    return start_in_its_project(started, parameters)


def load_ipython_extension(shell: Any) -> None:
    """Do what ``%load_ext filiera`` asks for; see ``filiera.notebook``."""
    _notebook().load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Do what ``%unload_ext filiera`` asks for."""
    _notebook().unload(shell)


def _notebook() -> Any:
    from importlib import import_module

    # By name, since this package is imported by all others, and none of them may import the notebook.
    return import_module("filiera.notebook")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
