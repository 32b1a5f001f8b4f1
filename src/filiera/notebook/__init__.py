"""Filiera in a notebook: ``%load_ext filiera``.

Nothing below imports this package. What runs, versions and values look like is told to IPython by the names of their
classes, so that loading the extension imports none of them.
"""

from __future__ import annotations

from typing import Any

_RUN = ("filiera.project.runs", "Run")
_SHOWN = {
    _RUN: "run",
    ("filiera.project.versions", "Version"): "version",
    ("filiera.core.graph", "Graph"): "graph",
    ("filiera.core.pipeline", "Pipeline"): "pipeline",
    ("filiera.core.metric", "Metrics"): "metrics",
    ("filiera.core.evaluation", "Evaluation"): "metrics",
    ("filiera.core.gate", "GateReport"): "gates",
    ("filiera.core.check", "CheckReport"): "checks",
    ("filiera.core.report", "Html"): "page",
    ("filiera.core.report", "Svg"): "picture",
    ("filiera.core.report", "Markdown"): "text",
    ("filiera.notebook.magics", "Values"): "values",
}
"""Classes by module and name, and the function of ``filiera.notebook.display`` that shows them."""


def load(shell: Any) -> None:
    """Teach an IPython shell the magic ``%filiera`` and what our values look like."""
    from filiera.notebook.magics import Magic, show_error

    magic = Magic(shell)
    shell.register_magic_function(magic, magic_kind="line", magic_name="filiera")
    shell.events.register("post_run_cell", magic.note_modules)
    magic.note_modules()
    shell.set_custom_exc((_error_class(),), show_error)
    html, plain = (shell.display_formatter.formatters[kind] for kind in ("text/html", "text/plain"))
    for (module, name), function in _SHOWN.items():
        html.for_type_by_name(module, name, _Shows(function))
    plain.for_type_by_name(*_RUN, _print_run)


def unload(shell: Any) -> None:
    """Take back what ``load`` did."""
    magic = shell.magics_manager.magics["line"].pop("filiera", None)
    if magic is not None:
        shell.events.unregister("post_run_cell", magic.note_modules)
    shell.set_custom_exc((), None)
    for kind in ("text/html", "text/plain"):
        formatter = shell.display_formatter.formatters[kind]
        for key in _SHOWN:
            formatter.deferred_printers.pop(key, None)
        for known in [known for known in formatter.type_printers if (known.__module__, known.__name__) in _SHOWN]:
            formatter.pop(known)


class _Shows:
    """Calls one function of ``display``, imported when something is to be shown."""

    def __init__(self, function: str) -> None:
        self._function = function

    def __call__(self, value: Any) -> str | None:
        from filiera.notebook import display

        found: str | None = getattr(display, self._function)(value)
        return found


def _print_run(run: Any, printer: Any, _: bool) -> None:
    from filiera.notebook.display import run_in_words

    printer.text(run_in_words(run))


def _error_class() -> type[Exception]:
    from filiera.errors import FilieraError

    return FilieraError
