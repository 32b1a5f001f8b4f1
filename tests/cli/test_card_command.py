from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.command import copied, done, filiera
from tests.cli.conftest import Ask


@pytest.fixture
def own(shop: Path, tmp_path: Path) -> Path:
    """Return a copy of the shop that a test may change."""
    return copied(shop, tmp_path / "own")


def test_a_card_says_all_that_the_record_says(shop: Path, ask: Ask) -> None:
    """Metrics with their dummy, gates, inputs with domains, data, parameters, lineage, environment, aliases."""
    card = ask("card", "spender", cwd=shop).out
    assert card.startswith("# spender@1\n\nclassification · sklearn.tree.\\_classes.DecisionTreeClassifier")
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Metrics", "Classes", "Gates", "Inputs", "Outputs", "Training data", "Parameters",
        "Importances by the model itself", "Lineage", "Made by", "Aliases",
    ]  # fmt: skip
    assert "- passed: accuracy at least 0.8: lower bound" in card
    assert "| pieces | int64   | 1 or more" in card
    assert "- 300 rows to train on, 2 columns in" in card
    assert "| fit  | depth     | 5     |" in card
    assert "- orders@1, 300 rows, table/1" in card and "\n  - orders (" in card
    assert "| scikit-learn |" in card and "filiera prove spender@1" in card
    assert "champion | to 1 |" in card


def test_a_card_is_a_page(shop: Path, ask: Ask, tmp_path: Path) -> None:
    """With the same tables and a drawing; what cannot be written is told."""
    file = tmp_path / "card.html"
    assert ask("card", "spender@1", "--html", str(file), cwd=shop).code == 0
    page = file.read_text()
    assert "<title>spender@1</title>" in page and "<h2>Gates</h2>" in page and "<svg" in page
    ask("card", "spender@1", "--html", str(tmp_path / "no" / "card.html"), cwd=shop).said(2, "cannot be written")


def test_authors_have_the_first_word(own: Path, ask: Ask) -> None:
    """A text beside the pipeline is kept with the version; another text is another version, of the same model."""
    words = own / "shopflows" / "spender.md"
    words.write_text("Finds *big* orders.\n\n## Limits\n\nOnly Italy and Germany.\n")
    done("run", "train", cwd=own)
    card = ask("card", "spender@2", cwd=own).out
    assert "Finds *big* orders.\n\n## Limits\n\nOnly Italy and Germany." in card.partition("## Metrics")[0]
    assert "Finds" not in ask("card", "spender@1", cwd=own).out + ask("show", "spender@2", cwd=own).out
    words.write_bytes(b"\xff")
    filiera("run", "train", cwd=own).said(4, "spender.md cannot be read", "It is not UTF-8")


def test_a_card_says_what_is_lost(own: Path, ask: Ask) -> None:
    """What the record has of its own is shown even when the store has lost all values."""
    shutil.rmtree(own / ".filiera" / "blobs")
    with closing(sqlite3.connect(own / ".filiera" / "records.sqlite")) as records, records:
        records.execute("UPDATE artifact SET inline = NULL")
    card = ask("card", "spender@1", cwd=own).out
    assert "The evaluation itself is lost" in card and "| accuracy" in card and "of 1 gates passed" in card


def test_only_models_have_cards(shop: Path, ask: Ask) -> None:
    """A dataset has a profile; an unknown name is told."""
    ask("card", "orders@1", cwd=shop).said(2, "models and services have cards", "filiera data profile orders@1")
    ask("card", "spendr", cwd=shop).said(2, "Did you mean 'spender'?")
