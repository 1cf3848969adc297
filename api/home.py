"""What somebody sees first, in one request that costs the same however many runs there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from api.body import reply
from api.notices import FAILED_SINCE, list_notices
from api.replies import show_runs
from api.state import board, db
from errors import FieldError, InvalidInput
from leaderboard.ranking import Ranking, Wish
from leaderboard.table import Table
from redis_db import Ended
from schema import Cost, Record, Run, RunList, SortField, Status
from schema.home import HomeReply, WeekGrams
from schema.leaderboard import Choice
from schema.moment import Moment

home = APIBlueprint("home", __name__, tag="Home")

MOST_SHOWN: Final = 8
_DAY: Final = timedelta(days=1)
# Somebody who was away for longer wants the totals.
_LONGEST: Final = timedelta(days=92)
_RECENT_EPOCHS: Final = 5
_MOST_DATASETS: Final = 20
_ENDS: Final = (Status.DONE, Status.FAILED, Status.CANCELLED)


class HomeQuery(Record):
    """Whose look it is."""

    since: Moment | None = Field(None, description="the last visit; else 24 h ago, and 92 days at most")
    timezone: str = Field(
        "UTC", max_length=64, description="IANA name, such as Europe/Berlin: where the week begins on Monday"
    )


@home.get("/api/home")
@home.input(HomeQuery, location="query", arg_name="query")
@home.output(HomeReply)
def get_home(query: HomeQuery) -> Response:
    """Answer what runs, what has ended since the last visit, this week's grams, and what needs attention."""
    zone, now = _read_zone(query.timezone), db().now()
    since = max(query.since or now - _DAY, now - _LONGEST)
    running = db().runs.list(SortField.TIME_ADDED, status=Status.RUNNING, limit=MOST_SHOWN)
    ranking = board().rank(Wish())
    lately = _list_lately(min(since, now - FAILED_SINCE))
    ended, counts = _list_ended(ranking.table, lately, since)
    workers = db().workers.list_known(max_gone=MOST_SHOWN)
    return reply(
        HomeReply.model_construct(
            time=now,
            counts=running.counts,
            live_workers=sum(worker.gone_at is None for worker in workers),
            running=tuple(show_runs(running.runs, epochs={}, sparklines={})),
            remaining_s=_list_remaining(running),
            since=since,
            ended=tuple(show_runs(ended, epochs={}, sparklines={})),
            ended_counts=counts,
            week=week_of(now.astimezone(zone).date(), now.astimezone(UTC).date(), db().accounts.list_days),
            notices=tuple(list_notices(now, workers, lately)),
            datasets=_list_datasets(ranking),
        )
    )


def week_of(
    today: date, today_utc: date, list_days: Callable[[date, int], Mapping[str, tuple[Cost, Cost]]]
) -> WeekGrams:
    """Add up the days (UTC) of the week of ``today`` and of the week before."""
    monday = today - timedelta(days=today.weekday())
    last = max(today, today_utc)
    costs = {name: real for name, (real, _) in list_days(last, 16).items()}
    days = [monday + timedelta(days=number) for number in range(-7, 7)]
    found = [costs.get(str(day)) if day <= last else None for day in days]
    grams = [cost.co2_g if cost is not None else None for cost in found]
    past = today.weekday() + 1
    return WeekGrams(
        monday=monday,
        days=tuple(grams),
        co2_g=_sum(grams[7:]),
        last_co2_g=_sum(grams[:7]),
        last_co2_g_by_then=_sum(grams[:past]),
        unknown_epochs=int(sum(cost.unknown_co2_epochs for cost in found[7:] if cost is not None)),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    """Add what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _read_zone(name: str) -> tzinfo:
    """Return a time zone. Raises InvalidInput for what is none."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        reason = "is no time zone of the IANA database, such as Europe/Berlin"
        raise InvalidInput(f"timezone {reason}.", details=[FieldError("timezone", reason)]) from error


def _list_lately(since: datetime) -> list[Ended]:
    return [run for status in _ENDS for run in db().recent.list_ended(status, since.timestamp())]


def _list_ended(
    table: Table, lately: Sequence[Ended], since: datetime
) -> tuple[Sequence[Run], dict[Status, int]]:
    """Return the runs that ended last, the newest end first, and how many of each status did since."""
    since_s = since.timestamp()
    times = {run.run_id: run for run in lately if run.ended_at_s > since_s}
    ended_at = table.columns["ended_at_s"]
    ranked = np.flatnonzero(ended_at > since_s)
    done = set(table.ids(ranked)) | {run.run_id for run in times.values() if run.status is Status.DONE}
    counts = Counter(run.status for run in times.values())
    counts[Status.DONE] = len(done)
    newest = ranked[np.argsort(-ended_at[ranked], kind="stable")][:MOST_SHOWN]
    ends = dict(zip(table.ids(newest), ended_at[newest].tolist(), strict=True))
    ends |= {run.run_id: run.ended_at_s for run in times.values()}
    shown = sorted(ends, key=lambda run_id: (-ends[run_id], run_id))[:MOST_SHOWN]
    runs = db().runs.find_many(shown)
    return [runs[run_id] for run_id in shown if run_id in runs], {status: counts[status] for status in _ENDS}


def _list_remaining(running: RunList) -> dict[str, float]:
    """Say how long runs will take still, as their pages do: from their newest epochs."""
    left = {}
    for run in running.runs:
        if run.is_external or run.num_epochs is None or run.request is not None:
            continue
        recent = db().runs.list_last_epochs(run.run_id, _RECENT_EPOCHS)
        if recent:
            mean_s = sum(result.duration_s for result in recent) / len(recent)
            left[run.run_id] = max(0, run.num_epochs - run.epochs_done) * mean_s
    return left


def _list_datasets(ranking: Ranking) -> tuple[Choice, ...]:
    table = ranking.table
    real = ~table.columns["simulated"] if ranking.has_real else np.ones(len(table), dtype=bool)
    codes, runs = np.unique(table.columns["dataset"][real], return_counts=True)
    names = [table.codes["dataset"].values[code] for code in codes.tolist()]
    found = [Choice(value=name, runs=n) for name, n in zip(names, runs.tolist(), strict=True) if name]
    return tuple(sorted(found, key=lambda choice: (-choice.runs, choice.value or ""))[:_MOST_DATASETS])
