"""What ``filiera`` can be asked: each verb with its arguments, and the module that does it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

_LEARN = """\
first steps:
  filiera init flows-demo --template traffic-classification && cd flows-demo
  filiera run flows                           data pipeline  → dataset flows@1
  filiera run train                           model pipeline → model flow-classifier@1
  filiera serve flow-classifier@champion      model          → service
  filiera monitor flow-classifier             service        → verdict

exit codes: 0 done · 1 failed · 2 usage · 3 rejected · 4 project · 5 store · 6 source · 7 drift · 8 unproven
            9 waiting · 130 stopped
"""
_NO_SCREEN = 80
_RUN = "RUN, PIPELINE (its newest run), or latest"
MODEL = "NAME@VERSION or NAME@ALIAS (default: @champion)"


class _Help(argparse.HelpFormatter):
    """As wide as the screen. Without a width argparse asks ``shutil`` for it, which loads three more libraries."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


class HelpAsWritten(_Help, argparse.RawDescriptionHelpFormatter):
    """Leaves the lines of description and epilog as they are."""


def _columns() -> int:
    with suppress(ValueError):
        if columns := int(os.environ.get("COLUMNS", 0)):
            return columns
    with suppress(OSError, ValueError, AttributeError):  # it is no screen, or closed
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _NO_SCREEN  # type: ignore[union-attr]
    return _NO_SCREEN


class Parser(argparse.ArgumentParser):
    """Says what is wrong in our words, and takes no abbreviations.

    With them ``--p 3`` would name a profile although the pipeline has a parameter ``p``.
    """

    def __init__(self, *, allow_abbrev: bool = False, **options: Any) -> None:
        super().__init__(allow_abbrev=allow_abbrev, **{"formatter_class": _Help, **options})
        self.verbs: Mapping[str, argparse.ArgumentParser | None] = {}  #: None: not built

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and end with exit code 2."""
        self.exit(2, f"{self.prog}: {message}\nDo:  {self.prog} --help\n")


class _Unused:
    """Takes the arguments of a verb that is not asked for."""

    def add_argument(self, *names: str, **options: Any) -> None:
        """Do nothing."""


class Verbs:
    """Adds verbs to a parser; the module of a verb is imported only when it is asked for."""

    def __init__(self, parser: Parser, only: str | None, group: str = "") -> None:
        # With a name for the program argparse need not look how wide the screen is, which loads three libraries.
        dest = f"{group}_verb" if group else "verb"
        self._verbs = parser.add_subparsers(dest=dest, metavar="VERB [OPTIONS]", title="verbs", prog=parser.prog)
        self._only = only
        self._group = group
        self._names: dict[str, argparse.ArgumentParser | None] = {}
        parser.verbs = self._names

    def add(self, name: str, text: str, *, common: Callable[[], Parser] | None = None, usage: str | None = None) -> Any:
        self._names[name] = None
        if self._only not in (None, name):
            return _Unused()
        own_help = common is not None
        parents = [common()] if common is not None else []
        sub: Parser = self._verbs.add_parser(
            name, help=text, description=_sentence(text), add_help=not own_help, parents=parents, usage=usage
        )
        self._names[name] = sub
        sub.set_defaults(module=self._group or name, parser=sub)
        if not own_help:
            _add_profile(sub)
        return sub

    def add_group(self, name: str, text: str) -> Verbs | None:
        """Add a verb that has verbs of its own, and return those; None when it is not asked for."""
        sub = self.add(name, text)
        return None if isinstance(sub, _Unused) else Verbs(sub, None, name)

    def add_with_json(self, name: str, text: str) -> Any:
        sub = self.add(name, text)
        _add_json(sub)
        return sub


def build_parser(only: str | None = None) -> Parser:
    """Return the parser of all verbs, or of one of them, which takes an eighth of the time."""
    parser = Parser(
        prog="filiera",
        description="One chain from sources to a watched service.",
        epilog=_LEARN,
        formatter_class=HelpAsWritten,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    from filiera.cli.service_verbs import add_service_verbs

    verbs = Verbs(parser, only)
    _add_project_verbs(verbs)
    _add_run_verbs(verbs)
    _add_product_verbs(verbs)
    _add_data_verbs(verbs)
    _add_experiment_verbs(verbs)
    add_service_verbs(verbs)
    _add_contract_verbs(verbs)
    _add_trust_verbs(verbs)
    sub = verbs.add("demo", "walk the whole chain on real network connections")
    text = "project to make or go on with (default: flows-demo)"
    sub.add_argument("folder", nargs="?", default="flows-demo", help=text)
    _add_store_verbs(verbs)
    sub = verbs.add_with_json("doctor", "check the project and its store")
    text = "remove damaged blobs, so that their steps run again, and record runs whose driver died as interrupted"
    sub.add_argument("--repair", action="store_true", help=text)
    return parser


def running_options() -> Parser:
    """Return the options that ``run`` and ``plan`` have besides the pipeline's parameters."""
    common = Parser(add_help=False)
    common.add_argument("-h", "--help", action="store_true", help="show this help; with a pipeline, its parameters")
    text = "run STEP though it is cached; also one call of a map, such as 'fit[3]'"
    common.add_argument("--fresh", action="append", default=[], metavar="STEP", help=text)
    text = "make these partitions too, such as 2026-01-01 or 2026-01-01,2026-01-02"
    common.add_argument("--partition", default="", metavar="VALUES", help=text)
    text = "make the partitions from FIRST to LAST too, such as 2026-01-01..2026-01-31"
    common.add_argument("--backfill", default="", metavar="FIRST..LAST", help=text)
    _add_profile(common)
    _add_json(common)
    return common


