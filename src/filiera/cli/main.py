"""The command ``filiera``: parse, call, print.

Exit codes: 0 done; 1 a run or prediction failed; 2 a name, option or value is wrong; 3 a blocking check or gate said
no; 4 the project cannot be used; 5 the store cannot be used; 6 a source cannot be used; 7 monitoring found drift;
130 stopped by the user.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from filiera.errors import FilieraError

_LEARN = """\
first steps:
  filiera init flows-demo --template traffic-classification && cd flows-demo
  filiera run flows                           data pipeline  → dataset flows@1
  filiera run train                           model pipeline → model flow-classifier@1
  filiera serve flow-classifier@champion      model          → service
  filiera monitor flow-classifier             service        → verdict

exit codes: 0 done · 1 failed · 2 usage · 3 rejected · 4 project · 5 store · 6 source · 7 drift · 130 stopped
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\nDo:  {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs; each names the module that does it, imported only when it is asked for."""
    parser = _Parser(
        prog="filiera",
        description="One chain from sources to a watched service.",
        epilog=_LEARN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")

    def verb(name: str, module: str, text: str, *, own_help: bool = False) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text, add_help=not own_help)
        sub.set_defaults(module=module)
        sub.add_argument("--profile", help="profile of filiera.toml (default: $FILIERA_PROFILE, or local)")
        return sub

    def json_flag(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--json", action="store_true", help="print JSON for scripts")

    sub = verb("init", "init", "make a new project")
    sub.add_argument("name", nargs="?", help="folder to make; the project gets its name")
    sub.add_argument("--template", default="empty", help="what to start from (default: empty)")
    sub.add_argument("--list", action="store_true", help="list the templates")

    sub = verb("pipelines", "pipelines", "list the project's pipelines")
    json_flag(sub)

    for name, text in (("run", "run a pipeline"), ("plan", "show what a run would do, and why")):
        sub = verb(name, name, text, own_help=True)
        sub.add_argument("-h", "--help", action="store_true", help="show this help; with a pipeline, its parameters")
        sub.add_argument("pipeline", nargs="?", help="name of a pipeline; its parameters follow as options")
        sub.add_argument("--fresh", action="append", default=[], metavar="STEP", help="run STEP though it is cached")
        json_flag(sub)

    sub = verb("runs", "runs", "list runs, newest first")
    sub.add_argument("pipeline", nargs="?", default="", help="of this pipeline only")
    sub.add_argument("--state", default="", help="in this state only")
    sub.add_argument("--limit", type=int, default=20, help="at most so many (default: 20)")
    json_flag(sub)

    sub = verb("show", "show", "show a run, a step's output, or a version of a dataset or model")
    sub.add_argument("what", help="RUN, RUN/STEP, PIPELINE (its newest run), latest, or NAME@VERSION")
    sub.add_argument("--open", metavar="FILE", help="write the step's report or value to FILE")
    json_flag(sub)

    sub = verb("log", "log", "print what the steps of a run printed")
    sub.add_argument("what", help="RUN, RUN/STEP, PIPELINE (its newest run), or latest")
    sub.add_argument("--follow", action="store_true", help="go on until the run ends")

    sub = verb("explain", "explain", "say why each step ran or not")
    sub.add_argument("what", nargs="?", default="latest", help="RUN or PIPELINE, perhaps with /STEP (default: latest)")
    json_flag(sub)

    sub = verb("resume", "resume", "go on with an interrupted, failed or cancelled run")
    sub.add_argument("what", help="RUN, or latest")
    json_flag(sub)

    sub = verb("cancel", "cancel", "stop a running run")
    sub.add_argument("what", help="RUN, or latest")

    sub = verb("versions", "versions", "list versions of datasets and models")
    sub.add_argument("name", nargs="?", default="", help="of this product only")
    json_flag(sub)

    sub = verb("promote", "promote", "point an alias at a version")
    sub.add_argument("which", metavar="NAME@VERSION", help="the version")
    sub.add_argument("alias", nargs="?", default="champion", help="the alias (default: champion)")
    sub.add_argument("--reason", default="", help="kept with the move")

    sub = verb("serve", "serve", "serve a model as a microservice")
    sub.add_argument("model", help="NAME@VERSION or NAME@ALIAS (default: @champion)")
    sub.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    sub.add_argument("--port", type=int, default=8000, help="port; 0 takes a free one (default: 8000)")

    sub = verb("predict", "predict", "predict rows of a file, in this process or by a service")
    sub.add_argument("model", help="NAME@VERSION or NAME@ALIAS (default: @champion)")
    sub.add_argument("file", help=".csv, .parquet, .jsonl, or - for JSON lines on standard input")
    sub.add_argument("--url", help="ask the service at this address instead")
    sub.add_argument("--limit", type=int, help="at most so many rows")

    sub = verb("monitor", "monitor", "compare what a service saw and said with the training data")
    sub.add_argument("model", help="NAME@VERSION or NAME@ALIAS (default: @champion)")
    sub.add_argument("--last", type=int, help="the last so many predictions")
    sub.add_argument("--since", help="predictions since so long ago: 30m, 12h, 7d")
    sub.add_argument("--html", metavar="FILE", help="write a report with plots")
    json_flag(sub)

    sub = verb("demo", "demo", "walk the whole chain on real network connections")
    sub.add_argument(
        "folder", nargs="?", default="flows-demo", help="project to make or go on with (default: flows-demo)"
    )

    sub = verb("doctor", "doctor", "check the project and its store")
    sub.add_argument("--repair", action="store_true", help="remove damaged blobs, so that their steps run again")
    json_flag(sub)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except FilieraError as error:
        print(f"filiera: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("filiera: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: list[str]) -> int:
    parser = build_parser()
    options, rest = parser.parse_known_args(arguments)
    if options.version:
        from filiera import __version__

        print(f"filiera {__version__}")
        return 0
    if options.verb is None:
        parser.print_help()
        return 0
    if rest and options.verb not in ("run", "plan"):
        parser.error(f"{options.verb} does not know {' '.join(rest)}")
    options.rest = rest
    command = importlib.import_module(f"filiera.cli.{options.module}_command")
    code: int = command.run(options)
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
