"""Photograph every page: ``make screenshots``.

A private Wattle is started and filled with real runs; each page is taken in both themes, as a phone shows it
too, and with an empty store. The pictures lie in docs/images/screenshots afterwards, which git ignores; with
``--readme``, those of them that the README shows are written anew.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import BROWSER_ARGUMENTS, PATIENCE_MS, Stack, Witness
from tests.browser.own_stack import own_stack, start_worker
from tests.browser.places import Place, empty_places, places
from tests.browser.scene import fill
from tests.browser.seeing import Theme, look_at
from tests.programs import ROOT
from tests.provide_browser import REMEDY, find_browser

IMAGES: Final = ROOT / "docs" / "images"
OUTPUT: Final = IMAGES / "screenshots"
WIDE_PX, PHONE_PX, HEIGHT_PX = 1440, 360, 900
PORTS: Final = 22_000
THEMES: Final[Sequence[Theme]] = ("light", "dark")
# Which pictures the README shows, cut off below this many pixels.
README: Final = {"start": 900, "run": 1150, "leaderboard": 820}


def main(arguments: Sequence[str] | None = None) -> int:
    """Take all pictures; 1 when a page complained while it was photographed."""
    parser = argparse.ArgumentParser("tests.browser.photographs", description="Photograph every page.")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: %(default)s")
    parser.add_argument("--readme", action="store_true", help="write the pictures of the README anew")
    parser.add_argument("--only", nargs="*", default=(), help="names of pictures; default: all")
    options = parser.parse_args(arguments)
    path = find_browser()
    if path is None:
        sys.stderr.write(f"There is no Chromium. {REMEDY}\n")
        return 1
    # So that the programs are ended, too, by who is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    witness = Witness()
    with sync_playwright() as playwright, own_stack(ports=PORTS) as (stack, folder):
        browser = playwright.chromium.launch(executable_path=path, args=list(BROWSER_ARGUMENTS))
        if not options.only:
            photograph(browser, stack, empty_places(), options.output / "empty", witness)
        start_worker(stack)
        wanted = [
            place for place in places(fill(stack, folder)) if not options.only or place.name in options.only
        ]
        photograph(browser, stack, wanted, options.output, witness)
        browser.close()
    if options.readme:
        cut_out(options.output)
    complaints = [*witness.complaints, *witness.left_this_machine()]
    print(
        "\n".join(
            ["", *complaints, f"{len(list(options.output.rglob('*.png')))} pictures in {options.output}"]
        )
    )
    return 1 if complaints else 0


def photograph(
    browser: Browser, stack: Stack, wanted: Sequence[Place], output: Path, witness: Witness
) -> None:
    """Take each place wide and narrow, in both themes."""
    for theme in THEMES:
        context = browser.new_context(
            base_url=stack.url, viewport={"width": WIDE_PX, "height": HEIGHT_PX}, color_scheme=theme
        )
        context.set_default_timeout(PATIENCE_MS)
        for place in wanted:
            tab = context.new_page()
            witness.watch(tab)
            look_at(tab, place.path)
            for width in (WIDE_PX, PHONE_PX):
                tab.set_viewport_size({"width": width, "height": HEIGHT_PX})
                _take(tab, output / f"{theme}-{width}" / f"{place.name}.png")
            tab.close()
            print(f"{place.name} ({theme})", end=" ", flush=True)
        context.close()


def cut_out(taken: Path) -> None:
    """Cut the pictures of the README out of those that were taken."""
    for theme in THEMES:
        for name, height in README.items():
            with Image.open(taken / f"{theme}-{WIDE_PX}" / f"{name}.png") as picture:
                part = picture.convert("RGB").crop((0, 0, WIDE_PX, min(height, picture.height)))
                part.save(IMAGES / f"{name}-{theme}.png", optimize=True)


def _take(tab: Page, path: Path) -> None:
    """Take the whole page: Streamlit scrolls a part of it, which is as high as the window."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = tab.viewport_size
    assert before is not None
    height = int(tab.evaluate("document.querySelector('[data-testid=stMain]')?.scrollHeight ?? 0"))
    tab.set_viewport_size({"width": before["width"], "height": max(HEIGHT_PX, min(height, 6000))})
    tab.wait_for_timeout(400)
    tab.screenshot(path=path)
    tab.set_viewport_size(before)


if __name__ == "__main__":
    raise SystemExit(main())
