"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# No deadline: how long an example takes says more of the machine than of the code.
settings.register_profile("suite", deadline=None, print_blob=True)
settings.register_profile("campaign", settings.get_profile("suite"), max_examples=2000)
settings.load_profile("suite")
