"""What a run asks a person, on the terminal."""

from __future__ import annotations

import textwrap

from filiera.cli.output import how_big
from filiera.cli.previews import preview_of
from filiera.errors import FilieraError
from filiera.project.approvals import Question
from filiera.project.project import Project

_LONGEST = 1500


def print_question(project: Project, question: Question) -> None:
    """Print a question with the value it is about, and how to answer."""
    ref = question.artifact
    print(f"\n{question.step} asks: {question.text}" if question.text else f"\n{question.step}: {question.refusal}")
    print(f"about  {ref.codec}  {how_big(ref.size_bytes)}  {ref.digest[:12]}")
    try:
        text = preview_of(project, ref)
    except FilieraError as error:  # who answers should know, and can
        text = str(error)
    cut = f"\n… filiera show {question.run_id}/{question.step} has more" if len(text) > _LONGEST else ""
    print(textwrap.indent(text[:_LONGEST] + cut, "  "))
    print(f"yes:  filiera approve {question.run_id} {question.step}")
    print(f"no:   filiera approve {question.run_id} {question.step} --no --why TEXT")
