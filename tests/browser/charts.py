"""What is drawn: read from the SVG that the user sees, not from the data that was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

from playwright.sync_api import Locator, Page

_POLL_MS = 50


class Curve(NamedTuple):
    """One of the four charts of a run."""

    title: str
    traces: int


LOSS = Curve("Loss", 2)
ACCURACY = Curve("Accuracy", 2)
CURVES = (LOSS, ACCURACY, Curve("Energy per epoch", 1), Curve("CO₂ per epoch", 1))


# A line without a path counts as no points.
_POINTS = """chart => [...chart.querySelectorAll(".scatterlayer .trace")].map(trace => {
    const line = trace.querySelector("path.js-line")?.getAttribute("d");
    return line ? trace.querySelectorAll("path.point").length : 0;
})"""


def figure(tab: Page, curve: Curve) -> Locator:
    """Find the chart of a curve."""
    return tab.get_by_role("figure", name=curve.title, exact=True)


def drawn_points(tab: Page, curve: Curve) -> list[int]:
    """Count the markers of each trace."""
    return cast("list[int]", figure(tab, curve).evaluate(_POINTS))


def wait_for_points(tab: Page, curve: Curve, count: int) -> None:
    """Wait until each trace of the curve has that many markers."""
    wait_for(tab, lambda: drawn_points(tab, curve) == [count] * curve.traces)


def wait_for(tab: Page, is_true: Callable[[], bool], *, timeout_ms: float = 100_000) -> None:
    """Wait for what the tab shows; the tab goes on meanwhile."""
    for _ in range(int(timeout_ms / _POLL_MS)):
        if is_true():
            return
        tab.wait_for_timeout(_POLL_MS)
    raise AssertionError(f"did not happen within {timeout_ms} ms")


def x_range(tab: Page, curve: Curve) -> tuple[float, float]:
    """Return the part of the x axis that is shown."""
    first, last = figure(tab, curve).evaluate("chart => chart._fullLayout.xaxis.range")
    return float(first), float(last)


def text_color(tab: Page, curve: Curve) -> str:
    """Return the colour of the chart's title."""
    return str(figure(tab, curve).evaluate("chart => getComputedStyle(chart.querySelector('.gtitle')).fill"))
