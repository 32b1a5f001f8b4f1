"""Settings of all tests."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.brokers import kafka_cluster, rabbit_server, redis_server  # noqa: F401  fixtures
from tests.postgres import postgres  # noqa: F401  a fixture

# Each process computes in one thread, also those that tests start: as many processes as processors share the tests, and
# threads that wait for each other's turn by spinning took three quarters of the time. A step of ours has one anyway.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# Garbage is looked for among many objects at a time: tests make millions, and what their process keeps only grows.
gc.set_threshold(50_000)

# No deadline: how long an example takes says more of the machine than of the code. The suite tries the same examples
# every time, so that it tells of the change at hand; `make campaign` looks for new ones.
settings.register_profile("suite", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("campaign", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile("suite")


@pytest.fixture
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write, and hence tell, what happens in a run at once instead of sharing commits, so that a test can step in."""
    monkeypatch.setattr("filiera.engine.journal.FLUSH_AFTER_S", 0.0)


@pytest.fixture(scope="module", autouse=True)
def own_modules_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget after each file of tests what they imported from projects of their own: many of these have equal names."""
    yield
    below = str(tmp_path_factory.getbasetemp())
    sys.path[:] = [folder for folder in sys.path if not folder.startswith(below)]
    for name, module in list(sys.modules.items()):
        places = [getattr(module, "__file__", None) or "", *(getattr(module, "__path__", None) or [])]
        if any(place.startswith(below) for place in places):
            del sys.modules[name]
