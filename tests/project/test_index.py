from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from filiera.errors import ProjectError, UsageError
from filiera.project.config import ProjectConfig, load
from filiera.project.index import find_service, import_module, load_pipeline, pipelines

PIPELINE = """
@pipeline(kind="data")
def {name}():
    \"\"\"Summary of {name}.

    More.
    \"\"\"
"""


class Sources:
    """A project whose package has a name that no other test's has, so that this process may import it."""

    def __init__(self, root: Path) -> None:
        self.package = f"p{uuid.uuid4().hex}"
        self.root = root
        (root / "filiera.toml").write_text(f'[project]\nname = "small"\nflows = ["{self.package}"]\n')

    def write(self, module: str, text: str | bytes) -> ProjectConfig:
        """Write a module of the package and return the configuration."""
        file = self.root / self.package / f"{module}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else f"from filiera import pipeline\n{text}".encode())
        return load(self.root)


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    """Return an empty project; what it put on the path is taken away at the end."""
    path = list(sys.path)
    made = Sources(tmp_path)
    yield made
    sys.path[:] = path
    for name in [name for name in sys.modules if name.partition(".")[0] == made.package]:
        del sys.modules[name]


def test_pipelines_are_found_without_importing(sources: Sources) -> None:
    """By name, with module, line and first line of the docstring, in order of file and line."""
    sources.write("b", PIPELINE.format(name="two") + PIPELINE.format(name="three"))
    config = sources.write("a", PIPELINE.format(name="one") + "\nraise RuntimeError\n")
    found = pipelines(config)
    assert [(entry.name, entry.module, entry.line) for entry in found.values()] == [
        ("one", f"{sources.package}.a", 4),
        ("two", f"{sources.package}.b", 4),
        ("three", f"{sources.package}.b", 11),
    ]
    assert found["one"].summary == "Summary of one."
    assert not any(name.startswith(sources.package) for name in sys.modules)


@pytest.mark.parametrize("decorator", ["pipeline(kind='data')", "filiera.pipeline(kind='data')"])
def test_the_decorator_may_be_reached_by_a_module(decorator: str, sources: Sources) -> None:
    """As a name or as an attribute; other decorators make no pipeline."""
    text = f"import filiera\n@{decorator}\ndef one(): ...\n\n@filiera.step\ndef pipeline_step() -> int: ...\n"
    assert list(pipelines(sources.write("a", text))) == ["one"]


def test_a_pipeline_in_the_package_itself(sources: Sources) -> None:
    """``__init__.py`` is the package."""
    config = sources.write("__init__", PIPELINE.format(name="one"))
    assert pipelines(config)["one"].module == sources.package
    assert load_pipeline(config, "one").name == "one"


def test_flows_may_name_a_module(tmp_path: Path) -> None:
    """One file is enough; a file that is named twice is read once."""
    (tmp_path / "filiera.toml").write_text('[project]\nname = "x"\nflows = ["deep.one", "deep"]\n')
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.py").write_text("from filiera import pipeline\n" + PIPELINE.format(name="one"))
    assert list(pipelines(load(tmp_path))) == ["one"]


def test_the_encoding_that_a_file_declares_counts(sources: Sources) -> None:
    """As when Python reads it."""
    text = b"# coding: latin-1\n# caf\xe9\nfrom filiera import pipeline\n" + PIPELINE.format(name="one").encode()
    assert list(pipelines(sources.write("a", text))) == ["one"]


def test_only_the_module_asked_for_is_imported(sources: Sources) -> None:
    """A module beside it that fails harms nothing."""
    sources.write("bad", PIPELINE.format(name="bad") + "\nraise RuntimeError\n")
    config = sources.write("good", PIPELINE.format(name="good"))
    assert load_pipeline(config, "good").name == "good"


@pytest.mark.parametrize("text", ["def x(:\n", PIPELINE.format(name="twice") * 2])
def test_what_is_wrong_elsewhere_stops_no_other_pipeline(text: str, sources: Sources) -> None:
    """A team's file that does not parse is told when a pipeline is not found, and when all are listed."""
    sources.write("bad", f"# pipeline\n{text}")
    config = sources.write("good", PIPELINE.format(name="good"))
    assert load_pipeline(config, "good").name == "good"
    for look in (lambda: pipelines(config), lambda: load_pipeline(config, "gone")):
        with pytest.raises(ProjectError, match="bad"):
            look()


def test_files_that_are_no_modules_are_left_alone(sources: Sources) -> None:
    """Copies that notebooks keep, locks of editors, and links to nowhere."""
    config = sources.write("a", PIPELINE.format(name="one"))
    package = sources.root / sources.package
    (package / ".ipynb_checkpoints").mkdir()
    (package / ".ipynb_checkpoints" / "a.py").write_bytes((package / "a.py").read_bytes())
    (package / ".#a.py").symlink_to("user@host.1")
    (package / "gone.py").symlink_to("nowhere")
    assert list(pipelines(config)) == ["one"]


def test_a_large_project_is_not_listed_in_an_error(sources: Sources) -> None:
    """The first few, how many more, and the closest."""
    config = sources.write("a", "".join(PIPELINE.format(name=f"p{number}") for number in range(2000)))
    with pytest.raises(UsageError) as error:
        load_pipeline(config, "p123x")
    assert "p18, p19 and 1,980 more. Did you mean 'p123'?" in error.value.why


@pytest.mark.parametrize(
    ("name", "why"),
    [("flosw", "It has: flows. Did you mean 'flows'?"), ("../flows", "Did you mean 'flows'?"), ("", "It has: flows.")],
)
def test_an_unknown_pipeline_is_told(name: str, why: str, sources: Sources) -> None:
    """With those there are, and the closest."""
    config = sources.write("a", PIPELINE.format(name="flows"))
    with pytest.raises(UsageError, match="has no pipeline") as error:
        load_pipeline(config, name)
    assert why in error.value.why


