"""What every reader of catalog entries promises: inherit, provide the fixtures, and yours is held to it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from filiera.core import plain
from filiera.core.collected import Collected
from filiera.errors import ProjectError, SourceError
from filiera.ports import SourceReader


def loaded(value: Any) -> Any:
    """Return a value that was read, in memory: a query is run, a path stays one."""
    return value.collect() if hasattr(value, "collect_schema") and hasattr(value, "collect") else value


def read(reader: SourceReader, entry: Mapping[str, Any], root: Path) -> Any:
    """Return what a reader reads, in memory, whatever it tells of it."""
    return loaded(reader.read(entry, root, Collected(entry=entry)))


class SourceReaderContract:
    """Inherit, and provide the fixtures ``reader``, ``entry`` and ``project``; override ``change`` and ``same``.

    Where entries have no ``path``, ``place_option`` names the option that says where the source is, and ``missing`` is
    overridden too.
    """

    place_option = "path"

    @pytest.fixture
    def reader(self) -> SourceReader:
        """Return the reader under test."""
        raise NotImplementedError

    @pytest.fixture
    def entry(self) -> Mapping[str, Any]:
        """Return a correct entry; a ``path`` is relative to the project."""
        raise NotImplementedError

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        """Return a folder in *tmp_path* that holds what *entry* names."""
        raise NotImplementedError

    def change(self, project: Path) -> None:
        """Change the content of the source, so that it can still be read."""
        raise NotImplementedError

    def missing(self, path: str) -> str:
        """Return a place where nothing is, in which *path* can be recognised."""
        return path

    def same(self, one: Any, other: Any) -> bool:
        """Tell whether two values that were read are equal."""
        return bool(one == other)

    def test_correct_entry_is_accepted(self, reader: SourceReader, entry: Mapping[str, Any]) -> None:
        """Checking looks at the entry only: nothing needs to be there yet."""
        reader.check(entry)

    def test_unknown_option_is_named_with_those_that_exist(
        self, reader: SourceReader, entry: Mapping[str, Any]
    ) -> None:
        """A misspelt option is never ignored."""
        with pytest.raises(ProjectError, match="pahts") as caught:
            reader.check({**entry, "pahts": "x"})
        assert self.place_option in caught.value.do

    @pytest.mark.parametrize("value", [None, 3, "", ["x"], "a\0b"])
    def test_path_is_a_text(self, reader: SourceReader, entry: Mapping[str, Any], value: Any) -> None:
        """A path of another type is refused before anything is opened."""
        with pytest.raises(ProjectError, match=self.place_option):
            reader.check({**entry, self.place_option: value})

    def test_path_is_needed(self, reader: SourceReader, entry: Mapping[str, Any]) -> None:
        """An entry without a path names nothing."""
        with pytest.raises(ProjectError, match=self.place_option):
            reader.check({name: value for name, value in entry.items() if name != self.place_option})

    def test_reading_twice_gives_equal_values(
        self, reader: SourceReader, entry: Mapping[str, Any], project: Path
    ) -> None:
        """The same source is the same value."""
        assert self.same(read(reader, entry, project), read(reader, entry, project))

    def test_what_was_read_is_told(self, reader: SourceReader, entry: Mapping[str, Any], project: Path) -> None:
        """Once the value is in memory it is known where it came from and how much was read, as plain data."""
        collected = Collected(entry=entry)
        loaded(reader.read(entry, project, collected))
        assert collected.place
        assert collected.size_bytes > 0
        assert collected.entry == entry
        assert plain.decode(plain.encode(collected)) == collected
        json.dumps(collected.more)

    def test_fingerprint_is_the_content_not_the_place(
        self, reader: SourceReader, entry: Mapping[str, Any], project: Path
    ) -> None:
        """A copy of the project elsewhere, with other times of change, has the same fingerprint."""
        copy = project.with_name("elsewhere")
        shutil.copytree(project, copy, copy_function=shutil.copyfile)
        assert reader.fingerprint(entry, project) == reader.fingerprint(entry, copy)

    def test_fingerprint_follows_the_content(
        self, reader: SourceReader, entry: Mapping[str, Any], project: Path
    ) -> None:
        """Changed content is another fingerprint and another value."""
        before, value = reader.fingerprint(entry, project), read(reader, entry, project)
        self.change(project)
        assert reader.fingerprint(entry, project) != before
        assert not self.same(read(reader, entry, project), value)

    @pytest.mark.parametrize("path", ["not/there", "../nor/there", "/nor/here/at/all"])
    def test_missing_source_is_named(
        self, reader: SourceReader, entry: Mapping[str, Any], project: Path, path: str
    ) -> None:
        """What is not there is a SourceError that names the place and says what to do."""
        missing = {**entry, self.place_option: self.missing(path)}
        with pytest.raises(SourceError, match="there") as caught:
            reader.fingerprint(missing, project)
        assert caught.value.do
        with pytest.raises(SourceError, match="there") as caught:
            read(reader, missing, project)
        assert caught.value.do

    def test_environment_variables_are_filled_in_and_not_recorded(
        self, reader: SourceReader, entry: Mapping[str, Any], project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The entry's ``${NAME}`` is filled in when the source is read; a variable that is not set is named."""
        referring = {**entry, self.place_option: "${FILIERA_TESTED_PATH}"}
        reader.check(referring)
        with pytest.raises(ProjectError, match="FILIERA_TESTED_PATH"):
            reader.fingerprint(referring, project)
        monkeypatch.setenv("FILIERA_TESTED_PATH", entry[self.place_option])
        assert self.same(read(reader, referring, project), read(reader, entry, project))
        assert reader.fingerprint(referring, project) == reader.fingerprint(entry, project)
