"""``filiera approve``."""

from __future__ import annotations

import argparse

from filiera.cli.output import print_json
from filiera.cli.places import find_run
from filiera.cli.progress import Progress
from filiera.cli.run_command import report
from filiera.project.approvals import answer, get_question
from filiera.project.launch import resume
from filiera.project.project import Project
from filiera.project.runs import shown_state


def run(options: argparse.Namespace) -> int:
    """Record somebody's answer to the question of a run, and go on with the run."""
    project = Project.open(profile=options.profile)
    row, step = find_run(project, options.what)
    question = get_question(project, row, options.step or step)
    answer(project, question, is_approved=not options.no, why=options.why)
    word = "refused" if options.no else "approved"
    is_running = shown_state(project, row) == "running"
    if options.only_record or is_running:
        if options.json:
            print_json({"run": question.run_id, "step": question.step, "answer": word})
        else:
            when = " once it has ended" if is_running else ""
            print(f"{word} {question.step} of {question.run_id}; it goes on by: filiera resume {question.run_id}{when}")
        return 0
    if not options.json:
        print(f"{word} {question.step} of {question.run_id}")
    with Progress(project, quiet=options.json) as progress:
        done = resume(project, question.run_id, listener=progress)
    return report(done, as_json=options.json)