def _add_project_verbs(verbs: Verbs) -> None:
    sub = verbs.add("init", "make a new project")
    sub.add_argument("name", nargs="?", help="folder to make; the project gets its name")
    sub.add_argument("--template", default="empty", help="what to start from (default: empty)")
    sub.add_argument("--list", action="store_true", help="list the templates")
    verbs.add_with_json("pipelines", "list the project's pipelines")


def _add_run_verbs(verbs: Verbs) -> None:
    for name, text, many in (
        ("run", "run a pipeline", "; or several names and patterns, such as 'etl_*'"),
        ("plan", "show what a run would do, and why", ""),
    ):
        usage = f"filiera {name} PIPELINE [PARAMETERS] [OPTIONS]"
        sub = verbs.add(name, text, common=running_options, usage=usage)
        sub.add_argument("pipeline", nargs="?", help=f"name of a pipeline; its parameters follow as options{many}")
    sub = verbs.add_with_json("runs", "list runs, newest first")
    sub.add_argument("pipeline", nargs="?", default="", help="of this pipeline only")
    sub.add_argument("--state", default="", help="in this state only, such as failed or interrupted")
    text = "of pipelines whose name has TEXT in it; or whose id ends with TEXT, such as train-7"
    sub.add_argument("--search", metavar="TEXT", default="", help=text)
    sub.add_argument("--before", metavar="RUN", default="", help="older than RUN only: the next page")
    text = "show these metrics (their last values) and parameters, such as 'loss,depth'; 'all' shows all there are"
    sub.add_argument("--columns", metavar="NAMES", default="", help=text)
    text = "sort the runs listed by this metric or parameter, the least first; '-NAME': the greatest first"
    sub.add_argument("--sort", metavar="NAME", default="", help=text)
    sub.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default: 20)")
    sub = verbs.add_with_json("show", "show a run, a step's output, or a version of a dataset or model")
    sub.add_argument("what", help=f"{_RUN}, perhaps with /STEP; or NAME@VERSION")
    sub.add_argument("--open", metavar="FILE", help="write the step's first output, or the version, to FILE")
    sub = verbs.add("log", "print what the steps of a run printed")
    sub.add_argument("what", help=f"{_RUN}, perhaps with /STEP")
    sub.add_argument("--follow", action="store_true", help="go on until the run ends")
    sub = verbs.add_with_json("metrics", "show the metrics that steps of runs have logged, also while they run")
    sub.add_argument("what", nargs="+", help=f"{_RUN}, perhaps with /STEP; several are compared")
    text = "only this metric, with a plot; may be given several times"
    sub.add_argument("--name", action="append", default=[], metavar="METRIC", help=text)
    sub.add_argument("--follow", action="store_true", help="go on until the run ends")
    text = "write the curves to FILE: .html with charts, .csv, .parquet or .jsonl"
    sub.add_argument("--open", default="", metavar="FILE", help=text)
    sub = verbs.add_with_json("study", "show the trials of a study that tune made, also while it goes on")
    sub.add_argument("what", help=f"{_RUN}, perhaps with /STEP")
    text = "at most so many trials, the best first (default: 20)"
    sub.add_argument("--limit", type=int, default=20, metavar="N", help=text)
    sub.add_argument("--open", default="", metavar="FILE.html", help="write it as a page, with plots")
    sub = verbs.add_with_json("explain", "say why each step ran or not")
    sub.add_argument("what", nargs="?", default="latest", help=f"{_RUN} (the default), perhaps with /STEP")
    sub = verbs.add_with_json("resume", "go on with a run that was interrupted, failed, was cancelled, or waits")
    sub.add_argument("what", help=_RUN)
    sub = verbs.add_with_json("approve", "answer what a run that waits asks, and go on with it")
    sub.add_argument("what", metavar="run", help=_RUN)
    sub.add_argument("step", nargs="?", default="", help="the step that asks; needed when several do")
    sub.add_argument("--no", action="store_true", help="refuse: the run is rejected")
    sub.add_argument("--why", metavar="TEXT", default="", help="kept with the answer")
    sub.add_argument("--only-record", action="store_true", help="do not go on with the run now")
    sub = verbs.add("cancel", "stop a running run")
    sub.add_argument("what", help=_RUN)


