"""A project that has published versions, without any pipeline having run."""

from __future__ import annotations

from pathlib import Path

from filiera.project.project import Project
from filiera.project.versions import Made, Version

TOML = """\
[project]
name = "small"

[signing]
{rules}
"""


def make_project(root: Path, rules: str = "") -> Path:
    """Write a project without pipelines, with these lines in ``[signing]``, and return its folder."""
    root.mkdir(exist_ok=True)
    (root / "flows").mkdir(exist_ok=True)
    (root / "filiera.toml").write_text(TOML.format(rules=rules), encoding="utf-8")
    return root


def publish(project: Project, content: bytes, *, run: str = "train-1", rows: int = 3) -> Version:
    """Publish a model: bytes of any length, with a note and a folder of two files attached."""
    folder = project.config.root / "folder"
    folder.mkdir(exist_ok=True)
    (folder / "one.txt").write_bytes(b"one" * 3000)
    (folder / "two.txt").write_bytes(b"two" * 3000)
    made = [project.artifacts.put(value) for value in (content, {"note": "a" * 20}, folder)]
    columns = ("digest", "codec", "size_bytes", "inline")
    project.records.write([("put_artifact", {name: getattr(ref, name) for name in columns}) for ref in made])
    attachments = {"note": made[1], "files": made[2]}
    description = {"rows": rows, "metrics": {"f1": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 10}}}
    what = Made(artifact=made[0], description=description, inputs={"rows": "flows@1"}, attachments=attachments)
    return project.versions.publish("model", "m", run_id=run, at=project.clock(), made=what)[0]
