"""Whether the archive takes runs: its database, its files, its last round. For ``wattle doctor``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from api.file_work import wait_for_any
from api.state import archive, archive_rounds, db
from archive.moving import DAY_S
from archive.rounds import read_round
from errors import WattleError
from schema.doctor import Check, CheckState

# So long it may take; also the first time, when its tables are made.
_LIMIT_S: Final = 8.0
# Rounds are a day apart; two that are missing are no delay.
_OLD_S: Final = 2.5 * DAY_S


def examine_archive() -> Iterator[Check]:
    """Look at the archive; a small file is written into its place, and deleted. Redis has to be there."""
    kept = archive()
    remedy = "Let the backend reach it, or correct WATTLE_DATABASE_URL (docs/archive.md)."
    yield _try("archive database", kept.database_place, kept.check_database, remedy)
    remedy = "Let the backend's user write there, or correct WATTLE_ARCHIVE_URL (docs/archive.md)."
    yield _try("archive files", kept.files_place, kept.check_files, remedy)
    yield _judge_rounds()


def _try(name: str, place: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        found = wait_for_any(("doctor", name), look, limit_s=_LIMIT_S)
    except WattleError as error:
        return _check(name, "failed", str(error), remedy)
    if found is None:
        return _check(name, "failed", f"{place}: no answer within {_LIMIT_S:.0f} s", remedy)
    return _check(name, "ok", f"{place}: {found}")


def _judge_rounds() -> Check:
    facts, now_s = db().archiving.read_facts(), time.time()
    last, next_at = read_round(facts), f"next {archive_rounds().next_at(now_s):%Y-%m-%d %H:%M} UTC"
    check = partial(_check, "archive rounds")
    if last is not None and last.problem is not None:
        remedy = "Mend that, then 'wattle archive now --wait' tries again."
        return check("failed", f"the last one, {last.begun_at:%Y-%m-%d %H:%M} UTC: {last.problem}", remedy)
    age_s = now_s - float(facts.get("ended_at") or facts.get("since") or now_s)
    if age_s > _OLD_S:
        remedy = "Is the backend up at WATTLE_ARCHIVE_AT? 'wattle archive now --wait' does one at once."
        return check("warning", f"none for {age_s / DAY_S:.0f} days, {next_at}", remedy)
    if last is None:
        return check("ok", f"none yet, {next_at}")
    return check("ok", f"{last.begun_at:%Y-%m-%d %H:%M} UTC: {last.moved} runs moved, {next_at}")


def _check(name: str, state: CheckState, found: str, remedy: str | None = None) -> Check:
    return Check(name=name, place="API", state=state, found=found, remedy=remedy)
