"""A run that is restored while it is looked for is found, whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from archive.moving import DAY_S, Moving
from archive.opening import open_archive
from archive.vault import Archive
from redis_db import RedisDB
from schema import Status
from settings import Settings
from store.cold import RunHashes
from tests.integration.test_archive import later
from tests.records import claim, epoch


@pytest.fixture
def archive(db: RedisDB, tmp_path: Path) -> Iterator[Archive]:
    opened = open_archive(Settings(_env_file=None, data_dir=tmp_path), layout=1)
    db.read_archived(opened)
    yield opened
    opened.close()


@pytest.fixture
def archived(db: RedisDB, archive: Archive, tmp_path: Path) -> str:
    """A run with an epoch, in the archive."""
    run_id = db.queue.submit({"num_epochs": 1}).run_id
    lease = claim(db)
    db.runs.record_epoch(lease, epoch(1))
    db.queue.finish(lease, Status.DONE)
    settings = Settings(_env_file=None, data_dir=tmp_path)
    assert Moving(db, archive, settings, later).move_all(older_than_s=DAY_S).moved == 1
    return run_id


READS: dict[str, Callable[[RedisDB, str], object]] = {
    "the record": lambda db, run_id: db.runs.get(run_id).status,
    "the epochs": lambda db, run_id: len(db.runs.list_epochs(run_id)),
    "some fields": lambda db, run_id: [run.run_id for run in db.finished.find_many([run_id])],
}


@pytest.mark.parametrize("read", READS)
def test_what_is_restored_between_two_looks_is_found(
    db: RedisDB, archive: Archive, archived: str, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    expected = READS[read](db, archived)
    find_places = RunHashes.find_places
    restored: list[str] = []

    def restored_before(self: RunHashes, run_ids: Sequence[str]) -> dict[str, str]:
        if not restored and archived in run_ids:
            restored.append(archived)
            db.archiving.restore(archive.load(find_places(self, run_ids)[archived]))
        return find_places(self, run_ids)

    monkeypatch.setattr(RunHashes, "find_places", restored_before)
    assert READS[read](db, archived) == expected
    assert restored, "it was restored after Redis had been asked for it"
