"""Runs that are moved to the archive: nothing of them is lost, doubled, or changed there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from archive.database import Database
from archive.moving import DAY_S, Moving
from archive.opening import open_archive
from archive.points import PointFiles
from archive.vault import Archive
from errors import ArchiveUnavailable, Conflict, NotFound
from redis_db import RedisDB
from schema import LinesRequest, Run, SortField, Status
from schema.archive import Bundle
from settings import Settings
from store.archiving import KEPT_S
from tests.databases import database_url, mariadb, postgres
from tests.records import claim
from tests.stored_commands import dump, load

__all__ = ["database_url", "mariadb", "postgres"]
DONE, FAILED, CANCELLED, MINE = "d0" * 16, "fa" * 16, "ca" * 16, "e0" * 16
ENDED = (DONE, FAILED, CANCELLED, MINE)


class Died(BaseException):
    """What a SIGKILL looks like from inside: nothing runs after it."""


class Mortal:
    """A part of the program that dies before, or after, its so-manieth step."""

    _STEPS = frozenset({"read", "write", "load", "move", "list_due"})

    def __init__(self, part: Any, lives: list[int], *, is_after: bool):
        self._part, self._lives, self._is_after = part, lives, is_after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name in ("archiving", "locks"):
            return Mortal(found, self._lives, is_after=self._is_after)
        return self._counted(found) if name in self._STEPS else found

    def _counted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any, **how: Any) -> Any:
            self._lives[0] -= 1
            if self._lives[0] == 0 and not self._is_after:
                raise Died
            reply = step(*values, **how)
            if self._lives[0] == 0:
                raise Died
            return reply

        return call


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, database_url=database_url)


@pytest.fixture
def archive(db: RedisDB, raw: redis.Redis, settings: Settings) -> Iterator[Archive]:
    """An empty archive of a store with runs of every kind."""
    load(raw, "layout-1.jsonl")
    opened = open_archive(settings, layout=1)
    db.read_archived(opened)
    yield opened
    opened.close()


@pytest.fixture
def plain(primary_url: str) -> Iterator[Any]:
    """A client that reads any bytes."""
    form: dict[str, Any] = {"decode_responses": True, "encoding_errors": "surrogateescape"}
    with redis.Redis.from_url(primary_url, **form) as client:
        yield client


def later() -> float:
    """When everything in the store has ended long ago."""
    return 4e9


def moving(db: Any, archive: Any, settings: Settings) -> Moving:
    return Moving(db, archive, settings, later)


def move_all(db: RedisDB, archive: Archive, settings: Settings) -> None:
    done = moving(db, archive, settings).move_all(older_than_s=DAY_S)
    assert (done.problem, done.left) == (None, 0)


def kept(plain: Any) -> list[str]:
    """All that is stored, but for what happened to runs, and how often."""
    told = ('"events"', '"counters"')
    return sorted(line for line in dump(plain).splitlines() if not any(name in line for name in told))


def test_what_is_archived_is_gone_from_redis_and_restored_as_it_was(
    db: RedisDB, raw: redis.Redis, plain: Any, archive: Archive, settings: Settings
) -> None:
    before = kept(plain)
    move_all(db, archive, settings)
    left = {key for key in raw.scan_iter("run:*") if any(run_id in key for run_id in ENDED)}
    assert left == set()
    assert set(raw.hkeys("runs:archived")) == set(ENDED)
    for run_id in ENDED:
        place = db.archiving.find_place(run_id)
        assert place is not None
        db.archiving.restore(archive.load(place))
    assert kept(plain) == before
    assert not [key for key in raw.scan_iter() if raw.ttl(key) != -1]


def test_lists_show_archived_runs_at_their_places(
    db: RedisDB, raw: redis.Redis, archive: Archive, settings: Settings
) -> None:
    def lists() -> list[Any]:
        pages: list[list[Run]] = []
        for sort in SortField:
            cursor, found = None, list[Run]()
            while True:
                page = db.runs.list(sort, limit=2, cursor=cursor)
                found += page.runs
                cursor = page.cursor
                if cursor is None:
                    break
            pages.append(found)
        ids = sorted(db.listed.list_ids())
        searched = sorted(db.listed.find_many(ids), key=lambda run: run.run_id)
        ranked = sorted(db.finished.find_many(ids), key=lambda run: run.run_id)
        curves = db.runs.list_sparklines(ids)
        return [pages, searched, ranked, db.finished.find_params(ids), curves, db.runs.count_by_status()]

    before = lists()
    assert len(before[0][0]) == 6
    archive_one(db, archive, settings, DONE)
    assert lists() == before
    move_all(db, archive, settings)
    assert lists() == before
    assert db.finished.list_known(ENDED) == set(ENDED)


def archive_one(db: RedisDB, archive: Archive, settings: Settings, run_id: str) -> None:
    assert moving(db, archive, settings).move(run_id)


@pytest.mark.parametrize("is_after", [False, True])
def test_whoever_dies_at_any_step_loses_and_doubles_nothing(
    db: RedisDB, raw: redis.Redis, plain: Any, archive: Archive, settings: Settings, is_after: bool
) -> None:
    shown = {run.run_id: run for run in db.runs.list().runs}
    before = kept(plain)
    deaths = 0
    for lives in range(1, 24):
        mortal = [lives]
        worker = moving(
            Mortal(db, mortal, is_after=is_after), Mortal(archive, mortal, is_after=is_after), settings
        )
        try:
            worker.move_all(older_than_s=DAY_S)
        except Died:
            deaths += 1
        assert {run.run_id: run for run in db.runs.list().runs} == shown
        move_all(db, archive, settings)  # another process goes on
        assert set(raw.hkeys("runs:archived")) == set(ENDED)
        assert {run.run_id: run for run in db.runs.list().runs} == shown
        for run_id in ENDED:
            place = db.archiving.find_place(run_id)
            assert place is not None
            db.archiving.restore(archive.load(place))
        assert kept(plain) == before
    assert deaths == 17  # one look at what is due, and four steps for each


def test_a_run_that_changes_while_it_is_written_stays(
    db: RedisDB, raw: redis.Redis, archive: Archive, settings: Settings
) -> None:
    bundle = db.archiving.read(MINE)
    assert bundle is not None
    archive.write(bundle, now_s=later())
    lines = {"session": "s1", "seq": 2, "lines": [{"time": 1.7e9, "text": "late"}]}
    db.external.append_log(MINE, LinesRequest.model_validate(lines))
    assert not db.archiving.move(bundle)
    assert [line.text for line in db.log.list(MINE)] == ["hello", "late"]
    archive_one(db, archive, settings, MINE)
    # Who read the run before that is slow, and writes now what it read: what counts is at another place.
    archive.write(bundle, now_s=later())
    assert db.archiving.move(bundle)
    place = db.archiving.find_place(MINE)
    assert place is not None
    db.archiving.warm(archive.load(place), has_points=False)
    assert [line.text for line in db.log.list(MINE)] == ["hello", "late"]


def test_a_run_that_is_read_back_otherwise_stays(
    db: RedisDB, raw: redis.Redis, archive: Archive, settings: Settings, tmp_path: Path
) -> None:
    class Forgetful(Archive):
        """An archive whose database lost a part."""

        def load(self, place: str, *, has_points: bool = True) -> Bundle:
            bundle = super().load(place, has_points=has_points)
            return replace(bundle, parts={name: kept for name, kept in bundle.parts.items() if name != "log"})

    damaged = Forgetful(Database(settings.effective_database_url), PointFiles(str(tmp_path / "p")), layout=1)
    done = moving(db, damaged, settings).move_all(older_than_s=DAY_S)
    damaged.close()
    assert (done.moved, done.left) == (2, 2)  # of the others nobody has logged anything
    assert [line.text for line in db.log.list(MINE)] == ["hello"]
    assert set(raw.hkeys("runs:archived")) == {FAILED, CANCELLED}


def test_runs_that_are_not_taken_stay_and_the_others_go(
    db: RedisDB, raw: redis.Redis, settings: Settings, archive: Archive, tmp_path: Path
) -> None:
    class Choosy(Archive):
        """An archive to which some runs are too large."""

        refused: frozenset[str] = frozenset({MINE})

        def write(self, bundle: Bundle, *, now_s: float) -> None:
            if bundle.run_id in self.refused:
                raise ArchiveUnavailable("It is too large.")
            super().write(bundle, now_s=now_s)

    choosy = Choosy(Database(settings.effective_database_url), PointFiles(str(tmp_path / "p")), layout=1)
    choosy.refused = frozenset(ENDED)
    done = moving(db, choosy, settings).move_all(older_than_s=DAY_S)
    assert (done.moved, done.left, done.problem) == (0, 4, "It is too large.")
    oldest = list(db.archiving.list_due(later()))[:3]
    choosy.refused = frozenset(oldest)
    done = moving(db, choosy, settings).move_all(older_than_s=DAY_S)
    assert (done.moved, done.left, done.problem) == (1, 3, "It is too large.")
    choosy.refused = frozenset({MINE})
    done = moving(db, choosy, settings).move_all(older_than_s=DAY_S)
    assert (done.moved, done.left, done.problem) == (2, 1, "It is too large.")
    choosy.close()
    assert set(raw.hkeys("runs:archived")) == set(ENDED) - {MINE}
    move_all(db, archive, settings)


def test_runs_whose_records_are_damaged_stay_and_the_others_go(
    db: RedisDB, raw: redis.Redis, settings: Settings, archive: Archive
) -> None:
    raw.hset(f"run:{DONE}", "options", "{")
    raw.hset(f"run:{FAILED}", "options", "[]")
    raw.hset(f"run:{CANCELLED}", "time_added", "then")
    done = moving(db, archive, settings).move_all(older_than_s=DAY_S)
    assert (done.moved, done.left) == (1, 3)
    assert "its record is damaged" in (done.problem or "")
    assert set(raw.hkeys("runs:archived")) == {MINE}


def test_what_was_read_half_a_day_ago_is_read_again_before_it_leaves(
    db: RedisDB, archive: Archive, settings: Settings
) -> None:
    bundle = db.archiving.read(MINE)
    assert bundle is not None
    archive.write(bundle, now_s=later())
    assert not db.archiving.move(replace(bundle, read_at_s=bundle.read_at_s - KEPT_S - 1))
    assert db.archiving.find_place(MINE) is None
    assert db.archiving.move(bundle)


def test_what_may_go_on_or_is_needed_stays(
    db: RedisDB, raw: redis.Redis, archive: Archive, settings: Settings
) -> None:
    raw.hset(f"run:{DONE}:models", "good:1", "saved:best")
    raw.zadd("carbon:unsettled", {FAILED: 1})
    raw.hset(f"run:{MINE}", mapping={"is_silent": 1, "status": "failed"})
    raw.hset(f"run:{MINE}", "heard_at", float(raw.time()[0]))
    found = moving(db, archive, settings).move_all(older_than_s=DAY_S)
    assert (found.moved, found.left) == (1, 3)
    assert set(raw.hkeys("runs:archived")) == {CANCELLED}
    assert db.runs.get(DONE).best_accuracy == 0.8


def test_an_archived_run_cannot_be_changed(
    db: RedisDB, raw: redis.Redis, archive: Archive, settings: Settings
) -> None:
    move_all(db, archive, settings)
    for run_id in ENDED:
        place = db.archiving.find_place(run_id)
        assert place is not None
        db.archiving.warm(archive.load(place), has_points=True)
    (note,) = db.external.list_notes(DONE)
    before = dump(raw)
    lines = LinesRequest.model_validate({"session": "s2", "seq": 1, "lines": [{"time": 1, "text": "x"}]})
    for change in (
        lambda: db.controls.retry(FAILED),
        lambda: db.controls.delete(DONE),
        lambda: db.external.set_star(DONE, False),
        lambda: db.external.set_tags(DONE, add=["x"], remove=[]),
        lambda: db.external.add_note(DONE, "x"),
        lambda: db.external.edit_note(DONE, note.note_id, "x"),
        lambda: db.external.delete_note(DONE, note.note_id),
        lambda: db.external.reopen(MINE),
        lambda: db.external.append_log(MINE, lines),
        lambda: db.artifacts.delete(MINE, "weights", 1),
        lambda: db.queue.submit({"num_epochs": 1}, run_id=DONE),
    ):
        with pytest.raises(Conflict, match=r"archive.*Restore it first: POST /api/runs/\w+/restore"):
            change()
    assert dump(raw) == before


def test_a_restored_run_goes_on_as_any_other(
    db: RedisDB, raw: redis.Redis, archive: Archive, settings: Settings
) -> None:
    move_all(db, archive, settings)
    place = db.archiving.find_place(FAILED)
    assert place is not None
    db.archiving.restore(archive.load(place))
    db.archiving.restore(archive.load(place))
    assert db.controls.retry(FAILED).status is Status.WAITING
    assert claim(db).run_id == FAILED
    assert [result.epoch for result in db.runs.list_epochs(FAILED)] == [1]
    archive.drop_others(db.archiving.list_places(), before_s=later() + 1)
    with pytest.raises(NotFound):
        archive.load(place)
    assert archive.measure().runs == 3


def test_parts_that_expire_before_a_run_is_restored_are_brought_back_again(
    db: RedisDB, raw: redis.Redis, archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_all(db, archive, settings)
    place = db.archiving.find_place(DONE)
    assert place is not None
    warm, expired = db.archiving.warm, list[str]()

    def warm_and_lose(*values: Any, **how: Any) -> bool:
        is_warm = warm(*values, **how)
        if not expired:
            expired.append(f"run:{DONE}:epochs")
            raw.delete(*expired)
        return is_warm

    monkeypatch.setattr(db.archiving, "warm", warm_and_lose)
    db.archiving.restore(archive.load(place))
    assert len(db.runs.list_epochs(DONE)) == 3
    assert raw.ttl(f"run:{DONE}:epochs") == -1


def test_old_points_are_deleted_by_project_and_the_run_stays_whole_but_for_them(
    db: RedisDB, raw: redis.Redis, archive: Archive, settings: Settings, tmp_path: Path
) -> None:
    move_all(db, archive, settings)
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert archive.delete_points({"other": later()}, None, now_s=later()) == 0
    assert archive.delete_points({"default": 1.0}, later(), now_s=later()) == 0
    keep = settings.model_copy(update={"metrics_retention_days": "9999 default=10"})
    move_all(db, archive, keep)
    assert list(tmp_path.rglob("*.parquet")) == []
    assert archive.measure().points == 0
    place = db.archiving.find_place(MINE)
    assert place is not None
    db.archiving.restore(archive.load(place))
    run = db.runs.get(MINE)
    assert (run.epochs_done, db.metrics.list(run)) == (0, [])
    assert [line.text for line in db.log.list(MINE)] == ["hello"]
