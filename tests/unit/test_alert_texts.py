"""What alerts say, and what they never say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from alerts import texts
from alerts.delivery import FIRST_PAUSE_S, LONGEST_PAUSE_S, MAX_TRIES, pause_after
from alerts.findings import NO_NUMBER, is_crossed
from schema import Alert
from schema.alerts import MetricCrossed

PAGE = "http://page/"


def alert(number: int, rule: str = "Failures") -> Alert:
    return Alert(
        alert_id=str(number),
        rule_id="a" * 32,
        rule_name=rule,
        kind="run_failed",
        time=datetime(2026, 3, 1, 12, 0, number % 60, tzinfo=UTC),
        title=f"Run failed: {number}",
        text="Why.",
    )


def test_one_alert_is_told_as_it_is() -> None:
    message = texts.compose([alert(1)], 0, PAGE)
    assert message.title == "[Wattle] Run failed: 1"
    assert message.body == "Why.\n\nRule Failures, 2026-03-01 12:00:01 UTC."


def test_several_are_told_as_a_list_that_counts_what_it_leaves_out() -> None:
    message = texts.compose([*map(alert, range(30)), alert(30, "Other")], 5, PAGE)
    assert message.title == "[Wattle] 36 alerts: Failures ×30, Other"
    lines = message.body.splitlines()
    assert lines[0] == "- 12:00:00 Run failed: 0"
    assert "- and 16 more" in lines
    assert lines[-1].endswith("http://page/alerts")


def test_a_list_is_never_long() -> None:
    long = [alert(n).model_copy(update={"title": texts.line("x" * 500)}) for n in range(500)]
    message = texts.compose(long, 10_000, PAGE)
    assert len(message.title) <= texts.MAX_TITLE_CHARACTERS
    assert len(message.body) < 4_000


@pytest.mark.parametrize(
    "text", ["@everyone look", "<!channel> look", "<@U123> look", "@here", "hello @Channel", "<#C1>"]
)
def test_foreign_text_calls_nobody(text: str) -> None:
    said = texts.cleaned(text)
    assert said != text
    assert said.replace("\u200b", "") == text


def test_foreign_text_makes_no_second_header_and_does_not_turn_around() -> None:
    assert texts.line("Run\r\nBcc: all@example.org\x00\u202etxt") == "Run Bcc: all@example.org  txt"


def test_the_sentence_of_a_loss_that_is_no_number_is_that_of_the_trainers() -> None:
    trainers = Path(__file__).parents[2] / "trainers"
    for name in ("training.py", "demo.py"):
        assert NO_NUMBER in (trainers / name).read_text(), name


def test_pauses_grow_and_end() -> None:
    assert pause_after(1, 0.5) == FIRST_PAUSE_S
    assert pause_after(2, 0.5) == 2 * FIRST_PAUSE_S
    assert pause_after(50, 0.5) == LONGEST_PAUSE_S
    assert pause_after(1, 0.0) == 8
    assert pause_after(1, 1.0) == pytest.approx(12)
    total_s = sum(pause_after(n, 0.5) for n in range(1, MAX_TRIES))
    assert 3_000 <= total_s <= 3_600, "about an hour"


@pytest.mark.parametrize(
    ("values", "is_true"),
    [
        ([3, 3, 3], True), ([3, 3], False), ([3, 3, 2, 3], False), ([1, 3, 3, 3, 1], True), ([], False),
        ([3, 3, float("nan"), 3], False), ([3, float("inf"), 3], True),
    ],
)  # fmt: skip
def test_a_threshold_is_crossed_by_so_many_in_a_row(values: list[float], is_true: bool) -> None:
    condition = MetricCrossed(kind="metric", metric="loss", relation="above", threshold=2, points=3)
    assert is_crossed(condition, values) is is_true
    below = condition.model_copy(update={"relation": "below", "threshold": 2.5})
    assert not is_crossed(below, values)
