"""What the author of a model says of it: a text beside the pipeline that publishes it."""

from __future__ import annotations

import inspect
from pathlib import Path

from filiera.core.pipeline import Pipeline
from filiera.errors import ProjectError


def own_words(pipeline: Pipeline) -> str:
    """Return the Markdown in the file beside the pipeline's module that has the model's name, or '' without one.

    For the model ``flow-classifier`` of a pipeline in ``flows/model.py`` it is ``flows/flow-classifier.md``.

    Raises:
        ProjectError: It cannot be read, or is no text.
    """
    code = getattr(inspect.unwrap(pipeline.function), "__code__", None)
    if code is None or pipeline.publishes is None:
        return ""
    file = Path(code.co_filename).with_name(f"{pipeline.publishes.ref.name}.md")
    if not file.is_file():
        return ""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = str(error.strerror) if isinstance(error, OSError) else "It is not UTF-8."
        raise ProjectError(
            f"{file} cannot be read.", why=why, do="Mend it, or remove it: a card can do without."
        ) from error
