"""An action on many runs: each has an outcome, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from api.bulk import LIMIT_S, NOT_TRIED, BulkBody, act_on_each
from errors import Conflict, NotFound, StoreUnavailable, WattleError
from schema import Outcome, Status


class Actor:
    """Acts on runs, and fails on those it was told to."""

    def __init__(self, **failures: WattleError) -> None:
        self.failures = failures
        self.tried: list[str] = []

    def __call__(self, run_id: str) -> Outcome:
        self.tried.append(run_id)
        if run_id in self.failures:
            raise self.failures[run_id]
        return Outcome(iid=run_id, success=True, status=Status.CANCELLED)


def ticking(step_s: float) -> Iterator[float]:
    now_s = 100.0
    while True:
        yield now_s
        now_s += step_s


def act(actor: Actor, *run_ids: str, step_s: float = 0.0) -> list[Outcome]:
    times = ticking(step_s)
    return list(act_on_each(run_ids, actor, clock=lambda: next(times)))


def test_a_refusal_of_one_run_is_told_and_stops_no_other() -> None:
    actor = Actor(b=Conflict("b is done."), c=NotFound("There is no run c."))
    outcomes = act(actor, "a", "b", "c", "d")
    assert [outcome.success for outcome in outcomes] == [True, False, False, True]
    assert [outcome.code for outcome in outcomes] == [None, "conflict", "not_found", None]
    assert outcomes[1].message == "b is done."
    assert actor.tried == ["a", "b", "c", "d"]


def test_what_was_done_before_redis_went_away_is_told_and_the_rest_is_not_tried() -> None:
    actor = Actor(b=StoreUnavailable("Redis cannot be reached."))
    outcomes = act(actor, "a", "b", "c")
    assert [outcome.success for outcome in outcomes] == [True, False, False]
    assert [outcome.code for outcome in outcomes] == [None, NOT_TRIED, NOT_TRIED]
    assert "Send this run again" in (outcomes[2].message or "")
    assert actor.tried == ["a", "b"]


def test_a_redis_that_was_away_from_the_start_is_a_failure_of_the_whole() -> None:
    with pytest.raises(StoreUnavailable):
        act(Actor(a=StoreUnavailable("Redis cannot be reached.")), "a", "b")


def test_a_refusal_first_and_then_no_redis_still_tells_the_refusal() -> None:
    actor = Actor(a=Conflict("a is done."), b=StoreUnavailable("away"))
    assert [outcome.code for outcome in act(actor, "a", "b")] == ["conflict", NOT_TRIED]


def test_what_there_was_no_time_for_is_not_tried_but_the_first_always_is() -> None:
    actor = Actor()
    outcomes = act(actor, "a", "b", "c", "d", step_s=LIMIT_S / 2)
    assert actor.tried == ["a", "b"]
    assert [outcome.code for outcome in outcomes] == [None, None, NOT_TRIED, NOT_TRIED]
    slow = Actor()
    assert act(slow, "a", step_s=10 * LIMIT_S)[0].success


@pytest.mark.parametrize(
    "body",
    [
        {"action": "cancel"},
        {"action": "cancel", "run_ids": ["a"], "status": "waiting"},
        {"action": "cancel", "run_ids": []},
        {"action": "cancel", "run_ids": ["a"] * 501},
        {"action": "cancel", "run_ids": ["a" * 65]},
        {"action": "cancel", "status": "running"},
        {"action": "retry", "status": "done"},
        {"action": "delete", "status": "failed"},
        {"action": "rerun", "status": "failed"},
        {"action": "priority", "run_ids": ["a"]},
        {"action": "cancel", "run_ids": ["a"], "priority": "high"},
        {"action": "destroy", "run_ids": ["a"]},
        {"action": "cancel", "run_ids": "a"},
        {"action": "cancel", "run_ids": ["a"], "force": True},
    ],
)
def test_a_request_that_is_wrong_as_a_whole_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BulkBody.model_validate(body)


@pytest.mark.parametrize(
    "body",
    [
        {"action": "cancel", "run_ids": ["a"] * 500},
        {"action": "retry", "status": "failed"},
        {"action": "retry", "status": "cancelled"},
        {"action": "cancel", "status": "waiting"},
        {"action": "resume", "status": "paused"},
        {"action": "priority", "run_ids": ["a"], "priority": "high"},
        {"action": "delete", "run_ids": ["a"]},
    ],
)
def test_runs_are_named_by_their_ids_or_by_a_status_that_the_action_ends(body: dict[str, Any]) -> None:
    assert BulkBody.model_validate(body).action == body["action"]
