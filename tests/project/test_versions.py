"""Versions of products and the aliases that point at them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.core.artifact import ArtifactRef
from filiera.core.digest import blob_digest
from filiera.core.products import ProductKind, ProductRef
from filiera.errors import StoreError, UsageError
from filiera.project.versions import Made, Version, Versions


@pytest.fixture
def records(tmp_path: Path) -> SqliteRecords:
    return SqliteRecords(tmp_path / "records.sqlite")


@pytest.fixture
def versions(records: SqliteRecords) -> Versions:
    return Versions(records)


def artifact(records: SqliteRecords, content: bytes) -> ArtifactRef:
    """Return a recorded small artifact."""
    ref = ArtifactRef(digest=blob_digest(content), codec="bytes/1", size_bytes=len(content), inline=content)
    row = {"digest": ref.digest, "codec": ref.codec, "size_bytes": ref.size_bytes, "inline": content}
    records.write([("put_artifact", row)])
    return ref


def publish(
    records: SqliteRecords, content: bytes, *, run: str = "train-1", kind: ProductKind = "model"
) -> tuple[Version, bool]:
    ref = artifact(records, content)
    made = Made(artifact=ref, description={"rows": 3}, inputs={"raw": "raw"}, attachments={"report": ref})
    return Versions(records).publish(kind, "m", run_id=run, at=5.0, made=made)


def test_a_version_has_all_that_was_published(records: SqliteRecords, versions: Versions) -> None:
    """What is read of a version is what was published, small values with their bytes."""
    version, is_new = publish(records, b"one")
    assert is_new
    assert (version.ref, version.kind, version.run_id, version.created_at) == ("m@1", "model", "train-1", 5.0)
    assert (version.description, version.inputs) == ({"rows": 3}, {"raw": "raw"})
    assert version.artifact.inline == b"one"
    assert version.attachments == {"report": version.artifact}
    assert versions.resolve("model", ProductRef("m")) == version
    assert versions.find() == [version]


def test_equal_content_is_no_new_version(records: SqliteRecords) -> None:
    """Only what differs from the newest version is new, whoever publishes it."""
    numbers = [publish(records, content, run=f"train-{i}") for i, content in enumerate((b"a", b"a", b"b", b"b", b"a"))]
    assert [(version.number, is_new) for version, is_new in numbers] == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
        (3, True),
    ]
    assert numbers[1][0].run_id == "train-0"


def test_a_run_publishes_its_content_once(records: SqliteRecords) -> None:
    """A run that publishes again what it has published finds its version, though a newer one has come."""
    publish(records, b"a", run="train-1")
    publish(records, b"b", run="train-2")
    version, is_new = publish(records, b"a", run="train-1")
    assert (version.ref, is_new) == ("m@1", False)
    assert publish(records, b"b", run="train-1")[0].ref == "m@2"


def test_the_first_model_is_champion(records: SqliteRecords, versions: Versions) -> None:
    """The first version of a model gets the alias, later ones do not; datasets have none."""
    assert publish(records, b"a")[0].aliases == ("champion",)
    assert publish(records, b"b")[0].aliases == ()
    assert versions.resolve("model", ProductRef.parse("m@champion")).number == 1


def test_datasets_have_no_champion(records: SqliteRecords) -> None:
    """A dataset is used by its newest version."""
    assert publish(records, b"a", kind="dataset")[0].aliases == ()
    assert records.read("find_aliases") == []


def test_runs_that_publish_at_once_get_their_own_versions(tmp_path: Path) -> None:
    """Each of many drivers at once gets a number of its own, and is told its own version, not another's."""
    stores = [SqliteRecords(tmp_path / "records.sqlite") for _ in range(4)]
    stores[0].read("find_aliases")

    def drive(number: int) -> list[tuple[bytes, Version]]:
        contents = [f"{number}-{i}".encode() for i in range(8)]
        return [(content, publish(stores[number], content, run=f"train-{number}")[0]) for content in contents]

    with ThreadPoolExecutor(4) as threads:
        made = [pair for found in threads.map(drive, range(4)) for pair in found]
    assert sorted(version.number for _, version in made) == list(range(1, 33))
    assert all(version.artifact.inline == content for content, version in made)
    first = min((version for _, version in made), key=lambda version: version.number)
    assert Versions(stores[0]).resolve("model", ProductRef.parse("m@champion")).number == first.number
    for store in stores:
        store.close()


def test_promoting_moves_an_alias(records: SqliteRecords, versions: Versions) -> None:
    """An alias points at one version at a time, by number or by another alias."""
    publish(records, b"a")
    publish(records, b"b")
    promoted = versions.promote(ProductRef.parse("m@2"), "champion", reason="better", at=9.0)
    assert (promoted.ref, promoted.aliases) == ("m@2", ("champion",))
    versions.promote(ProductRef.parse("m@champion"), "canary", reason="", at=9.0)
    assert {version.ref: version.aliases for version in versions.find()} == {"m@2": ("canary", "champion"), "m@1": ()}


@pytest.mark.parametrize(
    ("ref", "alias", "words"),
    [
        ("m@9", "champion", "no model m@9"),
        ("m@nobody", "champion", r"no model m@nobody.\nWhy: The store has: m@1…1, m@champion"),
        ("other@1", "champion", "other"),
        ("m@1", "latest", "'latest' always means the newest version"),
        ("m@1", "a b", "'a b' cannot name an alias"),
        ("m@1", "2", "'2' cannot name an alias"),
    ],
)
def test_wrong_promotions_are_refused(
    records: SqliteRecords, versions: Versions, ref: str, alias: str, words: str
) -> None:
    """What is not there cannot be promoted, and what is reserved or malformed is no alias; nothing moves."""
    publish(records, b"a")
    with pytest.raises(UsageError, match=words):
        versions.promote(ProductRef.parse(ref), alias, reason="", at=9.0)
    assert [row["alias"] for row in records.read("find_aliases")] == ["champion"]


def test_versions_are_listed_newest_first(records: SqliteRecords, versions: Versions) -> None:
    """Lists have the newest first, of one product when asked, and as many as asked."""
    for content in (b"a", b"b", b"c"):
        publish(records, content)
    assert [version.number for version in versions.find(kind="model", name="m", limit=2)] == [3, 2]
    assert [version.number for version in versions.find(limit=2)] == [3, 2]
    assert versions.kind_of("m") == "model"
    with pytest.raises(UsageError):
        versions.kind_of("n")


def test_versions_are_listed_page_after_page(records: SqliteRecords, versions: Versions) -> None:
    """Each page begins before the last version of the one before; together they have every version once."""
    for content in (b"a", b"b", b"c"):
        publish(records, content)
        publish(records, content, kind="dataset")
    for kind, name, expected in (("model", "m", 3), ("", "", 6)):
        found: list[Version] = []
        while page := versions.find(kind=kind, name=name, before=found[-1] if found else None, limit=2):
            found += page
        assert len({(version.kind, version.number) for version in found}) == len(found) == expected


def test_a_lost_small_value_is_an_error_of_the_store(versions: Versions) -> None:
    """A version whose small value is not in the records says so, instead of being half a version."""
    with pytest.raises(StoreError, match="Artifact 000000000000 is not in the records"):
        versions.inline("0" * 64, "json/1")
