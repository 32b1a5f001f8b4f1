"""Entries with ``type = "sql"``: what is refused before any database is asked, and where passwords may not be."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.sql.entry import address, read_entry, without_credentials
from filiera.errors import ProjectError

GOOD = {"type": "sql", "uri": "postgresql://app:${SHOP_PASSWORD}@db.example.org/shop", "table": "sold"}


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://app:s3cret@db.example.org/shop",
        "postgresql://app:s3cret@/shop?host=/run",
        "postgres://app:${A}s3cret@db.example.org/shop",
        "postgresql://app@db.example.org/shop?password=s3cret",
        "postgresql://app@db.example.org/shop?sslmode=require&sslpassword=s3cret",
        "postgresql://app:s3cret/@db.example.org/shop",
    ],
)
def test_a_password_in_the_file_is_refused(uri: str) -> None:
    """It would be recorded and shown; the message that says so does not show it."""
    with pytest.raises(ProjectError) as caught:
        read_entry({**GOOD, "uri": uri})
    assert "s3cret" not in f"{caught.value} {caught.value!r}"


def test_a_password_in_the_wrong_place_is_not_shown() -> None:
    """An unknown option is named, its value is not."""
    with pytest.raises(ProjectError, match="no option 'password'") as caught:
        read_entry({**GOOD, "password": "s3cret"})
    assert "s3cret" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"uri": "mysql://app@db/shop"}, "names no database"),
        ({"uri": "sqlite:///shop.sqlite"}, "names no database"),
        ({"table": None}, "'table'"),
        ({"query": "SELECT 1"}, "either 'table' or 'query'"),
        ({"columns": []}, "different names"),
        ({"columns": ["a", "a"]}, "different names"),
        ({"columns": "a"}, "different names"),
        ({"key": ["a"]}, "without 'watermark'"),
        ({"late_by": 1}, "without 'watermark'"),
        ({"watermark": "a", "late_by": -1}, "not negative"),
        ({"watermark": "a", "late_by": True}, "not negative"),
        ({"filter": ""}, "needs a text"),
        ({"fliter": "a"}, "Did you mean 'filter'"),
    ],
)
def test_a_wrong_entry_is_refused(change: dict[str, Any], what: str) -> None:
    """With what is wrong and what the option needs."""
    with pytest.raises(ProjectError, match=what):
        read_entry({**GOOD, **change})


@given(password=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_password_is_one(password: str) -> None:
    """Whatever characters it has, it stays within its place in the address, and is hidden in messages."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SHOP_PASSWORD", password)
        found = address(read_entry(GOOD))
    start, end = "postgresql://app:", "@db.example.org/shop"
    assert found.uri.startswith(start)
    assert found.uri.endswith(end)
    quoted = found.uri.removeprefix(start).removesuffix(end)
    assert not set(quoted) & set("@/:?# ")
    assert unquote(quoted) == password
    assert found.hidden(f"no {password} and no {quoted}").count("***") >= 1
    assert repr(found) == "Address(…)"


def test_a_whole_address_may_be_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken as it is; its password is hidden too."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:s3%2Fcret@db/shop")
    entry = read_entry({**GOOD, "uri": "${DATABASE_URL}"})
    found = address(entry)
    assert (found.uri, found.database) == ("postgresql://app:s3%2Fcret@db/shop", "postgresql")
    assert found.hidden("s3%2Fcret s3/cret") == "*** ***"
    assert entry.place == "${DATABASE_URL}, table sold"
    monkeypatch.setenv("DATABASE_URL", "mysql://app:s3cret@db/shop")
    with pytest.raises(ProjectError, match="names no database") as caught:
        address(entry)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:data/shop.sqlite", "sqlite:data/shop.sqlite"),
        ("postgresql://db/shop", "postgresql://db/shop"),
        ("postgresql://${USER}:${PASSWORD}@db/shop?sslmode=require", "postgresql://${USER}@db/shop"),
    ],
)
def test_an_address_for_people(uri: str, shown: str) -> None:
    """Who and where, without password and options."""
    assert without_credentials(uri) == shown
