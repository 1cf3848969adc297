"""What others wrote is shown as it is, and what others run is kept out."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from schema import RunError
from tests.acted_run import ActedRun
from tests.browser.charts import wait_for
from tests.browser.conftest import Stack, Witness, settle

pytestmark = pytest.mark.slow

PICTURE = "![x](http://elsewhere.test/p.png)"
TAG = "<img src=http://elsewhere.test/q.png>"
# Icons and emoji by name, signs between spaces, a size, colours, formulas.
REPLACED = "a -> b <- c -- d >= e ~= f :100: :streamlit: :material/close: 32x32 :red[g] $h^2$ `i` *j*"


@pytest.fixture
def foreign(stack: Stack) -> ActedRun:
    """A run of a third party's trainer: nobody checks what its fields say."""
    run = ActedRun(stack.db, network=PICTURE, dataset=TAG, optimizer=REPLACED)
    stack.db.runs.describe(run.lease, {"energy_source": PICTURE, "intensity_source": f"{TAG} {REPLACED}"})
    stack.db.log.append(run.lease, [PICTURE, TAG, REPLACED])
    run.record(2, quality=None)
    run.finish(RunError(kind=PICTURE, message=f"{PICTURE}\n\n    {TAG}\n# {REPLACED}", traceback=REPLACED))
    return run


def shown(text: str) -> str:
    """What the reader sees: characters without a width are not seen."""
    return text.replace("\u2060", "")


def test_text_in_a_run_is_shown_as_it_is_and_fetches_nothing(tab: Page, foreign: ActedRun) -> None:
    tab.goto(f"/run?iid={foreign.run_id}")
    settle(tab)

    heading = tab.get_by_role("heading", level=2)
    expect(heading).to_contain_text("elsewhere.test")
    assert shown(heading.inner_text()) == f"{PICTURE} · {TAG} · {REPLACED}"
    error = tab.get_by_test_id("stAlertContentError")
    wanted = [f"{PICTURE}: {PICTURE}", TAG, f"# {REPLACED}"]
    wait_for(tab, lambda: shown(error.locator("p").inner_text()).splitlines() == wanted)
    tab.get_by_role("button", name="Open", exact=True).click()
    expect(tab.get_by_role("option").filter(has_text=foreign.run_id[:8])).to_contain_text(PICTURE)
    tab.keyboard.press("Escape")
    tab.get_by_role("tab", name="Log").click()
    log = tab.get_by_role("log", name="Log").filter(has_text=TAG)
    expect(log).to_contain_text(REPLACED)
    for text in (error, log):
        assert text.evaluate("text => getComputedStyle(text).fontVariantLigatures") == "no-contextual"


def test_the_table_of_runs_fetches_nothing_either(tab: Page, foreign: ActedRun) -> None:
    tab.goto(f"/runs?q={foreign.run_id}")
    settle(tab)

    row = tab.get_by_test_id("stDataFrame").locator("tr").filter(has_text=foreign.run_id[:8])
    expect(row).to_contain_text(PICTURE)


def test_no_other_site_can_put_the_page_into_a_frame(tab: Page, stack: Stack, witness: Witness) -> None:
    answer = httpx.get(stack.url, trust_env=False, timeout=60)
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"

    tab.set_content(f'<iframe src="{stack.url}/submit" width="900" height="600"></iframe>')
    wait_for(tab, lambda: bool(witness.complaints))

    assert re.search("frame-ancestors", witness.complaints.pop())
    expect(tab.frame_locator("iframe").get_by_role("button", name="Review")).to_have_count(0)
