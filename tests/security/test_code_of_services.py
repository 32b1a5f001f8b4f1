"""A version of a service has code: what came in an archive is not run because somebody serves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.core.products import ProductRef
from filiera.errors import Untrusted
from filiera.project import audit
from filiera.project.project import Project
from filiera.project.serving.packages import require_trust
from tests.cli.conftest import Ask, ask, published  # noqa: F401  fixtures
from tests.cli.published import trusting


def test_code_of_an_archive_is_run_once_somebody_vouches_for_it(published: Path, ask: Ask) -> None:  # noqa: F811
    """What was published here is this project's own; what was imported needs the signature of a trusted key."""
    project = Project.open(published)
    version = project.versions.get("model", ProductRef("m", "1"))
    require_trust(project, version)
    came = audit.entry("publish", version.ref, at=project.clock(), detail={"from": "runs.zip"})
    project.records.write([came])
    refused = r"came in runs\.zip, with code of its own"
    with pytest.raises(Untrusted, match=refused):
        require_trust(project, version)
    key = ask("keys", "new", "--json", cwd=published).data["key"]
    assert ask("sign", "m@1", cwd=published).code == 0
    with pytest.raises(Untrusted, match=refused):  # the key is not one that this project trusts
        require_trust(project, version)
    project.close()
    trusting(published, key)
    project = Project.open(published)
    require_trust(project, version)
    project.close()
