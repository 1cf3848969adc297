"""How a page is looked at: until it is drawn, in a theme, at a width; and what is wrong with it then."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final, Literal

from playwright.sync_api import Frame, Page
from playwright.sync_api import TimeoutError as NeverHappened

from tests.browser.conftest import settle

Theme = Literal["light", "dark"]

# Parts that are loaded on their own stand as grey boxes until then.
_DRAWN: Final = """() => {
    const main = document.querySelector('[data-testid="stMain"]');
    const busy = '[data-testid="stSkeleton"], [data-testid="stSpinner"]';
    const charts = [...document.querySelectorAll('[data-testid^="stBidiComponent"]')];
    return main?.querySelector('h1, h2') && !document.querySelector(busy) && charts.every(root => {
        const own = root.querySelector('.wattle-charts');
        const parts = (root.shadowRoot ?? root).children;
        return parts.length > 0 && (!own || (own.children.length === own.wattleFigures.length
            && [...own.children].every(chart => chart.querySelector('svg.main-svg'))));
    });
}"""

# What sticks out and cannot be scrolled to by itself, as a wide table can.
_STICKING_OUT: Final = """() => {
    const main = document.querySelector('[data-testid="stMain"]');
    const scrolls = element => {
        for (let at = element.parentElement; at && at !== main; at = at.parentElement) {
            if (/auto|scroll|hidden|clip/.test(getComputedStyle(at).overflowX)) return true;
        }
        return false;
    };
    const found = [...main.querySelectorAll('*')].filter(element => {
        const box = element.getBoundingClientRect();
        const isSeen = box.width > 1 && box.height > 1 && getComputedStyle(element).visibility === 'visible';
        return isSeen && (box.right > innerWidth + 1 || box.left < -1) && !scrolls(element);
    }).map(element => element.outerHTML.slice(0, 120));
    if (document.documentElement.scrollWidth > innerWidth) found.push('the page scrolls sideways');
    if (main.scrollWidth > main.clientWidth) found.push('the main part scrolls sideways');
    return found.slice(0, 3);
}"""

AXE: Final = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# Vega draws the points of a metric's small line. Streamlit cannot name them; the figure says it in words.
NOT_OURS: Final = ('[data-testid="stMetricChart"] [role="graphics-symbol"]',)
_AXE_RUN: Final = """([exclude, only]) => axe.run(
    { exclude },
    { resultTypes: ['violations'], iframes: false, ...(only ? { runOnly: only } : {}) },
).then(({ violations }) => violations.filter(({ impact }) => /serious|critical/.test(impact)).flatMap(
    ({ id, nodes }) => nodes.slice(0, 3).map(({ target, html, failureSummary }) =>
        `${id}: ${target.join(' ')} ${html.slice(0, 120)} ${failureSummary.slice(0, 200)}`)))"""


def look_at(tab: Page, path: str) -> None:
    """Open a page and wait until all of it is drawn."""
    tab.goto(path)
    settle(tab)
    tab.wait_for_function(_DRAWN)


def wear(tab: Page, theme: Theme) -> None:
    """Change the theme of the reader's system, which the page follows, and wait until it has."""
    tab.emulate_media(color_scheme=theme)
    tab.wait_for_function(
        "theme => getComputedStyle(document.querySelector('[data-testid=\"stApp\"]')).colorScheme === theme",
        arg=theme,
    )


def sticking_out(tab: Page, width: int) -> list[str]:
    """Return what does not fit into a window so wide; a chart takes a moment to follow."""
    tab.set_viewport_size({"width": width, "height": 900})
    try:
        tab.wait_for_function(f"() => ({_STICKING_OUT})().length === 0")
    except NeverHappened:
        found: list[str] = tab.evaluate(_STICKING_OUT)
        return found
    return []


def broken_rules(tab: Page, *, only: str | None = None) -> list[str]:
    """Return the serious and critical violations that axe-core finds, in the page and in what it embeds."""
    return [rule for frame in tab.frames for rule in _broken_rules(frame, only)]


def _broken_rules(frame: Frame, only: str | None) -> list[str]:
    if frame.evaluate("typeof axe") == "undefined":
        frame.evaluate(AXE)
    found: Any = frame.evaluate(_AXE_RUN, [[[selector] for selector in NOT_OURS], only])
    return [str(rule) for rule in found]
