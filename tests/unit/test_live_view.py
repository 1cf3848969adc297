"""What is in the messages about a live view."""

from __future__ import annotations

import json

from api.live.view import FEWEST_POINTS, METRICS_POINTS, MOSAIC_INTERVAL_S, LiveView, encode, points_of_each
from schema import DEFAULT_VIEW, EpochResult, LiveEntry, LivePoint, Mosaic
from schema.live import MAX_POINTS


def entry(*iterations: int, mosaic: int = 0, is_start: bool = False) -> LiveEntry:
    points = tuple(LivePoint(iteration, 1 / (1 + iteration)) for iteration in iterations)
    return LiveEntry(entry_id="1-0", at_s=5.0, points=points, mosaic=mosaic, is_start=is_start)


def epoch(number: int, accuracy: float = 0.5) -> EpochResult:
    return EpochResult(
        epoch=number, train_loss=1, train_accuracy=0.5, test_loss=1, test_accuracy=accuracy, duration_s=1
    )


def test_news_are_told_once_and_everything_to_who_comes() -> None:
    view = LiveView(DEFAULT_VIEW, "0-0")
    assert view.take_news() is None
    view.take([entry(1), entry(2, 3)])
    news = view.take_news()
    assert news is not None
    assert (news["type"], news["points"]["iterations"], news["iteration"]) == ("update", [1, 2, 3], 3)
    assert view.take_news() is None
    assert view.snapshot()["points"]["iterations"] == [1, 2, 3]


def test_a_view_holds_the_newest_points_and_no_more() -> None:
    view = LiveView(DEFAULT_VIEW, "0-0")
    view.take(entry(iteration) for iteration in range(3 * MAX_POINTS))
    assert view.snapshot()["points"]["iterations"] == list(range(2 * MAX_POINTS, 3 * MAX_POINTS))
    news = view.take_news()
    assert news is not None
    assert len(news["points"]["iterations"]) == MAX_POINTS


def test_what_came_before_a_start_is_told_to_nobody() -> None:
    view = LiveView(DEFAULT_VIEW, "0-0")
    view.take([entry(8), entry(is_start=True), entry(1)])
    news = view.take_news()
    assert news is not None
    assert (news["type"], news["points"]["iterations"]) == ("snapshot", [1])


def test_mosaics_are_asked_for_now_and_then_and_only_newer_ones() -> None:
    view = LiveView(DEFAULT_VIEW, "0-0")
    assert not view.wants_mosaic(0.0)
    view.take([entry(1, mosaic=3)])
    assert view.wants_mosaic(0.0)
    view.take_mosaic(Mosaic(number=3, iteration=1, tiles=()), 0.0)
    assert not view.wants_mosaic(9.0)
    view.take([entry(2, mosaic=4)])
    assert not view.wants_mosaic(MOSAIC_INTERVAL_S / 2)
    assert view.wants_mosaic(MOSAIC_INTERVAL_S)


def test_an_epoch_that_comes_again_replaces_the_first() -> None:
    view = LiveView("a" * 32, "0-0")
    view.take_run(None, [epoch(1), epoch(2)])
    view.take_run(None, [epoch(1, accuracy=0.75)])
    shown = view.snapshot()
    assert [(found["epoch"], found["test_accuracy"]) for found in shown["epochs"]] == [(1, 0.75), (2, 0.5)]


def test_the_more_metrics_a_run_has_the_fewer_points_of_each_are_kept() -> None:
    view = LiveView("a" * 32, "0-0")
    points = [(step, 0.5) for step in range(MAX_POINTS)]
    view.take_metrics({"loss": (MAX_POINTS, points)})
    assert len(view.snapshot()["metrics"]["loss"]["steps"]) == MAX_POINTS
    for number in range(500):
        view.take_metrics({f"m{number}": (MAX_POINTS, points)})
    shown = view.snapshot()["metrics"]
    assert sum(len(metric["steps"]) for metric in shown.values()) <= METRICS_POINTS
    assert {tuple(metric["steps"]) for metric in shown.values()} == {
        tuple(range(MAX_POINTS - 99, MAX_POINTS))
    }
    view.take_metrics({"loss": (MAX_POINTS + 1, [(MAX_POINTS, 0.5)])})
    assert view.snapshot()["metrics"]["loss"]["steps"] == list(range(MAX_POINTS - 98, MAX_POINTS + 1))


def test_of_very_many_metrics_a_few_points_are_kept() -> None:
    assert [points_of_each(metrics) for metrics in (0, 1, 48, 49, 1_000, 100_000)] == [
        MAX_POINTS, MAX_POINTS, MAX_POINTS, 1_020, 50, FEWEST_POINTS,
    ]  # fmt: skip


def test_a_message_says_when_it_was_sent() -> None:
    assert json.loads(encode({"type": "beat"}, now_s=12.5)) == {"type": "beat", "sent_at": 12.5}
