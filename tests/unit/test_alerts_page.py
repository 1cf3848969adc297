"""docs/alerts.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from alerts.delivery import BURST, HOLD_S, MAX_TRIES
from alerts.sending import LIMIT_S
from alerts.tails import EPOCH_METRICS
from schema.alerts import CHANNEL_PATTERN, Condition
from settings import Settings
from views.alerts.words import ICONS, KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text("utf-8")
UNION, _ = get_args(Condition)
CONDITIONS: dict[str, Any] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in get_args(UNION)
}


def test_every_kind_of_condition_its_fields_and_defaults_are_in_the_docs_and_on_the_page() -> None:
    section = PAGE.split("\n## Rules\n")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z0-9_]+)` \| .* \|(.*)\|$", section, re.MULTILINE))
    del rows["kind"]
    assert rows.keys() == CONDITIONS.keys() == KINDS.keys() == ICONS.keys()
    for kind, condition in CONDITIONS.items():
        for name, field in condition.model_fields.items():
            if name == "kind":
                continue
            assert f"`{name}`" in rows[kind], (kind, name)
            if isinstance(field.default, int | float):
                shown = f"{field.default:,g}" if field.default < 1000 else f"{field.default:,.0f}"
                assert f"`{name}` ({shown})" in rows[kind], (kind, name, shown)


def test_every_setting_of_alerts_is_in_the_docs() -> None:
    names = {
        name for name in Settings.model_fields if re.search("alert|notif|slack|smtp|quiet|page_url", name)
    }
    assert len(names) == 8
    for name in names:
        assert f"WATTLE_{name.upper()}" in PAGE, name


def test_the_figures_and_metrics_in_the_docs_are_those_of_the_code() -> None:
    assert all(f"`{metric}`" in PAGE for metric in EPOCH_METRICS)
    assert (BURST, MAX_TRIES, LIMIT_S) == (5, 10, 30)
    assert HOLD_S > LIMIT_S, "who still waits for an answer still holds the channel"
    assert CHANNEL_PATTERN == r"^[a-z0-9][a-z0-9_-]{0,31}$"
