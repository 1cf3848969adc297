"""Plots as SVG, without any library: a report is one file that opens anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 32, 36
_INK, _LINE, _SHADE = "#334155", "#0f766e", "#fde68a"


@dataclass(frozen=True, slots=True)
class Plot:
    """Points of one line or of bars, in the units of ``unit``; ``shaded``: spans of x, such as pauses."""

    title: str
    unit: str
    points: Sequence[tuple[float, float]]
    labels: tuple[str, str]  # of the first and last x
    shaded: Sequence[tuple[float, float]] = ()
    is_stepped: bool = False
    is_bars: bool = False


def to_svg(plot: Plot) -> str:
    """Return a plot as SVG; one without points says that there is nothing yet."""
    if not plot.points:
        return _frame(plot, [_text(_WIDTH / 2, _HEIGHT / 2, "No values yet", "middle")])
    xs, ys = [x for x, _ in plot.points], [y for _, y in plot.points]
    half = 0.5 if plot.is_bars else 0.0
    scale = _Scale(min(xs) - half, max(xs) + half, min(0.0, *ys), max(0.0, *ys) or 1.0)
    drawn = _bars(plot, scale) if plot.is_bars else [_line(plot, scale)]
    return _frame(plot, [*_shades(plot, scale), *_axes(plot, scale), *drawn])


@dataclass(frozen=True, slots=True)
class _Scale:
    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x0) / ((self.x1 - self.x0) or 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (_HEIGHT - _TOP - _BOTTOM)


def _frame(plot: Plot, parts: Sequence[str]) -> str:
    title = escape(f"{plot.title}, {plot.unit}" if plot.unit else plot.title)
    head = f'<text x="{_LEFT}" y="18" font-weight="600">{title}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{title}" font-family="system-ui, sans-serif" font-size="12" fill="{_INK}">'
        + "".join([head, *parts])
        + "</svg>"
    )


def _shades(plot: Plot, scale: _Scale) -> list[str]:
    height = _HEIGHT - _TOP - _BOTTOM
    return [
        f'<rect x="{scale.x(start):.1f}" y="{_TOP}" width="{max(1.0, scale.x(end) - scale.x(start)):.1f}" '
        f'height="{height}" fill="{_SHADE}" opacity="0.6"/>'
        for start, end in plot.shaded
    ]


def _axes(plot: Plot, scale: _Scale) -> list[str]:
    base, right = scale.y(0.0), _WIDTH - _RIGHT
    lines = [f'<line x1="{_LEFT}" x2="{right}" y1="{base:.1f}" y2="{base:.1f}" stroke="{_INK}"/>']
    ends = [
        _text(_LEFT, _HEIGHT - 12, plot.labels[0], "start"),
        _text(right, _HEIGHT - 12, plot.labels[1], "end"),
    ]
    marks = {scale.y0, 0.0, scale.y1}
    return [*lines, *ends, *(_text(_LEFT - 6, scale.y(mark) + 4, f"{mark:.4g}", "end") for mark in marks)]


def _line(plot: Plot, scale: _Scale) -> str:
    places = [(scale.x(x), scale.y(y)) for x, y in plot.points]
    corners = [places[0]]
    for x, y in places[1:]:
        corners += [(x, corners[-1][1]), (x, y)] if plot.is_stepped else [(x, y)]
    listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{_LINE}"/>' for x, y in places)
    return f'<polyline points="{listed}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>' + dots


def _bars(plot: Plot, scale: _Scale) -> list[str]:
    width = max(1.0, (scale.x(1.0) - scale.x(0.0)) * 0.7)
    return [
        f'<rect x="{scale.x(x) - width / 2:.1f}" y="{min(scale.y(y), scale.y(0.0)):.1f}" width="{width:.1f}" '
        f'height="{abs(scale.y(y) - scale.y(0.0)):.1f}" fill="{_LINE}"/>'
        for x, y in plot.points
    ]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
