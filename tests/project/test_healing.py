"""Damaged bytes are set aside and forgotten, and what made them is the only thing that runs again."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.core.artifact import ArtifactRef
from filiera.project.healing import DAMAGED, heal, heal_inputs
from filiera.project.project import Project
from tests.projects import SmallProject, statuses

FILES = {
    "flows/__init__.py": "",
    "flows/long.py": '''
        """Three steps with large values, the middle one with a folder."""

        import tempfile
        from pathlib import Path

        from filiera import pipeline, step


        @step
        def first(x: int) -> bytes:
            return bytes([x]) * 10_000


        @step
        def second(content: bytes) -> Path:
            folder = Path(tempfile.mkdtemp()) / "made"
            folder.mkdir()
            (folder / "a").write_bytes(content[:6000] + b"a")
            (folder / "b").write_bytes(content[:6000] + b"b")
            return folder


        @step
        def third(folder: Path) -> bytes:
            return b"".join(sorted(file.read_bytes() for file in folder.iterdir()))


        @step
        def small(content: bytes) -> int:
            return len(content)


        @pipeline(kind="data")
        def long(x: int = 1):
            return small(third(second(first(x))))
        ''',
}


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    made = SmallProject(tmp_path, FILES)
    assert made.run("long").status == "succeeded"
    return made


def ref_of(project: SmallProject, step: str) -> ArtifactRef:
    return project.state("long-1").steps[step].outputs[0]


def damage(project: Project, digest: str) -> None:
    """Change the last byte of a blob, as a disk might."""
    file = project.store / "blobs" / digest[:2] / digest[2:]
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1] + b"?")


def files_of(project: Project, ref: ArtifactRef) -> list[str]:
    from filiera.adapters.codecs.files import children

    row = project.records.read("get_artifact", {"digest": ref.digest, "codec": ref.codec})[0]
    return children(row["inline"])


def test_damaged_bytes_are_made_again(project: SmallProject) -> None:
    """Damaged bytes are kept aside, and the next run computes the step that made them and no other."""
    ref = ref_of(project, "third")
    with project.opened() as opened:
        damage(opened, ref.digest)
        healed = heal(opened, ref.digest)
        assert (healed.was, healed.forgotten) == ("damaged", (("long-1", "third"),))
        assert healed.moved_to is not None and healed.moved_to.parent == opened.store / DAMAGED
        assert healed.moved_to.read_bytes().endswith(b"?")
        assert heal(opened, ref.digest).was == "missing"
    again = project.run("long")
    assert statuses(again) == {"first": "hit", "second": "hit", "third": "succeeded", "small": "hit"}
    with project.opened() as opened:
        assert heal(opened, ref.digest).was == "sound"


def test_sound_bytes_are_left_alone(project: SmallProject) -> None:
    """What has its digest stays, in the store and in the cache."""
    with project.opened() as opened:
        for step in ("first", "third", "small"):
            healed = heal(opened, ref_of(project, step).digest)
            assert (healed.was, healed.moved_to, healed.forgotten) == ("sound", None, ())
    assert set(statuses(project.run("long")).values()) == {"hit"}


def test_damaged_bytes_in_the_records(project: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small value whose bytes changed in the records is set aside too, and made again."""
    ref = ref_of(project, "small")
    row = {"digest": ref.digest, "codec": ref.codec, "size_bytes": ref.size_bytes}
    with project.opened() as opened:
        opened.records.write([("drop_artifact", row), ("put_artifact", {**row, "inline": b"99999"})])
        assert heal(opened, ref.digest).was == "damaged"
        assert [file.read_bytes() for file in (opened.store / DAMAGED).iterdir()] == [b"99999"]
    assert statuses(project.run("long"))["small"] == "succeeded"


def test_inputs_that_are_damaged_are_told(project: SmallProject) -> None:
    """Of several inputs those are told that lack bytes or have damaged ones, in any of their files."""
    first, second, third = (ref_of(project, step) for step in ("first", "second", "third"))
    with project.opened() as opened:
        row = opened.records.read("get_artifact", {"digest": second.digest, "codec": second.codec})[0]
        second = ArtifactRef(
            digest=second.digest, codec=second.codec, size_bytes=second.size_bytes, inline=row["inline"]
        )
        assert heal_inputs(opened, [first, second, third, first]) == ()
        damage(opened, files_of(opened, second)[0])
        opened.blobs.delete(third.digest)
        assert heal_inputs(opened, [first, second, third, first]) == (second, third)
    again = project.run("long")
    assert statuses(again) == {"first": "hit", "second": "succeeded", "third": "succeeded", "small": "hit"}