def _add_product_verbs(verbs: Verbs) -> None:
    sub = verbs.add_with_json("versions", "list versions of datasets and models")
    sub.add_argument("name", nargs="?", default="", help="of this product only")
    sub.add_argument("--before", metavar="NAME@VERSION", default="", help="older than this one only: the next page")
    text = "show these metrics, with intervals, and parameters of steps, such as 'f1_macro,fit.depth'; 'all' shows all"
    sub.add_argument("--columns", metavar="NAMES", default="", help=text)
    text = "sort all by this metric, the best first, or parameter, the least first; '-NAME': the other way round"
    sub.add_argument("--sort", metavar="NAME", default="", help=text)
    sub.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (default: 100)")
    sub.add_argument("--moves", action="store_true", help="list instead who moved its aliases, when and why")
    sub = verbs.add("promote", "point an alias at a version")
    sub.add_argument("which", metavar="NAME@VERSION", help="the version")
    sub.add_argument("alias", nargs="?", default="champion", help="the alias (default: champion)")
    sub.add_argument("--reason", default="", metavar="TEXT", help="kept with the move")
    sub = verbs.add("card", "print the card of a version of a model or service: all that its record says, in Markdown")
    sub.add_argument("model", help=MODEL)
    sub.add_argument("--html", metavar="FILE", help="write it as a page with drawings instead")
    sub = verbs.add_with_json("compare", "show versions of a model or service side by side, and which model is better")
    sub.add_argument("model", nargs="+", help=f"two or more; the others are compared with the first: {MODEL}")
    sub.add_argument("--html", metavar="FILE", help="write it as a page with drawings instead")
    sub = verbs.add_with_json("importance", "say how much worse a model gets without what each input tells")
    sub.add_argument("model", help=MODEL)
    text = "what gets worse (default: what the model's first gate looks at, if it can be, or the usual for its task)"
    sub.add_argument("--metric", default="", help=text)
    sub.add_argument("--repeats", type=int, default=5, help="permute each input so many times (default: 5)")
    text = "permute these inputs together, such as bytes,packets; may be given several times"
    sub.add_argument("--group", action="append", default=[], metavar="INPUTS", help=text)
    sub.add_argument("--seed", type=int, default=0, help="of the permutations (default: 0)")
    sub.add_argument("--html", metavar="FILE", help="write it as a page with drawings instead")
    sub = verbs.add_with_json("contributions", "say what each input added to a model's answers, or to one of them")
    sub.add_argument("model", help=MODEL)
    text = "ask why the model answers this row as it does: a JSON object of its inputs, or of columns that name a row"
    sub.add_argument("--row", metavar="JSON", help=f"{text} of those it was evaluated on")
    sub.add_argument("--html", metavar="FILE", help="write it as a page with drawings instead")
    sub = verbs.add_with_json("prove", "rebuild a version from its record in a clean place and compare every output")
    sub.add_argument("what", help=f"NAME@VERSION, or {_RUN}")
    text = "use what is installed here, though the run had other distributions"
    sub.add_argument("--this-environment", action="store_true", help=text)
    sub.add_argument("--imported", action="store_true", help="also if it came in an archive: its code is run here")


