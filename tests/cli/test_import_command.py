from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import done, filiera, make_project


@pytest.fixture(scope="module")
def archive(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive with hello-1."""
    file = tmp_path_factory.mktemp("archive") / "runs.filiera"
    done("export", "hello-1", "-o", file, cwd=history)
    return file


def test_a_name_that_is_taken_is_told(archive: Path, project: Path) -> None:
    """The run gets the next number, once; as data it is told alike."""
    done("run", "hello", "--name", "Bo", cwd=project)
    first = done("import", archive, "--json", cwd=project).data
    assert first == {
        "runs": [{"there": "hello-1", "here": "hello-2", "is_new": True}],
        "versions": [],
        "results": 2,
    }
    assert done("import", archive, cwd=project).out == (
        "hello-1 is here already, as hello-2\n0 cached results are new here\n"
    )
    assert [run["run"] for run in done("runs", "--json", cwd=project).data] == ["hello-1", "hello-2"]


def test_versions_come_when_asked_for(shop: Path, tmp_path: Path) -> None:
    """Without --products no version is published, with it each gets this project's next number."""
    from tests.cli.shop import make_shop

    file = tmp_path / "runs.filiera"
    done("export", "orders", "train", "-o", file, cwd=shop)
    other = make_shop(tmp_path / "other")
    done("import", file, cwd=other)
    assert done("versions", "--json", cwd=other).data == []
    answer = done("import", file, "--products", cwd=other)
    assert "published orders@1, orders@1 there\npublished spender@1, spender@1 there\n" in answer.out
    kept = [(f"{it['name']}@{it['version']}", it["aliases"]) for it in done("versions", "--json", cwd=other).data]
    assert sorted(kept) == [("orders@1", []), ("spender@1", ["champion"])]
    assert "unchanged, still model spender@1" in done("run", "train", cwd=other).out


def test_a_damaged_archive_is_told(archive: Path, project: Path, tmp_path: Path) -> None:
    """A cut, changed or missing file is one sentence, and the project is as before."""
    sound = archive.read_bytes()
    damaged = tmp_path / "damaged.filiera"
    for content in (sound[:1000], sound[: len(sound) // 2], sound.replace(b"hello", b"hellO"), b""):
        damaged.write_bytes(content)
        filiera("import", damaged, cwd=project).said(6, "damaged.filiera", "Why:", "Do:")
    filiera("import", tmp_path / "missing", cwd=project).said(2, "missing")
    assert done("runs", "--json", cwd=project).data == []


def test_another_folder_needs_a_project(archive: Path, tmp_path: Path) -> None:
    """Outside a project there is nothing to import into."""
    assert make_project(tmp_path / "small").is_dir()
    filiera("import", archive, cwd=tmp_path).said(4, "filiera.toml")
