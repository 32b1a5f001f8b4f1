"""The command ``filiera``: parse, call, print.

Exit codes: 0 done; 1 a run or prediction failed; 2 a name, option or value is wrong; 3 a blocking check or gate said
no; 4 the project cannot be used; 5 the store cannot be used; 6 a source cannot be used; 7 monitoring found drift;
8 a proof found another result than is recorded; 9 a run waits for an answer; 130 stopped by the user.
"""

from __future__ import annotations

import errno
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from filiera.cli.verbs import Parser, build_parser
from filiera.cli.visible import Terminal, visible
from filiera.errors import FilieraError, UsageError, did_you_mean

_UNWRITABLE = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""What the system says when standard output takes nothing more; stores and sources put their errors in our words."""


_YOUNG_OBJECTS = 50_000
"""So many are made before garbage is looked for among them: starting makes 20,000, and all of them stay."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; without *arguments*, the one that this process was started for."""
    if arguments is not None:
        return _ended(arguments)
    gc.set_threshold(_YOUNG_OBJECTS)
    try:
        return _ended(sys.argv[1:])
    finally:
        if "_duckdb" not in sys.modules:  # which would call what is frozen leaked, and list it in 47 lines
            gc.freeze()  # else the interpreter looks twice for garbage before it ends, which takes 7 ms each time


def _ended(arguments: Sequence[str]) -> int:
    """Return the exit code of a command, however it ended."""
    _make_printable()
    try:
        return _flushed(list(arguments))
    except FilieraError as error:
        print(visible(f"filiera: {error}"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("filiera: stopped.", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        return _mute(error)


def _make_printable() -> None:
    """See to it that printing to a closed output does nothing, to one without "→" prints the rest, and steers none."""
    sys.stdout = _nowhere() if sys.stdout is None else _printable(sys.stdout)
    sys.stderr = _nowhere() if sys.stderr is None else _printable(sys.stderr)


def _printable(stream: TextIO) -> TextIO:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
        if stream.isatty() and not isinstance(stream, Terminal):
            encoding, by_line = stream.encoding, stream.line_buffering
            return Terminal(stream.detach(), encoding=encoding, errors="replace", line_buffering=by_line)
    return stream


def _nowhere() -> TextIO:
    from pathlib import Path

    return Path(os.devnull).open("w", encoding="utf-8")


def _flushed(arguments: list[str]) -> int:
    try:
        code = _run(arguments)
    except SystemExit as end:  # argparse has printed help, or what is wrong
        code = int(end.code or 0)
    sys.stdout.flush()
    return code


def _mute(error: OSError) -> int:
    """Let what is still to be printed go nowhere, and return the exit code that says why."""
    from filiera.cli.output import mute

    mute()
    if error.errno == errno.EPIPE:  # who read along, such as head, has seen enough
        return 0
    print(f"filiera: Standard output cannot be written: {error.strerror}.", file=sys.stderr)
    return FilieraError.exit_code


def _run(arguments: list[str]) -> int:
    verb = arguments[0] if arguments and not arguments[0].startswith("-") else None
    parser = build_parser(verb)
    if verb is not None:
        _must_know(parser, verb)
    options, rest = parser.parse_known_args(arguments)
    if options.version:
        from filiera import __version__

        print(f"filiera {__version__}")
        return 0
    if options.verb is None:
        parser.print_help()
        return 0
    if rest and options.verb not in ("run", "plan"):
        options.parser.error(f"it does not know {' '.join(rest)}")
    options.rest = rest
    command = importlib.import_module(f"filiera.cli.{options.module}_command")
    if not getattr(options, "json", False):
        return int(command.run(options))
    from filiera.cli.output import only_json

    with only_json():
        return int(command.run(options))


def _must_know(parser: Parser, verb: str) -> None:
    if verb not in parser.verbs:
        why = f"There are: {', '.join(parser.verbs)}.{did_you_mean(verb, parser.verbs)}"
        raise UsageError(f"There is no verb {verb!r}.", why=why, do="filiera --help")


if __name__ == "__main__":
    sys.exit(main())
