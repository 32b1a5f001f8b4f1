from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Ask


def test_versions_are_listed(shop: Path, ask: Ask) -> None:
    """What each is, where it points, and which run published it."""
    out = ask("versions", cwd=shop).out
    assert "spender@1  model    champion" in out and "300 rows × 4 columns" in out
    assert [v["name"] for v in ask("versions", "--json", cwd=shop).data] == ["spender", "orders"]


def test_json_has_the_documented_fields(shop: Path, ask: Ask) -> None:
    """A version is named by its content."""
    (version,) = ask("versions", "spender", "--json", cwd=shop).data
    assert set(version) == {
        "kind", "name", "version", "aliases", "digest", "codec", "size_bytes", "run", "created_at", "inputs",
        "description", "fit", "collected",
    }  # fmt: skip
    assert (version["version"], version["inputs"]) == (1, {"rows": "orders@1"})
    assert "champion" in version["aliases"]
    assert len(version["digest"]) == 64
    assert version["description"]["task"] == "classification"


def test_a_full_page_says_how_to_go_on(shop: Path, ask: Ask) -> None:
    """The next page begins before the last version of this one."""
    assert ask("versions", "--limit", "1", cwd=shop).out.splitlines()[-1] == (
        "older: filiera versions --limit 1 --before spender@1"
    )
    words = ["versions", "--limit", "1", "--before", "spender@1"]
    assert [version["name"] for version in ask(*words, "--json", cwd=shop).data] == ["orders"]
    assert ask("versions", "orders", "--before", "orders@1", cwd=shop).out == "There are no older versions.\n"
    ask("versions", "--limit", "0", cwd=shop).said(2, "--limit takes 1 to 10000, not 0")


def test_before_the_first_there_is_nothing(project: Path, ask: Ask) -> None:
    """An empty store is no error; a name it does not have is one."""
    assert ask("versions", cwd=project).out == "Nothing is published yet.\n"
    ask("versions", "orders", cwd=project).said(2, "no dataset or model 'orders'")


def test_a_mistyped_name_is_told(shop: Path, ask: Ask) -> None:
    """With the closest."""
    ask("versions", "spendr", cwd=shop).said(2, "Did you mean 'spender'?")


def test_show_a_version(shop: Path, ask: Ask, tmp_path: Path) -> None:
    """Its facts first, then tables; the content can be written to a file."""
    lines = ask("show", "orders@1", cwd=shop).out.splitlines()
    assert lines[0] == "dataset    orders@1"
    assert "checks     3 passed" in lines and "rows       300" in lines
    assert "pieces   Int64" in lines
    model = ask("show", "spender@champion", cwd=shop).out
    assert "task       classification" in model and "\naccuracy " in model
    assert ask("show", "spender", "--json", cwd=shop).code == 2
    assert ask("show", "spender@1", "--json", cwd=shop).data["name"] == "spender"
    assert ask("show", "orders@1", "--open", str(tmp_path / "o.parquet"), cwd=shop).code == 0
    assert (tmp_path / "o.parquet").read_bytes()[:4] == b"PAR1"
