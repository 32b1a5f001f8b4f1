from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest

from filiera.cli.verbs import build_parser
from tests.cli.command import COMMAND, TOML, done, environment, filiera, make_project
from tests.cli.conftest import Ask

VERBS = sorted(build_parser().verbs)


def test_without_words_it_shows_its_help(ask: Ask, tmp_path: Path) -> None:
    """The bare command tells all verbs, first steps and exit codes."""
    answer = ask(cwd=tmp_path)
    assert answer.code == 0
    assert all(f"\n    {verb}" in answer.out for verb in VERBS)
    assert "first steps:" in answer.out and "exit codes: 0 done" in answer.out


def test_version(ask: Ask, tmp_path: Path) -> None:
    """It says its version, wherever it is asked."""
    assert ask("--version", cwd=tmp_path).out == "filiera 0.1.0\n"


@pytest.mark.parametrize("verb", VERBS)
def test_help_mentions_every_option(verb: str, ask: Ask, tmp_path: Path) -> None:
    """Each verb explains each of its words, outside any project too."""
    answer = ask(verb, "--help", cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    for action in build_parser().verbs[verb]._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                assert f"    {name}" in answer.out
                assert all(option.help for option in sub._actions), name
            continue
        assert action.help, action
        for option in action.option_strings:
            assert option in answer.out


def test_unknown_verb_is_told_with_the_closest(ask: Ask, tmp_path: Path) -> None:
    """A mistyped verb gives all verbs and the one that was probably meant."""
    ask("rus", cwd=tmp_path).said(2, "There is no verb 'rus'", "Did you mean 'runs'?", "filiera --help")


@pytest.mark.parametrize("words", [["runs", "--nix"], ["show"], ["runs", "--limit", "x"], ["versions", "a", "b"]])
def test_words_that_fit_nowhere_are_usage_errors(words: list[str], ask: Ask, tmp_path: Path) -> None:
    """An unknown option, a missing word, a word of another type and one too many each end with code 2 and advice."""
    ask(*words, cwd=tmp_path).said(2, f"Do:  filiera {words[0]} --help")


def test_options_are_not_abbreviated(ask: Ask, project: Path) -> None:
    """The beginning of an option is no option: it could be a parameter of a pipeline."""
    ask("runs", "--js", cwd=project).said(2, "--js")


@pytest.mark.parametrize("verb", [v for v in VERBS if v not in ("init", "demo")])
def test_outside_a_project_every_verb_says_so(verb: str, ask: Ask, tmp_path: Path) -> None:
    """Where there is no filiera.toml, the advice is to change the folder or make a project."""
    words = {"predict": ["m", "f.csv"], "keys": ["show"], "export": ["x", "-o", "f"], "data": ["profile", "a"]}
    words |= {
        "compare": ["a@1", "b@1"],
        "card": ["a"],
        "importance": ["a"],
        "contributions": ["a"],
        "study": ["x"],
        "experiment": ["list"],
        "queue": ["list"],
        "predictions": ["list"],
        "contract": ["show", "a"],
        "rollback": ["a"],
        "feedback": ["a"],
        "ship": ["a", "--to", "b"],
    }
    words |= {name: ["a@1"] for name in ("promote", "sign", "verify", "deploy")}
    needs_one = (
        "run", "plan", "show", "log", "metrics", "resume", "approve", "cancel", "serve", "monitor", "prove", "import",
        "client",
    )  # fmt: skip
    given = words.get(verb, ["x"] if verb in needs_one else [])
    ask(verb, *given, cwd=tmp_path).said(4, "No filiera.toml in", "filiera init NAME")


def test_output_to_a_file_has_no_escape_codes(history: Path) -> None:
    """Colours are for terminals."""
    for words in (
        ["runs"],
        ["explain", "hello-1"],
        ["show", "hello-1"],
        ["doctor"],
        ["run", "hello", "--fresh", "count"],
    ):
        assert "\033" not in done(*words, cwd=history).out


def test_a_reader_that_leaves_is_no_error(history: Path) -> None:
    """``filiera … | head`` is quiet, and a run whose progress nobody reads goes on to its end."""
    for words in (["--help"], ["runs"], ["show", "hello-1", "--json"], ["run", "hello", "--name", "Nobody"]):
        with subprocess.Popen(
            [*COMMAND, *words], cwd=history, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            assert (process.stderr.read(), process.wait()) == (b"", 0)
    assert "Nobody" in done("show", "hello", cwd=history).out
    assert "succeeded" in done("runs", "hello", "--limit", "1", cwd=history).out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_one_line(history: Path) -> None:
    """A full disk under standard output is told on standard error."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "runs"], cwd=history, stdout=full, stderr=subprocess.PIPE, text=True, env=environment()
        )
    assert (done.returncode, done.stderr) == (
        1,
        "filiera: Standard output cannot be written: No space left on device.\n",
    )


def test_closed_output_is_no_error(history: Path) -> None:
    """A command started without standard output or error does its work."""
    script = f'"{COMMAND[0]}" -m filiera.cli.main runs >&- 2>&-'
    assert subprocess.run(["sh", "-c", script], cwd=history, env=environment()).returncode == 0


def test_a_terminal_without_arrows_shows_the_rest(history: Path) -> None:
    """An encoding that lacks a character replaces it."""
    answer = filiera("--help", cwd=history, env={"PYTHONIOENCODING": "ascii"})
    assert (answer.code, answer.err) == (0, "")
    assert "data pipeline  ? dataset flows@1" in answer.out


def test_a_library_that_counts_what_is_left_has_nothing_to_say(tmp_path: Path) -> None:
    """DuckDB prints what its bindings find alive at the end, and finds nothing; nor does what ends late complain."""
    pytest.importorskip("duckdb")
    root = make_project(
        tmp_path / "small",
        code="import duckdb\nfrom filiera import Source, pipeline, step\n"
        "@step\ndef asked() -> duckdb.DuckDBPyRelation:\n    return duckdb.sql('SELECT 1 AS a')\n"
        "@pipeline(kind='data')\ndef flow():\n    return asked()\n"
        "@step\ndef size(rows: object) -> int:\n    return 1\n"
        "@pipeline(kind='data')\ndef lost(rows=Source('lost')):\n    return size(rows)\n",
        toml=TOML + '[catalog.lost]\ntype = "csv"\npath = "lost.csv"\n',
    )
    subprocess.run(["git", "init", "-q", root], check=True)
    for verb in ("run", "plan"):
        answer = filiera(verb, "flow", cwd=root, env={"PYTHONWARNINGS": ""})
        assert (answer.code, answer.err) == (0, "")
    answer = filiera("run", "lost", cwd=root, env={"PYTHONWARNINGS": ""}).said(6, "There is no")
    assert answer.err.splitlines()[-1].startswith("Do:")
