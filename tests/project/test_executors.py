"""Runs of one process that share their worker processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.projects import SmallProject

FLOWS = """
    import os

    from filiera import pipeline, step

    FACTOR = 2
    OTHERS = [1]

    @step(cache=False)
    def where(x: int) -> list[int]:
        return [FACTOR * x, OTHERS[-1], os.getpid()]

    @step(cache=False)
    def elsewhere(found: list[int]) -> list[int]:
        return [*found, os.getpid()]

    @pipeline(kind="data")
    def short(x: int):
        return where(x)

    @pipeline(kind="data")
    def long(x: int):
        return elsewhere(where(x))
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_runs_of_one_process_share_workers_that_have_their_code(tmp_path: Path, threads: int) -> None:
    """The second run has the workers of the first one, unless code, variables or the store changed in between.

    With a second thread workers are started as programs, not forked.
    """
    project = SmallProject(tmp_path, {"flows.py": FLOWS}, executor="processes")
    script = f"""
        import importlib, os, shutil, threading
        import flows
        from flows import long, short

        if {threads} > 1:
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        first = short.run(x=3).value("where")
        again = short.run(x=4).value("where")
        assert (first[:2], again[:2]) == ([6, 1], [8, 1]) and first[2] == again[2], (first, again)

        more = long.run(x=5).value("elsewhere")
        assert more[:2] == [10, 1] and more[3] != first[2], "a step that the worker may have otherwise"
        assert long.run(x=6).value("elsewhere")[2:] == more[3:] * 2
        assert short.run(x=6).value("where")[2] == more[3], "the one that rested last"

        if {threads} == 1:
            flows.FACTOR = 5
            assert short.run(x=3).value("where")[:2] == [15, 1], "a constant that was set"
            flows.OTHERS.append(7)
            changed = short.run(x=3).value("where")
            assert changed[:2] == [15, 7], "a list that was changed where it is"
            del flows.OTHERS[-1]
            assert short.run(x=3).value("where")[:2] == [15, 1], "and changed back"

        text = open("flows.py").read().replace("FACTOR * x", "FACTOR * x + 1000")
        open("flows.py", "w").write(text)
        importlib.reload(flows)
        edited = flows.short.run(x=3).value("where")
        assert edited[:2] == [1006, 1], "code that was edited and imported again"
        assert flows.short.run(x=3).value("where")[2] == edited[2]

        os.environ["SOMETHING"] = "else"
        assert flows.short.run(x=3).value("where")[2] != edited[2], "another variable"
        shutil.rmtree(".filiera")
        assert flows.short.run(x=3).run_id == "short-1", "another store in the same place"
        print("done")
    """
    project.write({"script.py": script})
    done = subprocess.run(
        [sys.executable, "-B", "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["done"]), done.stderr


THREADS = """
    import numpy as np
    from sklearn.linear_model import Ridge
    from threadpoolctl import threadpool_info

    from filiera import Resources, pipeline, step

    @step
    def threads() -> list[int]:
        return sorted({library["num_threads"] for library in threadpool_info()})

    two = threads.with_options(resources=Resources(cpu=2), name="two")

    @step
    def fitted() -> np.ndarray:
        chance = np.random.default_rng(0)
        table = chance.normal(size=(20_000, 20))
        return Ridge().fit(table, table @ np.arange(20.0)).coef_

    @pipeline(kind="model")
    def ask():
        return threads(), two(), fitted()
"""


def test_a_step_computes_with_as_many_threads_as_it_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BLAS and OpenMP have one thread where a step says nothing, on every machine, and so their last digits are equal.

    A step of another number of processors is another step to the cache.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    project = SmallProject(tmp_path, {"flows.py": THREADS}, executor="processes")
    first = project.run("ask")
    assert (first.value("threads"), first.value("two")) == ([1], [2])
    digest = first.state.steps["fitted"].outputs[0].digest
    project.replace("filiera.toml", "workers = 2", "workers = 4")
    again = project.run("ask", fresh=("fitted",))
    assert again.state.steps["fitted"].outputs[0].digest == digest
    project.replace("flows.py", "cpu=2", "cpu=3")
    more = project.run("ask")
    assert max(more.value("two")) == 3  # OpenBLAS takes no more than the machine has
    assert project.reasons(more.run_id)["two"] == "processors 2 -> 3"
