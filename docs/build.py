"""Renew the generated parts of the pages and check the links between them: ``make docs``.

A page with the line ``MARK`` is written by hand above it and made from the code below it. The tests compare both.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from filiera import __version__, errors, ports
from filiera.cli import main as command
from filiera.serving.problem import TITLES

DOCS = Path(__file__).parent
ROOT = DOCS.parent
MARK = "<!-- From here on made by `make docs`. -->\n"
_FIGURES = "<!-- figures made by `make docs` -->\n"
_END_OF_FIGURES = "<!-- end of figures -->\n"
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def commands() -> str:
    """Return every verb with its arguments and options, from the parser."""
    sections = []
    for name, text, sub in _verbs(command.build_parser(), ""):
        known = [action for action in sub._actions if action.dest not in ("help", "profile")]
        rows = [_row(_called(action), action.help or "") for action in known]
        usage = _usage(name, sub)
        table = _table(("argument or option", "meaning"), rows) if rows else ""
        sections.append(f"## {name}\n\n{_sentence(text)}\n\n```\n{usage}\n```\n\n{table}".rstrip())
    return "\n\n".join(sections)


def _verbs(parser: argparse.ArgumentParser, group: str) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield each verb with its help and parser; of a verb that has verbs of its own, those."""
    for verbs in (action for action in parser._actions if isinstance(action, argparse._SubParsersAction)):
        texts = {choice.dest: choice.help or "" for choice in verbs._choices_actions}
        for name, sub in verbs.choices.items():
            found = list(_verbs(sub, f"{group}{name} "))
            yield from found or [(f"{group}{name}", texts[name], sub)]


def _usage(name: str, parser: argparse.ArgumentParser) -> str:
    positional = [action for action in parser._actions if not action.option_strings]
    words = [f"[{a.dest.upper()}]" if a.nargs == "?" else a.dest.upper() for a in positional]
    return " ".join(["filiera", name, *words, "[options]"])


