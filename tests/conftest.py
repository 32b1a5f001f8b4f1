"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# No deadline: how long an example takes says more of the machine than of the code. The suite tries the same examples
# every time, so that it tells of the change at hand; `make campaign` looks for new ones.
settings.register_profile("suite", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("campaign", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile("suite")