def test_a_project_without_pipelines_is_told_how_to_make_one(sources: Sources) -> None:
    """The advice names the package."""
    with pytest.raises(UsageError) as error:
        load_pipeline(sources.write("a", ""), "x")
    assert f"Decorate a function in {sources.package}" in error.value.do


@pytest.mark.parametrize("modules", [("a", "b"), ("a", "a")])
def test_two_pipelines_of_one_name(modules: tuple[str, str], sources: Sources) -> None:
    """In two modules or in one: both places are named."""
    text = PIPELINE.format(name="one")
    if modules[0] == modules[1]:
        config = sources.write("a", text + text)
    else:
        sources.write("a", text)
        config = sources.write("b", text)
    with pytest.raises(ProjectError, match="Two pipelines are called 'one'") as error:
        pipelines(config)
    for module in modules:
        assert f"in {sources.package}.{module}, line" in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"# pipeline\ndef x(:\n", "a.py, line 2"),
        (b"# pipeline\0\n", "a.py"),
        (b"# coding: nonsense\n# pipeline\n", "a.py"),
        (b"x = 'pipeline \xff'\n", "a.py"),
    ],
)
def test_a_file_that_is_no_python(text: bytes, said: str, sources: Sources) -> None:
    """The file and, where there is one, the line are named."""
    with pytest.raises(ProjectError) as error:
        pipelines(sources.write("a", text))
    assert said in str(error.value)


def test_a_package_that_is_missing(tmp_path: Path) -> None:
    """The advice is to make it or to correct the file."""
    (tmp_path / "filiera.toml").write_text('[project]\nname = "x"\nflows = ["nowhere"]\n')
    with pytest.raises(ProjectError, match="'nowhere'") as error:
        pipelines(load(tmp_path))
    assert "correct flows in [project]" in error.value.do


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("exec('x x')", "SyntaxError"),
    ],
)
def test_a_module_that_raises(line: str, said: str, sources: Sources) -> None:
    """Whatever it raises, even the wish to end the process, is an error of the project with file and line."""
    config = sources.write("a", PIPELINE.format(name="one") + f"\n{line}\n")
    with pytest.raises(ProjectError) as error:
        load_pipeline(config, "one")
    assert said in error.value.what
    if "exec" not in line:
        assert f"{sources.package}/a.py, line 10" in error.value.why


def test_a_name_that_is_something_else_in_the_end(sources: Sources) -> None:
    """A module may replace what its text defines; that is told."""
    config = sources.write("a", PIPELINE.format(name="one") + "\none = 3\n")
    with pytest.raises(ProjectError, match="is not a pipeline"):
        load_pipeline(config, "one")


def test_the_project_comes_first_on_the_path(sources: Sources) -> None:
    """Its modules are found before any others."""
    config = sources.write("a", "VALUE = 1")
    assert import_module(config, f"{sources.package}.a").VALUE == 1
    assert sys.path[0] == str(sources.root)


ASSIGNED = '''
from filiera import pipeline_of

def clean(raw: int) -> int:
    return raw

numbers: object = pipeline_of("numbers", [clean], kind="data")
"""Clean the numbers.

More."""

others = pipeline_of("others", [clean], kind="data")
'''


def test_pipelines_of_plain_functions_are_found(sources: Sources) -> None:
    """A variable that pipeline_of makes is a pipeline; a text below it describes it."""
    config = sources.write("a", ASSIGNED)
    found = pipelines(config)
    assert [(entry.name, entry.line, entry.summary) for entry in found.values()] == [
        ("numbers", 8, "Clean the numbers."),
        ("others", 13, ""),
    ]
    assert load_pipeline(config, "numbers").trace({"raw": 1}).nodes[0].name == "clean"


@pytest.mark.parametrize(
    "line", ['a = pipeline_of("b", [])', "a = pipeline_of(NAME, [])", 'a = b = pipeline_of("a", [])']
)
def test_a_variable_is_named_as_its_pipeline(line: str, sources: Sources) -> None:
    """A pipeline could not be found by its name if its variable had another one: that is told."""
    config = sources.write("a", line)
    with pytest.raises(ProjectError, match="line 2: pipeline_of makes"):
        pipelines(config)


SERVICES = """
from filiera import service

@service
def greet(name: str) -> str:
    \"\"\"Greetings.\"\"\"
    return name

@service(name="spam-filter", timeout_s=5)
class Filter:
    def score(self, text: str) -> float:
        return 0.0

@service
async def wait() -> None: ...
"""


def test_services_are_found_beside_pipelines(sources: Sources) -> None:
    """By the name that they are served under, and never taken for pipelines."""
    config = sources.write("a", SERVICES + PIPELINE.format(name="one"))
    names = ["greet", "spam-filter", "wait", "Filter", "one", "gone"]
    package = f"{sources.package}.a"
    assert [find_service(config, name) for name in names] == [
        f"{package}:greet", f"{package}:Filter", f"{package}:wait", "", "", "",
    ]  # fmt: skip
    assert list(pipelines(config)) == ["one"]
    with pytest.raises(UsageError, match="no pipeline 'greet'"):
        load_pipeline(config, "greet")


def test_a_service_and_a_pipeline_of_one_name(sources: Sources) -> None:
    """One name is one thing."""
    config = sources.write("a", SERVICES + PIPELINE.format(name="greet"))
    with pytest.raises(ProjectError, match="A pipeline and a service are called 'greet'"):
        find_service(config, "greet")
