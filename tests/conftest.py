"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# No deadline: how long an example takes says more of the machine than of the code. The suite tries the same examples
# every time, so that it tells of the change at hand; `make campaign` looks for new ones.
settings.register_profile("suite", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("campaign", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile("suite")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name sets alike in all processes that share the work: their order depends on the hash seed."""
    if isinstance(val, set | frozenset):
        return "{" + ", ".join(sorted(str(item) for item in val if isinstance(item, str | int))) + "}" + argname
    return None
