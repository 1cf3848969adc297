"""A checkpoint's way into production, as a reader takes it."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Stack, settle
from tests.browser.test_run_media import begin
from tests.sent_files import send
from tests.weights import safetensors

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_checkpoint_is_registered_and_goes_into_production(
    tab: Page, stack: Stack, color_scheme: str
) -> None:
    api_url, name = stack.api.api_url, f"digits-{color_scheme}"
    iid = begin(api_url)
    send(api_url, iid, "weights.safetensors", safetensors(), kind="checkpoint", metrics={"accuracy": 0.9})
    tab.goto(f"/run?iid={iid}")
    settle(tab)
    with tab.expect_download() as download:
        tab.get_by_role("link", name=re.compile("Download ·")).click()
    assert download.value.suggested_filename == "weights-v1.safetensors"
    assert download.value.path().read_bytes() == safetensors()

    tab.get_by_role("button", name="Register").click()
    field = tab.get_by_role("combobox", name="Model")
    field.fill(name)
    field.press("Enter")
    expect(tab.get_by_text(f"It becomes version 1 of {name}, a candidate.")).to_be_visible()
    tab.get_by_role("button", name="Register it").click()
    expect(tab.get_by_text(f"{name} has version 1, a candidate.")).to_be_visible()
    expect(tab.get_by_test_id("stGraphVizChart").locator("svg g.node")).to_have_count(2)

    tab.get_by_role("link", name=f"{name} version 1").click()
    expect(tab.get_by_role("heading", name=name)).to_be_visible()
    expect(tab).to_have_url(f"{stack.url}/models?model={name}")
    tab.get_by_role("button", name="Stage").click()
    tab.get_by_role("radio", name="production").click()
    tab.get_by_role("textbox", name="Why").fill("the first one")
    tab.get_by_role("button", name="Change it").click()
    expect(tab.get_by_text("Version 1 is in production.")).to_be_visible()
    tab.get_by_text("History · 2 entries").click()
    expect(tab.get_by_text("the first one")).to_be_visible()
    found = httpx.get(f"{api_url}/api/models", params={"name": name}, trust_env=False, timeout=60).json()[
        "models"
    ]
    assert [(version["version"], version["stage"]) for version in found] == [(1, "production")]
