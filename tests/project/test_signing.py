"""Versions that are signed, and what becomes of them when something was changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera import Dataset, pipeline, step
from filiera.cli.places import find_model, find_version
from filiera.core.artifact import ArtifactRef
from filiera.core.products import ProductRef
from filiera.errors import ProjectError, Untrusted
from filiera.project import audit
from filiera.project.project import Project
from filiera.project.signing import KEY_VARIABLE, PASSPHRASE_VARIABLE, statement
from filiera.project.versions import Version
from tests.project.published import make_project, publish

LARGE, SMALL = b"large" * 2000, b"small"
Open = Callable[[str], Project]


@step
def rows() -> dict[str, int]:
    return {"a": 1}


@pipeline(kind="data", publishes=Dataset("rows"))
def publishing():
    return rows()


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (KEY_VARIABLE, PASSPHRASE_VARIABLE, "FILIERA_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv(audit.ACTOR_VARIABLE, "ada@lab")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Return what opens one project under other rules of signing."""
    projects = []

    def open_(rules: str = "") -> Project:
        projects.append(Project.open(make_project(tmp_path / "small", rules)))
        return projects[-1]

    yield open_
    for project in projects:
        project.close()


@pytest.fixture
def strict(opened: Open) -> Project:
    """Return a project that requires signatures of its own key, with m@1 signed and m@2 not."""
    plain = opened("")
    trusted = f'trusted = ["{plain.signing.make_key()} Ada Lovelace"]'
    plain.signing.sign(publish(plain, LARGE))
    publish(plain, SMALL, run="train-2")
    return opened(f"{trusted}\nrequire = true")


def by_hand(project: Project, sql: str, *values: object) -> None:
    """Change the records as somebody who knows nothing of us would."""
    project.records.close()
    with closing(sqlite3.connect(project.store / "records.sqlite")) as connection, connection:
        assert connection.execute(sql, values).rowcount > 0


def refused(project: Project, ref: str) -> str:
    """Return why a version cannot be used."""
    with pytest.raises(Untrusted) as error:
        project.versions.resolve("model", ProductRef.parse(ref))
    return str(error.value)


def test_a_signed_version_can_be_used(strict: Project) -> None:
    """It says who signed what, when, and for which project."""
    version = strict.versions.resolve("model", ProductRef.parse("m@1"))
    (found,) = strict.signing.signatures(version)
    assert (found.state, found.owner, found.by, found.project) == ("valid", "Ada Lovelace", "ada@lab", "small")


def test_an_unsigned_version_can_be_looked_at_and_not_used(strict: Project) -> None:
    """Every use goes through one door: an input of a run, a model to serve or predict with, an alias, a file."""
    assert "m@2 is not signed" in refused(strict, "m@2")
    for use in (
        lambda: strict._version("model", ProductRef.parse("m@2")),
        lambda: find_model(strict, "m@2"),
        lambda: find_version(strict, "m@2", to_use=True),
        lambda: strict.versions.promote(ProductRef.parse("m@2"), "champion", reason="", at=1.0),
    ):
        with pytest.raises(Untrusted):
            use()
    assert find_version(strict, "m@2").number == 2
    assert strict.versions.find()[0].aliases == ()


def test_signing_it_makes_it_usable(strict: Project) -> None:
    """Signing again changes nothing and is not noted twice."""
    version = find_version(strict, "m@2")
    first = strict.signing.sign(version)
    assert strict.signing.sign(version) == first
    assert strict.versions.resolve("model", ProductRef.parse("m@2")) == version
    noted = audit.find(strict.records, action="sign")
    assert [(row.actor, row.subject, row.detail["key"]) for row in noted] == [
        ("ada@lab", "m@2", first.key),
        ("ada@lab", "m@1", first.key),
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE product_version SET artifact = (SELECT artifact FROM product_version WHERE number = 2)",
        "UPDATE product_version SET body = REPLACE(body, '0.9', '1.0') WHERE number = 1",
        "UPDATE product_version SET body = REPLACE(body, '\"rows\":3', '\"rows\":4') WHERE number = 1",
        "UPDATE product_version SET body = REPLACE(body, 'flows@1', 'flows@2') WHERE number = 1",
        "UPDATE product_version SET run_id = 'train-9' WHERE number = 1",
        "UPDATE product_version SET created_at = created_at + 1 WHERE number = 1",
        "UPDATE signature SET \"by\" = 'eve@lab'",
        "UPDATE signature SET at = at - 1",
        "UPDATE signature SET project = 'other'",
        "UPDATE signature SET signature = 'AAAA'",
    ],
)
def test_an_edited_record_is_refused(strict: Project, sql: str) -> None:
    """Whatever of a version or its signature is changed in the records, it is no longer what was signed."""
    by_hand(strict, sql)
    assert "m@1 is not what was signed" in refused(strict, "m@1")


