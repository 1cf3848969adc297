"""What needs a person: failed runs, runs no worker takes, dead workers, alerts, and how Redis stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from textwrap import shorten
from typing import Final

from api.state import db
from api.status_line import obstacle
from redis_db import Ended
from schema import SortField, Status, Worker
from schema.home import Notice

FAILED_SINCE: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)
# Of each kind; the page that a notice leads to has all.
_MOST: Final = 3
_WAITING_LOOKED_AT: Final = 50
_ALERTS_LOOKED_AT: Final = 200
# Alerts that say that all went well.
_GOOD_NEWS: Final = ("run_finished",)
_MOST_CHARACTERS: Final = 300
_REASON_CHARACTERS: Final = 90


def list_notices(now: datetime, workers: Sequence[Worker], lately: Iterable[Ended]) -> list[Notice]:
    """List what needs a person, the most urgent first.

    workers: those that live, and the last that died. lately: runs that ended, from FAILED_SINCE ago on.
    """
    failed_since_s = (now - FAILED_SINCE).timestamp()
    failed = [run for run in lately if run.status is Status.FAILED and run.ended_at_s > failed_since_s]
    return list(
        chain(_of_store(), _of_stuck(workers), _of_failed(failed), _of_workers(workers), _of_alerts(now))
    )


def _of_store() -> Iterator[Notice]:
    for warning in db().fitness.list_warnings():
        yield Notice(kind="store", text=warning)


def _of_stuck(workers: Sequence[Worker]) -> Iterator[Notice]:
    """Say of the runs that wait longest which no live worker will take, and why."""
    live = [worker for worker in workers if worker.gone_at is None]
    page = db().runs.list(SortField.TIME_ADDED, order="asc", status=Status.WAITING, limit=_WAITING_LOOKED_AT)
    reasons: Counter[str] = Counter(filter(None, (obstacle(run, live) for run in page.runs)))
    for reason, count in reasons.most_common(_MOST):
        # All of them, where there is nobody at all.
        number = page.counts[Status.WAITING] if not live else count
        runs = "One run waits" if number == 1 else f"{number:,} runs wait"
        yield Notice(kind="stuck", text=f"{runs}: {_clip(reason)}", count=number)


def _of_failed(failed: Sequence[Ended]) -> Iterator[Notice]:
    if not failed:
        return
    newest = max(failed, key=lambda run: run.ended_at_s)
    run = db().runs.find(newest.run_id)
    error = run.error if run is not None else None
    # The page of the run has the whole message, with paths and remedies.
    reason = f" {error.kind}: {shorten(error.message, _REASON_CHARACTERS, placeholder=' …')}" if error else ""
    text = f"A run has failed in the last 7 days.{reason}"
    if len(failed) > 1:
        text = f"{len(failed)} runs have failed in the last 7 days, last with{reason or ' no reason given'}"
    yield Notice(kind="failed", text=_clip(text), count=len(failed), run_id=newest.run_id)


def _of_workers(workers: Sequence[Worker]) -> Iterator[Notice]:
    """Name the workers that are gone without a good-bye, and that nobody has started again."""
    alive = {worker.name for worker in workers if worker.gone_at is None}
    gone = [worker for worker in workers if worker.gone_at is not None and worker.name not in alive]
    for worker in sorted(gone, key=lambda worker: worker.gone_at or worker.seen_at, reverse=True)[:_MOST]:
        had = f" It had the run {worker.run_id[:8]}, which another one takes." if worker.run_id else ""
        yield Notice(
            kind="worker",
            text=f"The worker {worker.name} on {worker.host} is silent since "
            f"{worker.seen_at:%Y-%m-%d %H:%M} UTC.{had}",
            run_id=worker.run_id,
        )


def _of_alerts(now: datetime) -> Iterator[Notice]:
    raised = [
        alert
        for alert in db().alerts.list_raised(_ALERTS_LOOKED_AT)
        if alert.time > now - _DAY and alert.kind not in _GOOD_NEWS
    ]
    counts = Counter(alert.rule_name for alert in raised)
    newest = {alert.rule_name: alert for alert in reversed(raised)}
    for name, alert in sorted(newest.items(), key=lambda pair: pair[1].time, reverse=True)[:_MOST]:
        again = f" ({counts[name]} times since yesterday)" if counts[name] > 1 else ""
        yield Notice(
            kind="alert", text=_clip(f"{alert.title}{again}"), count=counts[name], run_id=alert.run_id
        )


def _clip(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 1]}…"
