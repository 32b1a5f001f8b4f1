"""The code of a service version, packed and loaded beside the project's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from filiera.core.package import Code
from filiera.errors import ProjectError
from filiera.project.packed_code import load, pack

FILES = {
    "packd/__init__.py": "from packd.rates import RATE\n",
    "packd/rates.py": "RATE = {}\n",
    "packd/work/inner.py": "from ..rates import RATE as OWN\nimport packd.rates\nimport json\n\n\ndef both():\n"
    "    from packd import late\n    return OWN, packd.rates.RATE, packd.RATE, late.value(), json.loads('1')\n",
    "packd/late.py": "import packd.rates as rates\n\n\ndef value():\n    return rates.RATE\n",
    "packd/unused.py": "raise RuntimeError\n",
}


def packed(root: Path, rate: int) -> Code:
    """Return a small package with this rate, packed from one of its functions' modules."""
    for name, text in FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(rate))
    return pack(["packd.work.inner"], root)


def test_what_a_module_imports_at_any_time_is_packed(tmp_path: Path) -> None:
    """Relative, absolute, inside a function; folders without a file too; nothing else."""
    code = packed(tmp_path, 1)
    assert list(code.modules) == ["packd", "packd.late", "packd.rates", "packd.work", "packd.work.inner"]
    assert code.packages == ("packd", "packd.work")


def test_two_versions_of_a_package_live_in_one_process(tmp_path: Path) -> None:
    """Each finds its own modules by every way of importing them; the folder is not needed, nor its name taken."""
    codes = [packed(tmp_path, rate) for rate in (1, 2)]
    for file in tmp_path.rglob("*.py"):
        file.unlink()
    found = [sys.modules[load(code)("packd.work.inner")].both() for code in (*codes, codes[0])]
    assert found == [(1, 1, 1, 1, 1), (2, 2, 2, 2, 1), (1, 1, 1, 1, 1)]
    assert "packd" not in sys.modules
    assert load(codes[0])("json") == "json"


def test_code_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    """A module from elsewhere; one that cannot be imported here."""
    with pytest.raises(ProjectError, match="not in"):
        pack(["packd"], tmp_path)
    code = Code(modules={"packd": "import no_such_library\n"}, packages=())
    with pytest.raises(ProjectError, match=r"packd.*no_such_library"):
        load(code)