def test_a_replaced_attachment_is_refused(strict: Project) -> None:
    """Another artifact under the name of an attachment is not what was signed, though its bytes are whole."""
    version = find_version(strict, "m@1")
    other = strict.artifacts.put({"note": "b" * 20})
    row = {name: getattr(other, name) for name in ("digest", "codec", "size_bytes", "inline")}
    strict.records.write([("put_artifact", row)])
    sql = "UPDATE product_version SET body = REPLACE(body, ?, ?) WHERE number = 1"
    by_hand(strict, sql, version.attachments["note"].digest, other.digest)
    assert "is not what was signed" in refused(strict, "m@1")


def test_a_signature_of_another_version_is_refused(strict: Project) -> None:
    """A signature cannot be moved to a version that was not signed."""
    by_hand(strict, "UPDATE signature SET number = 2")
    assert "m@2 is not what was signed" in refused(strict, "m@2")
    assert "m@1 is not signed" in refused(strict, "m@1")


def test_a_key_that_is_not_trusted_does_not_count(strict: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can make a key; what it signs is shown, and refused."""
    monkeypatch.setenv(KEY_VARIABLE, str(strict.config.root.parent / "other.pem"))
    strict.signing.make_key()
    assert strict.signing.sign(find_version(strict, "m@2")).state == "untrusted"
    assert "is signed by no key that is trusted here" in refused(strict, "m@2")


def test_a_key_taken_for_another_is_refused(strict: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing the trusted key's name beside another key's signature helps nobody."""
    trusted = strict.signing.load_key()
    monkeypatch.setenv(KEY_VARIABLE, str(strict.config.root.parent / "other.pem"))
    strict.signing.make_key()
    strict.signing.sign(find_version(strict, "m@2"))
    by_hand(strict, "UPDATE signature SET key = ? WHERE number = 2", trusted)
    assert "m@2 is not what was signed" in refused(strict, "m@2")


def test_a_second_signature_that_is_trusted_counts(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version may have many signatures; one trusted is enough, and a key that is no longer trusted is not."""
    project = opened("")
    version = publish(project, SMALL)
    keys = []
    for name in ("one", "two"):
        monkeypatch.setenv(KEY_VARIABLE, str(project.config.root.parent / f"{name}.pem"))
        keys.append(project.signing.make_key())
        project.signing.sign(version)
    for trusted in keys:
        strict = opened(f'trusted = ["{trusted}"]\nrequire = true')
        assert strict.versions.resolve("model", ProductRef("m")).ref == "m@1"
        assert [one.state for one in strict.signing.signatures(version)].count("valid") == 1


def test_flipped_bits_are_named(strict: Project) -> None:
    """Files and small values are read and compared, the files of a folder too."""
    version = find_version(strict, "m@1")
    assert [(part.name, part.blobs, part.fault) for part in strict.signing.parts(version)] == [
        ("artifact", 1, ""),
        ("files", 2, ""),
        ("note", 0, ""),
    ]
    for digest, _, _ in list(strict.blobs.blobs()):
        path = strict.blobs.path(digest)
        content = bytearray(path.read_bytes())
        content[5] ^= 1
        path.chmod(0o644)
        path.write_bytes(content)
    by_hand(strict, "UPDATE artifact SET inline = ? WHERE digest = ?", b"x", version.attachments["note"].digest)
    faults = [part.fault for part in strict.signing.parts(find_version(strict, "m@1"))]
    assert all("damaged" in fault or "do not have" in fault for fault in faults), faults


def test_what_is_published_is_signed_when_asked(opened: Open) -> None:
    """With sign = "always", a version is usable as soon as its run has ended."""
    trusted = f'trusted = ["{opened("").signing.make_key()}"]'
    project = opened(f'{trusted}\nrequire = true\nsign = "always"')
    assert project.versions.resolve("model", ProductRef("m", str(publish(project, SMALL).number))).number == 1
    assert [row.action for row in audit.find(project.records)] == ["sign", "publish", "key"]


def test_publishing_again_signs_what_was_not(opened: Open) -> None:
    """A run that was killed between publishing and signing signs when it is resumed."""
    publish(opened(""), SMALL)
    key = opened("").signing.make_key()
    project = opened(f'trusted = ["{key}"]\nsign = "always"')
    version = publish(project, SMALL)
    assert (version.number, [one.state for one in project.signing.signatures(version)]) == (1, ["valid"])


def test_keys_are_outside_the_project(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default in the user's folder; the configuration or a variable may say otherwise."""
    assert opened("").signing.key_file == tmp_path / "config" / "filiera" / "keys" / "small.pem"
    assert opened('key = "../elsewhere.pem"').signing.key_file == tmp_path / "elsewhere.pem"
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "told.pem"))
    assert opened('key = "elsewhere.pem"').signing.key_file == tmp_path / "told.pem"


