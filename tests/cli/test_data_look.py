"""``filiera data look`` shows what is in an XML file, and a catalog entry that reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Ask

pytest.importorskip("lxml")

SHOP = '<shop day="1"><order id="1"><city>Roma</city><item sku="a"/><item sku="b"/></order><order id="2"/></shop>'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.xml").write_text(SHOP)
    return tmp_path


def test_paths_and_entry_are_shown(ask: Ask, folder: Path) -> None:
    """No project is needed to look."""
    answer = ask("data", "look", "shop.xml", cwd=folder)
    assert answer.code == 0
    assert "      @sku" in answer.out
    assert "[catalog.shop.fields]" in answer.out
    assert 'sku = {path = "item/@sku", many = "list"}' in answer.out


def test_json(ask: Ask, folder: Path) -> None:
    """All of it, for scripts."""
    found = ask("data", "look", "shop.xml", "--json", cwd=folder).data
    assert found["paths"][1] == {"path": "/shop/@day", "count": 1, "most": 1, "examples": ["1"]}
    assert 'records = "/shop/order"' in found["entry"]


def test_what_is_no_xml_is_told(ask: Ask, folder: Path) -> None:
    """With the exit code of sources."""
    (folder / "shop.xml").write_text("a,b\n")
    ask("data", "look", "shop.xml", cwd=folder).said(6, "shop.xml", "not XML")
