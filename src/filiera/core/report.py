"""Documents a step may return: shown to people as they are, never interpreted by us."""

from __future__ import annotations

from filiera.core.value import dataclass


@dataclass(frozen=True, slots=True)
class Html:
    """An HTML page. It is shown in a sandbox, so its scripts reach nothing.

    >>> Html("<h1>Flows</h1>").text
    '<h1>Flows</h1>'
    """

    text: str  #: the whole page


@dataclass(frozen=True, slots=True)
class Markdown:
    """A text in Markdown.

    >>> Markdown("# Flows").text
    '# Flows'
    """

    text: str  #: the whole text


@dataclass(frozen=True, slots=True)
class Svg:
    """A drawing; what a stored Matplotlib figure comes back as.

    >>> Svg("<svg/>").text
    '<svg/>'
    """

    text: str  #: the whole document, from ``<?xml`` or ``<svg`` on
