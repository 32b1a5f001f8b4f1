"""Patterns that recognise a service by the banner it sends."""

import re
from functools import cache

_GLOBAL = re.compile(r"^(\^?)(\(\?[a-z]+\))(.*)$", re.DOTALL)


@cache
def compiled(pattern: str, flags: str | None) -> re.Pattern[str]:
    """Return a pattern of the collection, which is written for Ruby: flags may stand behind ``^``, ``^`` is of a line.

    >>> bool(compiled("^(?i)cisco", None).search("Cisco"))
    True
    """
    found = _GLOBAL.match(pattern)
    if found:
        pattern = f"{found[2]}{found[1]}{found[3]}"
    ignore_case = re.IGNORECASE if "REG_ICASE" in (flags or "") else re.NOFLAG
    any_line = re.DOTALL if "REG_DOT_NEWLINE" in (flags or "") else re.NOFLAG
    return re.compile(pattern, re.MULTILINE | ignore_case | any_line)