def _called(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.dest.upper()}`"
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return f"`{', '.join(action.option_strings)}{value}`"


def exit_codes() -> str:
    """Return the meaning of each exit code, from the command's docstring, and the errors that lead to it."""
    told = re.search(r"Exit codes: (.*?)\.\n", command.__doc__ or "", re.DOTALL)
    assert told is not None
    meanings = dict(part.split(" ", 1) for part in " ".join(told[1].split()).split("; "))
    rows = []
    for code, meaning in meanings.items():
        kinds = [f"[`{kind.__name__}`](errors.md)" for kind in error_classes() if kind.exit_code == int(code)]
        rows.append(_row(f"`{code}`", meaning, ", ".join(kinds)))
    return _table(("code", "meaning", "errors"), rows)


def error_classes() -> Iterator[type[errors.FilieraError]]:
    """Yield every class of error, in the order of the file."""
    for found in vars(errors).values():
        if isinstance(found, type) and issubclass(found, errors.FilieraError):
            yield found


def error_list() -> str:
    """Return every class of error with its base and exit code."""
    rows = [
        _row(f"`{kind.__name__}`", f"`{kind.__base__.__name__}`", f"`{kind.exit_code}`", _first_line(kind.__doc__))
        for kind in error_classes()
    ]
    return _table(("error", "is a", "exit code", "what it means"), rows)


def port_list() -> str:
    """Return every port with its methods, from the source of the module."""
    tree = ast.parse(Path(ports.__file__).read_text(encoding="utf-8"))
    sections = []
    for port in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        methods = [node for node in port.body if isinstance(node, ast.FunctionDef)]
        rows = [
            _row(f"`{_signature(method)}`", " ".join((ast.get_docstring(method) or "").split())) for method in methods
        ]
        sections.append(
            f"## {port.name}\n\n{ast.get_docstring(port)}\n\n{_table(('method', 'what it promises'), rows)}"
        )
    return "\n\n".join(sections)


def _signature(method: ast.FunctionDef) -> str:
    is_property = any(ast.unparse(item) == "property" for item in method.decorator_list)
    returns = ast.unparse(method.returns) if method.returns else "None"
    given = ast.unparse(method.args).removeprefix("self").removeprefix(", ")
    return f"{method.name}: {returns}" if is_property else f"{method.name}({given}) -> {returns}"


def http_problems() -> str:
    """Return every kind of problem that a service answers with."""
    rows = [_row(str(status), f"`urn:filiera:problem:{kind}`", title) for kind, (status, title) in TITLES.items()]
    return _table(("status", "type", "title"), rows)


def profile_fields() -> str:
    """Return every value of a profile with its fields, from the source of the module."""
    source = (ROOT / "src" / "filiera" / "data" / "profile.py").read_text(encoding="utf-8")
    lines, sections = source.splitlines(), []
    for kind in (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)):
        fields = [node for node in kind.body if isinstance(node, ast.AnnAssign)]
        rows = [
            _row(
                f"`{ast.unparse(field.target)}`",
                f"`{ast.unparse(field.annotation)}`",
                lines[field.lineno - 1].partition("#: ")[2],
            )
            for field in fields
        ]
        sections.append(f"## {kind.name}\n\n{ast.get_docstring(kind)}\n\n{_table(('field', 'type', 'meaning'), rows)}")
    return "\n\n".join(sections)


GENERATED: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands,
    "reference/exit-codes.md": exit_codes,
    "reference/errors.md": error_list,
    "reference/ports.md": port_list,
    "reference/http-api.md": http_problems,
    "reference/profile.md": profile_fields,
}


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _table(header: tuple[str, ...], rows: list[str]) -> str:
    return "\n".join([_row(*header), f"|{'---|' * len(header)}", *rows])


def _sentence(text: str | None) -> str:
    return f"{(text or '')[:1].upper()}{(text or '')[1:]}."


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def renewed(page: str) -> str:
    """Return a generated page as it should be."""
    by_hand = (DOCS / page).read_text(encoding="utf-8").partition(MARK)[0]
    return f"{by_hand}{MARK}\n{GENERATED[page]()}\n"


def renewed_readme() -> str:
    """Return the README with the figures of the newest benchmark results."""
    results = (ROOT / "benchmarks" / "results" / f"{__version__}.md").read_text(encoding="utf-8")
    goals, table, *_ = results.partition("\n\n")[2].split("\n\n")
    figures = "\n".join(line for part in (goals, "", table) for line in (part.splitlines() or [""]) if _is_shown(line))
    before, _, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition(_FIGURES)
    return f"{before}{_FIGURES}\n{figures}\n\n{_END_OF_FIGURES}{rest.partition(_END_OF_FIGURES)[2]}"


def _is_shown(line: str) -> bool:
    """Tell whether the README has room for a line of the results: not for each query of the store, and the like."""
    return not any(words in line for words in ("store of", "same store", " store: write", "memory with mapped files"))


def pages() -> list[Path]:
    """Return every page of documentation."""
    return [
        *sorted(ROOT.glob("*.md")),
        *sorted(DOCS.rglob("*.md")),
        ROOT / "examples/README.md",
        ROOT / "benchmarks/README.md",
    ]


def broken_links(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere: to no file of the repository, or to no heading of it."""
    broken = []
    for link in _LINK.findall(_without_code(page.read_text(encoding="utf-8"))):
        place, _, heading = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if "://" in link or link.startswith("mailto:"):
            continue
        if not target.exists() or (heading and heading not in _anchors(target)):
            broken.append(link)
    return broken


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def main() -> int:
    """Write what is out of date, print broken links."""
    made = {DOCS / page: renewed(page) for page in GENERATED} | {ROOT / "README.md": renewed_readme()}
    for page, text in made.items():
        if text != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
            print(f"renewed {page.relative_to(ROOT)}")
    broken = [f"{page.relative_to(ROOT)}: {link} leads nowhere" for page in pages() for link in broken_links(page)]
    print("\n".join(broken) or f"all links between {len(pages())} pages lead somewhere")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
