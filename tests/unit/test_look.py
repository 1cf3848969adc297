from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from schema import Status
from views.look import RUN_COLORS, STATUS_COLORS, STATUS_ICONS, run_color, run_swatch, source_color

CONFIG: dict[str, Any] = tomllib.loads(
    (Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml").read_text(encoding="utf-8")
)
STYLE = (Path(__file__).resolve().parents[2] / "views" / "static" / "site.css").read_text(encoding="utf-8")
THEMES = ("light", "dark")


def luminance(color: str) -> float:
    """Relative luminance. Source: WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("status", list(Status))
def test_every_status_pill_is_readable(status: Status, theme: str) -> None:
    color = STATUS_COLORS[status]
    colors = CONFIG["theme"][theme]

    assert contrast(colors[f"{color}TextColor"], colors[f"{color}BackgroundColor"]) >= 4.5
    assert contrast(colors["textColor"], colors[f"{color}BackgroundColor"]) >= 4.5
    assert STATUS_ICONS[status].startswith(":material/")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("color", RUN_COLORS)
def test_every_run_colour_stands_out_on_both_backgrounds(color: str, theme: str) -> None:
    assert contrast(color, CONFIG["theme"][theme]["backgroundColor"]) >= 3


@pytest.mark.parametrize("theme", THEMES)
def test_the_accent_carries_white_or_dark_text(theme: str) -> None:
    colors = CONFIG["theme"][theme]

    assert contrast(colors["linkColor"], colors["backgroundColor"]) >= 4.5
    assert contrast(colors["primaryColor"], "#ffffff") >= 3


def test_a_run_keeps_its_colour_and_all_colours_are_used() -> None:
    assert run_color("0af3") == run_color("0af3")
    assert {run_color(f"run-{number}") for number in range(200)} == set(RUN_COLORS)
    assert run_color("0af3").removeprefix("#") in run_swatch("0af3")


@pytest.mark.parametrize("theme", THEMES)
def test_what_our_own_rules_colour_is_readable(theme: str) -> None:
    background = CONFIG["theme"][theme]["backgroundColor"]
    place = THEMES.index(theme)
    captions, focus = (
        re.findall(r"light-dark\((#\w+), (#\w+)\)", STYLE[STYLE.index(rule) :])[0][place]
        for rule in ('[data-testid="stCaptionContainer"]', ":focus-visible")
    )
    buttons = re.findall(r"background-color: light-dark\((#\w+), (#\w+)\)", STYLE)

    assert contrast(captions, background) >= 4.5
    assert contrast(focus, background) >= 3
    assert len(buttons) >= 2
    assert all(contrast(button[place], "#ffffff") >= 4.5 for button in buttons)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    "source", ["cpu", "dram", "ram", "building", "gpu:0", "gpu:1", "gpu:2", "gpu:3", "other"]
)
def test_every_source_of_energy_stands_out_on_both_backgrounds(source: str, theme: str) -> None:
    assert contrast(source_color(source), CONFIG["theme"][theme]["backgroundColor"]) >= 3
