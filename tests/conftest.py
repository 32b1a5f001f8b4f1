"""Settings of all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.brokers import kafka_cluster, rabbit_server, redis_server  # noqa: F401  fixtures
from tests.postgres import postgres  # noqa: F401  a fixture

# No deadline: how long an example takes says more of the machine than of the code. The suite tries the same examples
# every time, so that it tells of the change at hand; `make campaign` looks for new ones.
settings.register_profile("suite", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("campaign", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile("suite")


@pytest.fixture
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write, and hence tell, what happens in a run at once instead of sharing commits, so that a test can step in."""
    monkeypatch.setattr("filiera.engine.journal.FLUSH_AFTER_S", 0.0)