def _add_data_verbs(verbs: Verbs) -> None:
    group = verbs.add_group("data", "look into datasets and tables, compare and write them")
    if group is not None:
        from filiera.cli.data_verbs import add_data_verbs

        add_data_verbs(group)


def _add_experiment_verbs(verbs: Verbs) -> None:
    group = verbs.add_group("experiment", "try something on a branch of its own; merge the preferred, drop the others")
    if group is not None:
        from filiera.cli.experiment_verbs import add_experiment_verbs

        add_experiment_verbs(group)


def _add_contract_verbs(verbs: Verbs) -> None:
    group = verbs.add_group("contract", "keep what applications count on: compare, record, verify")
    if group is not None:
        from filiera.cli.contract_verbs import add_contract_verbs

        add_contract_verbs(group)


def _add_store_verbs(verbs: Verbs) -> None:
    sub = verbs.add_with_json("gc", "free the space of what no kept run or version needs")
    sub.add_argument("--dry-run", action="store_true", help="say what would go, with its bytes, and change nothing")
    text = "keep runs that somebody drove within so many days (default: keep_days of the profile, or 30)"
    sub.add_argument("--keep-days", type=float, metavar="DAYS", help=text)
    text = "keep so many of the newest runs of each pipeline (default: keep_runs of the profile, or 10)"
    sub.add_argument("--keep-runs", type=int, metavar="RUNS", help=text)
    text = "keep what was stored within so many hours in any case (default: 24, at least 2)"
    sub.add_argument("--grace-hours", type=float, default=24.0, metavar="HOURS", help=text)
    text = "first forget the versions of datasets beyond so many of each, but those with an alias or in use"
    sub.add_argument("--keep-versions", type=int, metavar="VERSIONS", help=text)
    text = "first forget this version; it must not be the newest, nor have an alias"
    sub.add_argument("--drop", action="append", default=[], metavar="NAME@VERSION", help=text)
    sub = verbs.add("export", "write runs with their values, logs and cached results to one file")
    sub.add_argument("what", nargs="+", metavar="RUN", help=_RUN)
    sub.add_argument("-o", "--output", required=True, metavar="FILE", help="file to write, such as runs.filiera")
    sub = verbs.add_with_json("import", "take over the runs of a file that export wrote")
    sub.add_argument("file", help="file to read")
    text = "publish also the versions that these runs published, under this project's next numbers"
    sub.add_argument("--products", action="store_true", help=text)


def _add_trust_verbs(verbs: Verbs) -> None:
    sub = verbs.add_with_json("keys", "make or show the project's key for signing")
    sub.add_argument("what", choices=("new", "show"), help="new makes it; show prints it and the trusted ones")
    sub = verbs.add("sign", "sign a version with the project's key")
    sub.add_argument("which", metavar="NAME@VERSION", help="the version")
    sub = verbs.add_with_json("verify", "say who signed a version, and compare its bytes with their digests")
    sub.add_argument("which", metavar="NAME@VERSION", help="the version")
    sub = verbs.add_with_json("audit", "list who did what, newest first")
    sub.add_argument("subject", nargs="?", default="", help="only what was done to this: RUN, NAME@VERSION, …")
    sub.add_argument("--actor", default="", metavar="WHO", help="only what this user did, such as ada@lab")
    sub.add_argument("--action", default="", help="only what was done in this way, such as publish or promote")
    sub.add_argument("--before", type=int, metavar="NO", help="only rows with a number below this one")
    sub.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (default: 50)")
    text = "check instead that no row was changed or removed, and that one has the digest noted elsewhere"
    sub.add_argument("--verify", nargs="?", const="", metavar="DIGEST", help=text)


def _add_profile(parser: Parser) -> None:
    text = "profile of filiera.toml (default: $FILIERA_PROFILE, or local)"
    parser.add_argument("--profile", metavar="NAME", help=text)


def _add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for scripts")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
