"""Lines, points and bars inside two axes, as SVG text: what the plots of an evaluation are made of."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

import numpy as np

from filiera.core.report import Svg
from filiera.model.answers import Floats

COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")
MOST_POINTS = 1000
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460, 350, 58, 16, 48, 44
_TICKS = 5
_LETTER = 6.2
_FAINT = 0.25


class Plot:
    """A drawing that is being made. What lies outside its axes is cut off."""

    def __init__(self, title: str, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.title, self.x, self.y = title, _range(*x), _range(*y)
        self._parts: list[str] = []
        self._names: list[tuple[str, str, float]] = []

    def line(self, x: Floats, y: Floats, colour: str, *, name: str = "", dash: str = "") -> None:
        """Draw a line through points, of at most 1,000."""
        kept = thinned(len(x))
        points = " ".join(f"{self._across(a):.1f},{self._up(b):.1f}" for a, b in zip(x[kept], y[kept], strict=True))
        stroke = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.8"{stroke} points="{points}"/>')
        if name:
            self._names.append((name, colour, 1.0))

    def band(self, x: Floats, low: Floats, high: Floats, colour: str, *, name: str = "") -> None:
        """Fill what lies between two lines."""
        edge = [*zip(x, low, strict=True), *reversed(list(zip(x, high, strict=True)))]
        points = " ".join(f"{self._across(a):.1f},{self._up(b):.1f}" for a, b in edge)
        self._parts.append(f'<polygon fill="{colour}" fill-opacity="{_FAINT}" points="{points}"/>')
        if name:
            self._names.append((name, colour, _FAINT))

    def area(self, x: Floats, y: Floats, colour: str) -> None:
        """Fill what lies inside a line through points."""
        points = " ".join(f"{self._across(a):.1f},{self._up(b):.1f}" for a, b in zip(x, y, strict=True))
        self._parts.append(f'<polygon fill="{colour}" points="{points}"/>')

    def points(self, x: Floats, y: Floats, colour: str, *, radius: float = 2.0) -> None:
        """Draw points, of at most 1,000."""
        kept, look = thinned(len(x)), f'fill="{colour}" fill-opacity="0.45"'
        self._parts += [
            f'<circle cx="{self._across(a):.1f}" cy="{self._up(b):.1f}" r="{radius}" {look}/>'
            for a, b in zip(x[kept], y[kept], strict=True)
        ]

    def whisker(self, x: float, low: float, high: float, colour: str) -> None:
        """Draw an upright interval."""
        across = self._across(x)
        self._parts.append(f'<path stroke="{colour}" d="M{across:.1f},{self._up(low):.1f}V{self._up(high):.1f}"/>')

    def bar(self, x: tuple[float, float], y: tuple[float, float], colour: str, *, hint: str = "") -> None:
        """Draw a filled rectangle."""
        left, right = sorted(map(self._across, x))
        top, bottom = sorted(map(self._up, y))
        told = f"<title>{html.escape(hint)}</title>" if hint else ""
        size = f'width="{max(right - left, 0.5):.1f}" height="{max(bottom - top, 0.5):.1f}"'
        self._parts.append(f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="{colour}">{told}</rect>')

    def svg(self, x_name: str, y_name: str, *, x_ticks: Sequence[str] = ()) -> Svg:
        """Return the drawing with its axes; *x_ticks*, if given, are spread evenly along the lower one."""
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        frame = f'<path fill="none" stroke="#6b7280" d="M{_LEFT},{_TOP}V{bottom}H{right}"/>'
        labels = [_text(_LEFT, 20, self.title, "start", 'font-weight="600" font-size="13"')]
        labels.append(_text((_LEFT + right) / 2, _HEIGHT - 8, x_name, "middle"))
        middle = (_TOP + bottom) / 2
        labels.append(_text(14, middle, y_name, "middle", f'transform="rotate(-90 14 {middle})"'))
        for value in ticks(*self.y):
            up = self._up(value)
            labels.append(f'<path stroke="#e5e7eb" d="M{_LEFT},{up:.1f}H{right}"/>')
            labels.append(_text(_LEFT - 6, up + 4, said(value), "end"))
        last = len(x_ticks) - 1
        for i, name in enumerate(x_ticks):
            anchor = "end" if i == last > 0 else "middle" if i else "start"  # the outer ones stay inside the drawing
            labels.append(_text(_LEFT + (right - _LEFT) * i / max(last, 1), bottom + 16, name, anchor))
        if not x_ticks:
            labels += [_text(self._across(value), bottom + 16, said(value), "middle") for value in ticks(*self.x)]
        names, left = [], float(_LEFT)
        for name, colour, strength in self._names:
            look = f'fill="{colour}" fill-opacity="{strength}"'
            names.append(f'<rect x="{left:.1f}" y="{_TOP - 18}" width="10" height="10" {look}/>')
            names.append(_text(left + 14, _TOP - 9, name, "start"))
            left += 26 + _LETTER * len(name)
        area = f'x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}"'
        clip = f'<clipPath id="in"><rect {area}/></clipPath>'
        inside = f'{clip}<g clip-path="url(#in)">{"".join(self._parts)}</g>'
        return framed(self.title, (_WIDTH, _HEIGHT), "".join(labels) + inside + frame + "".join(names))

    def _across(self, value: float) -> float:
        share = (value - self.x[0]) / (self.x[1] - self.x[0])
        return _LEFT + min(max(share, -1), 2) * (_WIDTH - _LEFT - _RIGHT)

    def _up(self, value: float) -> float:
        share = (value - self.y[0]) / (self.y[1] - self.y[0])
        return _HEIGHT - _BOTTOM - min(max(share, -1), 2) * (_HEIGHT - _TOP - _BOTTOM)


def framed(title: str, size: tuple[float, float], content: str) -> Svg:
    """Return a whole SVG document on white."""
    width, height = size
    return Svg(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{html.escape(title)}" font-family="system-ui, sans-serif" font-size="11" fill="#374151">'
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>{content}</svg>'
    )


def label(x: float, y: float, text: str, anchor: str = "middle", more: str = "") -> str:
    """Return a text, its end, middle or start at a place."""
    return _text(x, y, text, anchor, more)


def thinned(n: int) -> slice:
    """Return every so-manieth of *n* places, at most 1,000."""
    return slice(0, None, max(1, math.ceil(n / MOST_POINTS)))


def ticks(low: float, high: float) -> Iterable[float]:
    """Return about five round numbers between two.

    >>> list(ticks(0, 1))
    [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
    """
    rough = (high - low) / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def said(value: float) -> str:
    """Return a number for people."""
    return "0" if abs(value) < 1e-12 else f"{value:.4g}"


def _range(low: float, high: float) -> tuple[float, float]:
    if not (np.isfinite(low) and np.isfinite(high)) or high <= low:
        low = low if np.isfinite(low) else 0.0
        return low - 0.5, low + 0.5
    return float(low), float(high)


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{html.escape(text)}</text>'
