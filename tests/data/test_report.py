"""The page of a profile."""

import re
from html.parser import HTMLParser

import polars as pl

from filiera.data.explore import explore
from filiera.data.report import profile_html

EVIL = "<script>alert('&')</script>\"><img src=x onerror=alert(1)>"
VOID = {"meta", "rect", "path", "img", "br", "tr", "td", "th"}


class Outline(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def page_of(frame, **options):
    return profile_html(explore(frame, title=EVIL, **options)).text


def test_no_text_of_the_data_becomes_markup():
    """Titles, column names, values and classes are text, whatever they hold."""
    frame = pl.DataFrame({EVIL: [EVIL, "b"] * 60, "y": [EVIL, "c"] * 60, "n": range(120)})
    outline = Outline(page_of(frame, target="y"))
    names = {tag for tag, _ in outline.tags}
    assert outline.open == []
    assert not names & {"script", "img", "link", "iframe", "object", "form"}
    assert not [attrs for _, attrs in outline.tags if any(name.startswith("on") for name in attrs)]


def test_page_needs_nothing_from_elsewhere():
    """No address but its own anchors: it works offline and tells nobody that it was read."""
    text = page_of(pl.DataFrame({"a": range(100), "b": ["x", "y"] * 50}), target="b")
    assert not re.search(r"""(https?:)?//|url\(|@import|src=|href=""", text.replace("&lt;img src=x", ""))
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text


def test_page_of_a_very_wide_table_is_a_table_with_folded_cards():
    """Every column has a line; cards are folded in groups; what the page has no room for is counted."""
    frame = pl.DataFrame(
        {f"a_column_with_a_name_that_needs_much_room_on_the_page_{i}": range(i, i + 30) for i in range(1000)}
    )
    text = page_of(frame)
    assert len(text.encode()) <= 5_000_000
    assert Outline(text).open == []
    cards, folds = text.count("<article>"), text.count("<details>")
    left = re.search(r"([\d,]+) columns have no card", text)
    assert cards + (int(left[1].replace(",", "")) if left else 0) == 1000
    assert folds == -(-cards // 50)
    listed, left = text.count("<tr><td>"), re.search(r"And ([\d,]+) further", text)
    assert listed + (int(left[1].replace(",", "")) if left else 0) == 1000


def test_pairs_are_drawn():
    """What goes together is a list of the strongest and a map of all, with the columns' names as text."""
    frame = pl.DataFrame({"a<": range(100), "b": [i * i for i in range(100)], "c": ["x", "y"] * 50})
    text = page_of(frame, associate=frame.columns)
    assert Outline(text).open == []
    assert "a&lt; · b" in text
    assert 'class="map"' in text


def test_estimates_are_told():
    """A page of a table that was not counted whole says so, and how far off its figures may be."""
    text = page_of(pl.DataFrame({"a": range(150_000)}))
    assert "131,072 rows drawn at" in text
    assert "drawn at" not in page_of(pl.DataFrame({"a": range(1000)}))


def test_bars_that_are_not_split_have_no_class_s_colour():
    """Where a column has too many values to be split by the target, its bars are outlines, and the page says so."""
    frame = pl.DataFrame({"id": ["twice"] * 2 + [f"v{i}" for i in range(5998)], "y": ["a", "b"] * 3000})
    assert '<rect class="whole"' in page_of(frame, target="y")
    assert "drawn as outlines" in page_of(frame, target="y")
    assert "outlines" not in page_of(frame)
    assert '<rect class="whole"' not in page_of(frame)


def test_an_empty_text_has_a_name():
    """A bar without a label would look like a mistake."""
    assert ">(empty)</text>" in page_of(pl.DataFrame({"a": ["", "x"] * 50}))


def test_same_table_same_page():
    """The page's bytes depend on the table alone."""
    frame = pl.DataFrame({"a": [i % 17 / 7 for i in range(5000)], "b": [f"v{i % 30}" for i in range(5000)]})
    assert page_of(frame, target="b") == page_of(frame, target="b")
