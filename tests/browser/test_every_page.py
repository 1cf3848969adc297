"""What holds of every page of the site; which there are, is read from views/site.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Stack, Witness
from tests.browser.own_stack import own_stack, start_worker
from tests.browser.places import VIEWS, Place, empty_places, paths, places
from tests.browser.scene import fill
from tests.browser.seeing import broken_rules, look_at, sticking_out, wear

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
PHONE_PX, TABLET_PX, LAPTOP_PX, WALL_PX = 360, 768, 1280, 2560
# All that is waited for comes; what a busy machine needs for it is no fault of a page.
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Stack, Path]]:
    """A Wattle that nobody has used yet."""
    with own_stack(ports=20_500) as started:
        yield started


def inspect(browser: Browser, stack: Stack, wanted: Iterable[Place]) -> list[str]:
    """Return what is wrong with these pages."""
    wrong = []
    context = browser.new_context(base_url=stack.url, viewport={"width": LAPTOP_PX, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    for place in wanted:
        tab, witness = context.new_page(), Witness()
        witness.watch(tab)
        wrong += [f"{place.path}: {problem}" for problem in _problems(tab, place)]
        wrong += [f"{place.path}: it asked for {url}" for url in witness.left_this_machine()]
        wrong += [f"{place.path}: the console says {text}" for text in witness.complaints]
        tab.close()
    context.close()
    return wrong


def _problems(tab: Page, place: Place) -> Iterator[str]:
    look_at(tab, place.path)
    yield from broken_rules(tab)
    wear(tab, "dark")
    # What is not about colour is the same in the dark.
    yield from broken_rules(tab, only="color-contrast")
    for width in (PHONE_PX, TABLET_PX, WALL_PX):
        yield from (f"{problem} at {width} px" for problem in sticking_out(tab, width))


def test_the_site_has_pages_and_nothing_is_looked_at_that_it_has_not() -> None:
    found = paths()
    assert len(found) == len(set(found)) >= 12
    assert found.count("") == 1
    assert set(VIEWS) <= set(found)


def test_every_page_without_a_run_can_be_read_by_all_and_fits_every_screen(
    browser: Browser, site: tuple[Stack, Path]
) -> None:
    assert inspect(browser, site[0], empty_places()) == []


def test_every_page_full_of_runs_can_be_read_by_all_and_fits_every_screen(
    browser: Browser, site: tuple[Stack, Path]
) -> None:
    stack, folder = site
    start_worker(stack)
    assert inspect(browser, stack, places(fill(stack, folder, trained=2))) == []
