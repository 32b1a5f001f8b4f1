"""Stored values as people look at them: some lines on the terminal, or a file."""

from __future__ import annotations

import dataclasses
import pprint
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filiera.cli.output import how_big
from filiera.cli.profile_text import profile_text
from filiera.core.artifact import ArtifactRef
from filiera.core.check import CheckReport
from filiera.core.chunks import TABLE_CODEC
from filiera.core.document import Document
from filiera.core.evaluation import Evaluation, metrics_of
from filiera.core.files import Files
from filiera.core.gate import GateReport
from filiera.core.metric import Metrics
from filiera.core.parts import PARTS_CODEC, is_list
from filiera.core.report import Html, Markdown, Svg
from filiera.data.profile import Profile
from filiera.errors import UsageError
from filiera.model.study import Study, counted
from filiera.project.plugins import document_html
from filiera.project.project import Project

_LONGEST = 4000
_MANY_FILES = 20
_MANY_ITEMS = 10


def preview_of(project: Project, ref: ArtifactRef) -> str:
    """Return the beginning of a stored value as text; of a list whose items are stored one by one, the first ones.

    Raises:
        CodecError, StoreError: The value cannot be read.
    """
    if ref.codec == PARTS_CODEC:
        kind, parts = project.artifacts.manifest_of(ref)
        if is_list(kind) and len(parts) > _MANY_ITEMS:
            items = [project.value(part) for part in parts[:_MANY_ITEMS]]
            return f"{preview(items)}\n… {len(parts) - _MANY_ITEMS:,} items more"
    return preview(project.value(ref))


def preview(value: Any) -> str:
    """Return the beginning of *value* as text."""
    if isinstance(value, Profile):  # its lines are as many as the columns
        return profile_text(value)
    if _is_of_images(value):
        from filiera.data.images_report import images_text

        return images_text(value)
    document = _document_of(value)
    text = _text(value) if document is None else document.markdown
    return text if len(text) <= _LONGEST else text[:_LONGEST] + f"\n… {len(text) - _LONGEST:,} characters more"


def _text(value: Any) -> str:
    match value:
        case Html() | Svg():
            kind = "page" if isinstance(value, Html) else "drawing"
            return f"a {kind} of {how_big(len(value.text.encode()))}; write it to a file with --open FILE"
        case Markdown():
            return value.text
        case Path():
            return _listing(value)
        case Files():
            return f"{value.summary}; write them to a folder with --open FOLDER\n{value.table}"
        case Metrics() | Evaluation():
            return "\n".join(_measured(value))
        case Study():
            goal = f"{value.search.goal} {value.search.metric or 'what ' + value.objective + ' returns'}"
            return f"{goal}: {counted(value.trials)}; filiera study shows them"
        case GateReport():
            return "\n".join(f"{'passed' if one.passed else 'FAILED'}: {one.reason}" for one in value.results)
        case CheckReport():
            return "\n".join([value.headline, *(f"{one.severity}: {one.name}: {one.reason}" for one in value.failed)])
        case dict() | list() | tuple() | set() | frozenset():
            return pprint.pformat(value, width=110, sort_dicts=False)
    summary = getattr(value, "summary", None)
    if isinstance(summary, str) and type(value).__module__.startswith("filiera.transforms."):
        return summary
    return pprint.pformat(value, width=110) if dataclasses.is_dataclass(value) else str(value)


def _measured(value: Metrics | Evaluation) -> Iterator[str]:
    """Yield the lines of what was measured; of a slice its first metric."""
    found = metrics_of(value)
    yield from (str(metric) for metric in found)
    yield from found.notes
    if isinstance(value, Evaluation):
        yield from (f"{one.column} = {one.value}: {next(iter(one.metrics), 'nothing')}" for one in value.slices)
        yield from (f"{fair.column}: {one}" for fair in value.fairness for one in fair.differences)
        yield "write all, with plots, to a page: --open FILE.html"


def write_file(project: Project, ref: ArtifactRef, file: Path) -> None:
    """Write a stored value to *file*: a report, text, file or folder as it is, anything else as it is stored.

    Raises:
        UsageError: The file cannot be written.
        CodecError, StoreError: The value cannot be read.
    """
    value = project.value(ref)
    try:
        match value:
            case Html() | Markdown() | Svg():
                file.write_text(value.text, encoding="utf-8")
            case Profile() if file.suffix == ".html":
                from filiera.data.report import profile_html

                file.write_text(profile_html(value).text, encoding="utf-8")
            case Evaluation() if file.suffix == ".html":
                from filiera.model.report import evaluation_html

                file.write_text(evaluation_html(value).text, encoding="utf-8")
            case _ if file.suffix == ".html" and _is_of_images(value):
                from filiera.data.images_report import images_html

                file.write_text(images_html(value).text, encoding="utf-8")
            case _ if file.suffix == ".html" and (document := _document_of(value)) is not None:
                file.write_text(document_html(document).text, encoding="utf-8")
            case str():
                file.write_text(value, encoding="utf-8")
            case Files():
                value.write_to(file)
            case Path() if value.is_dir():
                shutil.copytree(value, file)
            case Path():
                shutil.copyfile(value, file)
            case _ if ref.codec == TABLE_CODEC:
                value.write_parquet(file.absolute())  # Polars may begin at a folder that was the current one before
            case _:
                file.write_bytes(ref.inline if ref.inline is not None else project.blobs.get(ref.digest))
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error


def _is_of_images(value: Any) -> bool:
    """Tell whether it is a profile of images, without loading what makes them."""
    return (type(value).__module__, type(value).__name__) == ("filiera.data.images", "ImageProfile")


def _document_of(value: Any) -> Document | None:
    """Return what was found of a model's inputs as a document, without loading what finds it; None of all else."""
    match type(value).__module__, type(value).__name__:
        case "filiera.model.importance", "Importance":
            from filiera.model.importance_text import importance_document

            return importance_document(value)
        case "filiera.model.contributions_summary", "Summary":
            from filiera.model.contributions_text import contributions_document

            return contributions_document(value)
    return None


def _listing(path: Path) -> str:
    if path.is_file():
        return f"the file {path.name}, {how_big(path.stat().st_size)}; write it to a file with --open FILE"
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    more = [f"and {len(files) - _MANY_FILES} more"] if len(files) > _MANY_FILES else []
    return "\n".join(
        [f"a folder of {len(files)} files; write it to a folder with --open FOLDER:", *files[:_MANY_FILES], *more]
    )


def write_page(page: Html, file: Path) -> None:
    """Write a page to a file, and say so. Raises UsageError when it cannot be written."""
    try:
        file.write_text(page.text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.") from error
    print(f"wrote {file}", file=sys.stderr)
