"""Curves as SVG, drawn here: a report that is sent on needs neither a script nor a request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Final

from api.report.parts import Chart, Line

WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 30, 40
# Both have a contrast of at least 3:1 with white and with the dark background.
COLORS: Final = ("#2f7de1", "#c9601a", "#12906f", "#c7509a")
_MOST_POINTS: Final = 500
_LARGEST: Final = 1e300
_SMALLEST: Final = 1e-300
_ALONE: Final = (
    "<style>svg{color:#333;background:#fcfcfb}"
    "@media(prefers-color-scheme:dark){svg{color:#ddd;background:#0f1114}}</style>"
)


def draw(chart: Chart, *, is_alone: bool = False) -> str:
    """Return the chart as an SVG element, in the colour of the text around it.

    is_alone: it is a picture by itself, and brings its own colours for both themes.
    """
    lines = [_thinned(line) for line in chart.lines]
    x_low, x_high = _range([value for line in lines for value in line.x])
    y_low, y_high = _range([value for line in lines for value in line.y if value is not None])
    if chart.is_from_zero:
        y_low = min(0.0, y_low)
    frame = _Frame(x_low, x_high, y_low, y_high)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"',
        f' aria-label="{escape(chart.title)}" font-family="system-ui, sans-serif" font-size="12">',
        _ALONE if is_alone else "",
        f'<text x="{_LEFT}" y="16" font-weight="600" fill="currentColor">{escape(chart.title)}</text>',
        *_legend(lines),
        *frame.axes(chart.x_label),
        *(part for place, line in enumerate(lines) for part in frame.curve(line, _color(place))),
        "</svg>",
    ]
    return "".join(parts)


class _Frame:
    """From values to places in the picture."""

    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float) -> None:
        self._x_low, self._x_high = x_low, x_high
        self._y_ticks = _ticks(y_low, y_high)
        self._y_low, self._y_high = min(y_low, self._y_ticks[0]), max(y_high, self._y_ticks[-1])

    def axes(self, x_label: str) -> Iterable[str]:
        """Yield grid lines with their values."""
        for value in self._y_ticks:
            y = self._y(value)
            yield (
                f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" '
                f'stroke-opacity=".15"/><text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" '
                f'fill="currentColor" fill-opacity=".75">{value:g}</text>'
            )
        for value in _ticks(self._x_low, self._x_high):
            if self._x_low <= value <= self._x_high:
                yield (
                    f'<text x="{self._x(value):.1f}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle" '
                    f'fill="currentColor" fill-opacity=".75">{value:g}</text>'
                )
        yield (
            f'<text x="{(WIDTH + _LEFT - _RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle" '
            f'fill="currentColor" fill-opacity=".75">{escape(x_label)}</text>'
        )

    def curve(self, line: Line, color: str) -> Iterable[str]:
        """Yield a curve's pieces; a value between two unknown ones is a dot."""
        known = zip(line.x, line.y, strict=True)
        for is_known, piece in groupby(known, key=lambda point: point[1] is not None):
            if not is_known:
                continue
            places = [(self._x(x), self._y(y)) for x, y in piece if y is not None]
            if len(places) == 1:
                yield f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3" fill="{color}"/>'
                continue
            text = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            yield f'<polyline points="{text}" fill="none" stroke="{color}" stroke-width="2"/>'

    def _x(self, value: float) -> float:
        share = (value - self._x_low) / (self._x_high - self._x_low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        share = (value - self._y_low) / (self._y_high - self._y_low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _color(place: int) -> str:
    return COLORS[place % len(COLORS)]


def _legend(lines: Sequence[Line]) -> Iterable[str]:
    x = WIDTH - _RIGHT
    named = [(place, line) for place, line in enumerate(lines) if line.name]
    for place, line in reversed(named):
        name = line.name if len(line.name) <= 24 else f"{line.name[:23]}…"
        yield f'<text x="{x}" y="16" text-anchor="end" fill="currentColor">{escape(name)}</text>'
        x -= 8 * len(name)
        yield f'<circle cx="{x - 4}" cy="12" r="4" fill="{_color(place)}"/>'
        x -= 20


def _thinned(line: Line) -> Line:
    """Keep the first and the last point and some evenly between them."""
    if len(line.x) <= _MOST_POINTS:
        return line
    step = (len(line.x) - 1) / (_MOST_POINTS - 1)
    kept = sorted({round(place * step) for place in range(_MOST_POINTS)})
    return Line(line.name, [line.x[place] for place in kept], [line.y[place] for place in kept])


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and the highest value, a little apart where they are one."""
    # Of more than that no distance is a float any more.
    finite = [min(_LARGEST, max(-_LARGEST, value)) for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if high - low <= max(_SMALLEST, 1e-9 * max(abs(low), abs(high))):
        gap = abs(low) / 2 if abs(low) > _SMALLEST else 0.5
        return low - gap, high + gap
    return low, high


def _ticks(low: float, high: float) -> list[float]:
    """Return about five round values that cover a range."""
    raw = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{place * step:.12g}") for place in range(first, last + 1)]