def test_a_missing_key_is_told_before_a_run(opened: Open) -> None:
    """A project that signs everything does not begin work that it could not publish."""
    project = opened('sign = "always"')
    with pytest.raises(ProjectError, match="filiera keys new"):
        project.assemble(publishing, {})


def test_an_encrypted_key_signs(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrase comes from the environment."""
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "secret words")
    project = opened("")
    project.signing.make_key()
    assert project.signing.sign(publish(project, SMALL)).state == "untrusted"
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    with pytest.raises(ProjectError, match="Set FILIERA_KEY_PASSPHRASE"):
        project.signing.load_key()


NAMES = st.text("abc", min_size=1, max_size=3)
REFS = st.builds(
    lambda digit, size: ArtifactRef(digest=digit * 64, codec="json/1", size_bytes=size),
    st.sampled_from("0123"),
    st.integers(0, 3),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
VERSIONS = st.builds(
    Version,
    kind=st.sampled_from(["model", "dataset"]),
    name=NAMES,
    number=st.integers(1, 3),
    artifact=REFS,
    run_id=NAMES,
    created_at=st.floats(0, 9),
    description=st.dictionaries(NAMES, VALUES, max_size=3),
    inputs=st.dictionaries(NAMES, NAMES, max_size=2),
    attachments=st.dictionaries(NAMES, REFS, max_size=3),
)


def said(version: Version) -> bytes:
    return statement(version, project="p", by="ada", at=1.0)


@given(version=VERSIONS)
def test_a_statement_does_not_depend_on_order(version: Version) -> None:
    """Dictionaries in another order make the same statement, and aliases, which move, are not in it."""
    turned = {name: dict(reversed(getattr(version, name).items())) for name in ("description", "inputs", "attachments")}
    assert said(replace(version, **turned, aliases=("champion",))) == said(version)


@given(one=VERSIONS, other=VERSIONS)
def test_different_versions_make_different_statements(one: Version, other: Version) -> None:
    """Nothing that a version says can be changed without changing the statement."""
    if said(one) == said(other):
        # Equal as Python compares them, except that it takes 1, 1.0 and True for equal.
        assert one == other


def test_a_statement_says_what_it_is() -> None:
    """Its first line is its kind, so that nothing else that is signed can be taken for it."""
    ref = ArtifactRef(digest="0" * 64, codec="json/1", size_bytes=3)
    version = Version(
        kind="model", name="m", number=1, artifact=ref, run_id="t-1", created_at=2, description={}, inputs={}
    )
    first, _, rest = said(version).partition(b"\n")
    assert first == b"filiera/version-statement/1"
    assert rest == (
        b'{"artifact":{"codec":"json/1","digest":"' + b"0" * 64 + b'","size_bytes":3},"at":1.0,"attachments":{},'
        b'"by":"ada","description":{},"inputs":{},"kind":"model","name":"m","number":1,"project":"p",'
        b'"published_at":2.0,"run":"t-1"}'
    )
