"""What pages say of the code is what the code says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.prediction_segments import SegmentLog
from filiera.core.service import ServiceOptions
from filiera.core.signature import Field, Output, Signature
from filiera.errors import ProjectError
from filiera.project import config, plugins
from filiera.project.serving import services
from filiera.serving.app import App
from filiera.serving.endpoint import Endpoint
from filiera.serving.feedback import Feedback
from filiera.serving.function_mount import FunctionMount
from filiera.serving.model_mount import ModelMount
from filiera.serving.served_model import ServedModel
from filiera.sql.loader import load_schema
from tests.docs.pages import DOCS, ROOT, program

build = program("build")


@pytest.mark.parametrize("page", sorted(build.GENERATED))
def test_generated_pages_are_up_to_date(page: str) -> None:
    """A page made from the code is as the code would make it now; else: make docs."""
    assert (DOCS / page).read_text(encoding="utf-8") == build.renewed(page)


def test_readme_shows_the_measured_figures() -> None:
    """The table of the README is that of the benchmark results of this version; else: make docs."""
    assert (ROOT / "README.md").read_text(encoding="utf-8") == build.renewed_readme()


@pytest.mark.parametrize("page", build.pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """A link names a file of the repository, and a heading that it has."""
    assert build.broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """A link to a file or heading that is not there is named; one in code or to elsewhere is not."""
    page = tmp_path / "page.md"
    page.write_text("# A b\n[x](#a-b) [y](#c) [z](no.md) [w](https://example.org)\n```\n[c](no.md)\n```\n")
    assert build.broken_links(page) == ["#c", "no.md"]


def documented_keys(heading: str) -> list[str]:
    """Return the keys of the table below a heading of the configuration page."""
    text = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], flags=re.MULTILINE)[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "text"),
    [
        ("`[project]`", "[project]\nodd = 1"),
        ("`[profile.NAME]`", "[profile.local]\nodd = 1"),
        ("`[signing]`", "[signing]\nodd = 1"),
    ],
)
def test_every_key_is_documented(heading: str, text: str, tmp_path: Path) -> None:
    """The keys that ``filiera.toml`` may have are those of the reference."""
    (tmp_path / config.FILE_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError) as caught:
        config.load(tmp_path)
    known = re.findall(r"Known are: ([\w, ]+)\.", caught.value.why)[0].split(", ")
    assert documented_keys(heading) == known


def test_every_key_of_a_service_is_documented(tmp_path: Path) -> None:
    """The keys of ``[service.NAME]`` are those of the reference."""
    (tmp_path / config.FILE_NAME).write_text("[service.x]\nodd = 1", encoding="utf-8")
    with pytest.raises(ProjectError) as caught:
        services.declared_services(config.load(tmp_path))
    known = re.findall(r"Known are: ([\w, ]+)\.", caught.value.why)[0].split(", ")
    assert documented_keys("`[service.NAME]`") == known


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "files", "images", "sql"])
def test_every_option_of_a_source_is_documented(kind: str) -> None:
    """The options of a type of source are those of the reference."""
    with pytest.raises(ProjectError) as caught:
        plugins.source_reader(kind).check({"type": kind, "odd": 1})
    known = re.findall(r"has the options: ([\w, ]+)\.", caught.value.do)[0].split(", ")
    assert sorted(documented_keys(f'`type = "{kind}"`')) == sorted(known)


def test_every_type_of_source_is_documented() -> None:
    """The types of sources that come along are those of the reference."""
    with pytest.raises(ProjectError) as caught:
        plugins.source_reader("odd")
    known = re.findall(r"There are: ([\w, ]+)\.", caught.value.why)[0].split(", ")
    text = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r'^### `type = "(\w+)"`', text, re.MULTILINE)) == known


def test_every_table_is_documented() -> None:
    """The tables of the records are those of the reference."""
    text = (DOCS / "reference" / "stores.md").read_text(encoding="utf-8")
    section = text.partition("## Records\n")[2].partition("\n## ")[0]
    tables = re.findall(r"CREATE TABLE (\w+)", "\n".join(load_schema()))
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(tables)


class Constant:
    """A model that knows one answer."""

    def predict(self, rows: Any) -> list[float]:
        """Return it for each row."""
        return [1.0] * len(rows)


def nothing() -> None:
    """A function that gives nothing."""


def paths_of_a_service() -> Iterator[str]:
    """Yield what a service with one model and one function says it answers at."""
    signature = Signature(
        task="regression",
        inputs=(Field(name="x", type="float64"),),
        outputs=(Output(name="value", type="float64", semantics="value"),),
    )
    served = ServedModel("m", Constant(), version=1, signature=signature)
    feedback = Feedback(lambda: served.contract, SegmentLog(Path("nowhere")))
    model = ModelMount(Endpoint(served), feedback=feedback)
    app = App([model, FunctionMount(nothing, ServiceOptions(name="m"), version="1")])
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/nowhere", "headers": []}
    asyncio.run(app(scope, receive, send))
    yield from json.loads(sent[1]["body"])["paths"]


def test_every_path_of_a_service_is_documented() -> None:
    """The paths that a service answers at are those of the reference."""
    text = (DOCS / "reference" / "http-api.md").read_text(encoding="utf-8")
    documented = {path.replace("{name}", "m") for path in re.findall(r"^\| `(/[^`]+)` \|", text, re.MULTILINE)}
    assert documented == set(paths_of_a_service())
