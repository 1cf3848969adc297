"""The form, by who has no mouse."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Stack, settle
from tests.programs import wait_until

pytestmark = pytest.mark.slow
MOST_STOPS = 80
_AT = """() => {
    const at = document.activeElement;
    const text = at.tagName === 'MAIN' ? '' : at.innerText.trim().split('\\n').pop();
    const name = at.getAttribute('aria-label') ?? text;
    return [name, getComputedStyle(at).outlineStyle];
}"""


def test_the_form_is_filled_in_and_sent_with_keys_alone(tab: Page, stack: Stack) -> None:
    # While no worker can train, the form is that of the simulator.
    wait_until(lambda: any(worker.torch for worker in stack.db.workers.list_live()))
    tab.goto("/submit")
    expect(tab.get_by_role("button", name="Review")).to_be_visible()
    expect(tab.get_by_text("Optimizer", exact=True)).to_be_visible()
    settle(tab)
    stops: list[list[str]] = []
    while "Review" not in [name for name, _ in stops] and len(stops) < MOST_STOPS:
        tab.keyboard.press("Tab")
        stops.append(tab.evaluate(_AT))
    names = [name for name, _ in stops]
    for field in ("Network", "Dataset", "Optimizer", "Learning rate", "Epochs", "Batch size (images)"):
        assert field in names, names
    assert stops[-1] == ["Review", "solid"], "the focus of a button shows"
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("dialog")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(tab.get_by_role("dialog")).to_have_count(0)
