"""Open a page in a browser of its own, say what it shows: python -m tests.browser.one_visit URL RULES TEXT.

A process, for a test that cannot use the browser of tests/browser: names are looked up by other rules in it.
"""

from __future__ import annotations

import json
import sys

from playwright.sync_api import sync_playwright

from tests.browser.conftest import BROWSER_ARGUMENTS, PATIENCE_MS, Witness
from tests.provide_browser import find_browser


def main(url: str, rules: str, text: str) -> None:
    """Wait for a text; print the heading, all that is to be read, and the complaints, as JSON."""
    arguments = [each for each in BROWSER_ARGUMENTS if not each.startswith("--host-resolver-rules")]
    arguments.append(f"--host-resolver-rules={rules}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    path = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        tab = browser.new_context(ignore_https_errors=True).new_page()
        witness = Witness()
        witness.watch(tab)
        tab.goto(url, timeout=PATIENCE_MS)
        heading = tab.locator("h1").first
        heading.wait_for(timeout=PATIENCE_MS)
        # What the page says needs the API, which it asks with its token.
        tab.get_by_text(text).first.wait_for(timeout=PATIENCE_MS)
        shown = tab.locator("body").inner_text()
        told = {"heading": heading.inner_text(), "text": shown, "complaints": witness.complaints}
        sys.stdout.write(json.dumps(told))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
