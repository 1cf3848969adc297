"""A worker's writes: in order, kept in a file while Redis is away, and made by the next worker."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import InvalidInput, LeaseLost, StoreUnavailable
from redis_db import RedisDB
from schema import EpochResult, Lease, RunError, Status
from tests.records import epoch, extra, running
from work.journal import MOST_LINES, Journal
from work.spool import Head, Spool, replay_left
from work.writes import (
    EpochWrite,
    ExtraWrite,
    FactsWrite,
    FinishWrite,
    LinesWrite,
    ReleaseWrite,
    Write,
    decode,
    encode,
)

NOBODY = "unix:///nowhere/s"
Finished = list[tuple[str, FinishWrite]]


def write_epoch(number: int, **changes: object) -> EpochWrite:
    return EpochWrite(result=EpochResult.model_validate(epoch(number).model_dump() | changes))


def journal(db: RedisDB, lease: Lease, folder: Path) -> Journal:
    return Journal(db, lease, Spool(folder, lease), on_interval=lambda *_: None)


def spool(lease: Lease, folder: Path, *writes: Write) -> Path:
    """Leave the file of a worker that has died while Redis was away."""
    file = Spool(folder, lease)
    file.add(writes)
    assert file._stream is not None
    file._stream.close()  # as the end of its process does; with it goes the lock
    (path,) = folder.glob("[!.]*.jsonl")
    return path


def replay(db: RedisDB, folder: Path) -> Finished:
    finished: Finished = []
    replay_left(db, folder, on_finished=lambda lease, write: finished.append((lease.run_id, write)))
    return finished


WRITES: list[Write] = [
    FactsWrite(facts={"device": "cpu", "idle_power_w": None, "pue": 1.5}),
    LinesWrite(lines=("attempt 1", "grün \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"))),
    write_epoch(1, energy_kwh=1e-7, energy_quality="measured", energy_by_source={"cpu": 1e-7}),
    ExtraWrite(cost=extra(energy_kwh=2e-7, energy_quality="estimated")),
    ReleaseWrite(reason="stopped"),
    FinishWrite(status=Status.FAILED, error=RunError(kind="OSError", message="m", is_retryable=True, step=3)),
]


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.kind)
def test_a_write_is_the_same_after_it_was_in_a_file(write: Write) -> None:
    line = encode(write)
    assert "\n" not in line
    assert decode(line) == write


def test_without_an_outage_there_is_no_file(db: RedisDB, tmp_path: Path) -> None:
    lease = running(db)
    writer = journal(db, lease, tmp_path / "spool")
    writer.add(write_epoch(1))
    assert writer.flush()
    assert not (tmp_path / "spool").exists()
    assert [result.epoch for result in db.runs.list_epochs(lease.run_id)] == [1]


def test_while_redis_is_away_every_write_is_in_the_file_and_none_is_once_it_is_back(
    db: RedisDB, tmp_path: Path
) -> None:
    lease = running(db)
    with RedisDB(NOBODY) as away:
        writer = journal(away, lease, tmp_path)
        writer.add(write_epoch(1))
        assert not writer.flush()
    writer.add(write_epoch(2))
    (path,) = tmp_path.iterdir()
    assert [decode(line) for line in path.read_text().splitlines()[1:]] == [write_epoch(1), write_epoch(2)]
    writer._db = db
    assert writer.flush()
    assert list(tmp_path.iterdir()) == []
    assert [result.epoch for result in db.runs.list_epochs(lease.run_id)] == [1, 2]


def test_what_is_set_aside_is_in_the_file_and_made_when_redis_answers_again(
    db: RedisDB, tmp_path: Path
) -> None:
    lease = running(db)
    writer = journal(db, lease, tmp_path)
    writer.add(write_epoch(1))
    writer.set_aside()
    writer.add(write_epoch(2))
    writer.set_aside()
    (path,) = tmp_path.iterdir()
    assert [decode(line) for line in path.read_text().splitlines()[1:]] == [write_epoch(1), write_epoch(2)]
    assert db.runs.list_epochs(lease.run_id) == []
    assert writer.flush()
    assert [result.epoch for result in db.runs.list_epochs(lease.run_id)] == [1, 2]
    assert list(tmp_path.iterdir()) == []


def test_a_finish_that_leaves_work_on_files_is_in_the_file_until_that_is_done(
    db: RedisDB, tmp_path: Path
) -> None:
    lease = running(db)
    done = FinishWrite(status=Status.DONE, has_saved_models=True)
    writer = journal(db, lease, tmp_path)
    writer.add(LinesWrite(lines=("done",)))
    writer.add(done)
    (path,) = tmp_path.iterdir()
    assert db.runs.get(lease.run_id).status is Status.RUNNING
    assert writer.flush()
    assert db.runs.get(lease.run_id).status is Status.DONE
    assert decode(path.read_text().splitlines()[-1]) == done
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_dead_workers_file_is_replayed_in_order_and_deleted(db: RedisDB, tmp_path: Path) -> None:
    lease = running(db)
    done = FinishWrite(status=Status.DONE, reason="early", has_saved_models=True)
    spool(
        lease,
        tmp_path,
        LinesWrite(lines=("a",)),
        write_epoch(1),
        LinesWrite(lines=("b", "c")),
        write_epoch(2),
        done,
    )

    assert replay(db, tmp_path) == [(lease.run_id, done)]

    run = db.runs.get(lease.run_id)
    assert (run.status, run.status_reason, run.epochs_done) == (Status.DONE, "early", 2)
    assert [line.text for line in db.log.list(lease.run_id)] == ["a", "b", "c"]
    assert list(tmp_path.iterdir()) == []
    assert replay(db, tmp_path) == []


def test_a_replay_that_died_after_the_finish_leaves_its_files_to_the_next(
    db: RedisDB, tmp_path: Path
) -> None:
    lease = running(db)
    done = FinishWrite(status=Status.DONE, has_saved_models=True)
    path = spool(lease, tmp_path, write_epoch(1), done)

    def fail(_lease: Lease, _write: FinishWrite) -> None:
        raise StoreUnavailable("gone again")

    with pytest.raises(StoreUnavailable):
        replay_left(db, tmp_path, on_finished=fail)
    assert db.runs.get(lease.run_id).status is Status.DONE
    assert path.exists()

    assert replay(db, tmp_path) == [(lease.run_id, done)]
    assert not path.exists()


def test_the_file_of_a_worker_that_lives_is_left_alone(db: RedisDB, tmp_path: Path) -> None:
    lease = running(db)
    path = spool(lease, tmp_path, write_epoch(1))
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        replay(db, tmp_path)
        assert db.runs.list_epochs(lease.run_id) == []
    replay(db, tmp_path)
    assert len(db.runs.list_epochs(lease.run_id)) == 1


def test_what_a_dead_worker_left_of_a_run_that_others_took_is_dropped(db: RedisDB, tmp_path: Path) -> None:
    lease = running(db)
    path = spool(lease, tmp_path, write_epoch(1), FinishWrite(status=Status.DONE))
    db.queue.release(lease, reason="taken")
    assert replay(db, tmp_path) == []
    assert not path.exists()
    assert db.runs.list_epochs(lease.run_id) == []
    assert db.runs.get(lease.run_id).status is Status.WAITING


def other_host(text: str) -> str:
    head, *rest = text.splitlines(keepends=True)
    moved = Head.model_validate_json(head).model_copy(update={"host": "elsewhere"})
    return "".join([f"{moved.model_dump_json()}\n", *rest])


@pytest.mark.parametrize(
    ("change", "epochs", "left"),
    [
        (lambda text: text[:-9], [1], []),  # the worker died within a line
        (other_host, [], [""]),
        (lambda text: text.replace('"epoch":1', '"epoch":"one"'), [], [".unreadable"]),
        (lambda _: "", [], [".unreadable"]),
    ],
    ids=["torn", "another host's", "unreadable", "empty"],
)
def test_a_file_that_is_not_whole_or_not_ours(
    db: RedisDB, tmp_path: Path, change: Callable[[str], str], epochs: list[int], left: list[str]
) -> None:
    lease = running(db)
    path = spool(lease, tmp_path, write_epoch(1), write_epoch(2))
    path.write_text(change(path.read_text()))
    replay(db, tmp_path)
    assert [result.epoch for result in db.runs.list_epochs(lease.run_id)] == epochs
    assert [item.name.removeprefix(path.name) for item in tmp_path.iterdir()] == left


def test_one_file_that_cannot_be_handled_keeps_no_other_from_being_replayed(
    db: RedisDB, tmp_path: Path
) -> None:
    lease, torn = running(db), running(db, worker_id="other")
    path = spool(torn, tmp_path, write_epoch(1), LinesWrite(lines=("grün",)))
    path.rename(tmp_path / "0-torn.jsonl")
    content = (tmp_path / "0-torn.jsonl").read_bytes()
    (tmp_path / "0-torn.jsonl").write_bytes(content[: content.index("ü".encode()) + 1])
    (tmp_path / "1-foreign.jsonl").write_bytes(b"\xff\n")
    (tmp_path / "2-folder.jsonl").mkdir()
    (tmp_path / "3-nobody.jsonl").symlink_to("3-nobody.jsonl")
    spool(lease, tmp_path / "good", write_epoch(2)).rename(tmp_path / "4.jsonl")

    replay(db, tmp_path)

    assert [result.epoch for result in db.runs.list_epochs(torn.run_id)] == [1]
    assert [result.epoch for result in db.runs.list_epochs(lease.run_id)] == [2]
    left = {item.name for item in tmp_path.iterdir()} - {"good"}
    assert left == {"1-foreign.jsonl.unreadable", "2-folder.jsonl", "3-nobody.jsonl"}


def test_a_write_that_is_refused_is_dropped_and_those_behind_it_are_made(db: RedisDB, tmp_path: Path) -> None:
    lease = running(db)
    refused = FactsWrite(facts={"x": float("nan")})
    writer = journal(db, lease, tmp_path)
    writer.add(refused)
    writer.add(write_epoch(1))
    with pytest.raises(InvalidInput):
        writer.flush()
    assert writer.flush()
    assert len(db.runs.list_epochs(lease.run_id)) == 1


def test_a_lost_lease_is_raised_and_nothing_is_left(db: RedisDB, tmp_path: Path) -> None:
    lease = running(db)
    db.queue.release(lease, reason="taken")
    writer = journal(db, lease, tmp_path)
    writer.add(write_epoch(1))
    with pytest.raises(LeaseLost):
        writer.flush()
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_spool_that_cannot_be_written_costs_no_write(db: RedisDB, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("in the way")
    lease = running(db)
    with RedisDB(NOBODY) as away:
        writer = journal(away, lease, tmp_path / "spool")
        writer.add(write_epoch(1))
        assert not writer.flush()
    writer._db = db  # Redis is back
    writer.add(write_epoch(2))
    assert writer.flush()
    assert [result.epoch for result in db.runs.list_epochs(lease.run_id)] == [1, 2]


def test_lines_travel_together(db: RedisDB, tmp_path: Path) -> None:
    lease = running(db)
    writer = journal(db, lease, tmp_path)
    for number in range(1200):
        writer.add(LinesWrite(lines=(str(number),)))
    assert writer._gather()[1] == 500
    while not writer.flush():
        continue
    texts = [line.text for line in db.log.list(lease.run_id, limit=2000)]
    assert texts == [str(number) for number in range(1200)]


def test_an_outage_keeps_no_more_lines_than_the_store_would_and_every_other_write(
    db: RedisDB, tmp_path: Path
) -> None:
    lease = running(db)
    with RedisDB(NOBODY) as away:
        writer = journal(away, lease, tmp_path)
        writer.add(LinesWrite(lines=("first",)))
        assert not writer.flush()
    for number in range(MOST_LINES):
        writer.add(LinesWrite(lines=(str(number),)))
        if number == 5:
            writer.add(write_epoch(1))
    writer.add(LinesWrite(lines=("x", "y")))
    writer.add(write_epoch(2))
    (path,) = tmp_path.iterdir()
    spooled = [decode(line) for line in path.read_text().splitlines()[1:]]
    assert len(spooled) == MOST_LINES + 2
    assert spooled[-1] == write_epoch(2)
    assert len(writer._writes) == MOST_LINES - 2 + 1 + 2

    writer._db = db  # Redis is back
    while not writer.flush():
        continue
    assert [result.epoch for result in db.runs.list_epochs(lease.run_id)] == [1, 2]
    texts = [line.text for line in db.log.list(lease.run_id, limit=2 * MOST_LINES)]
    assert texts[:2] == ["(Before these, 3 lines were too many to keep while Redis was away.)", "2"]
    assert texts[-3:] == [str(MOST_LINES - 1), "x", "y"]
    writer.add(LinesWrite(lines=("z",)))
    assert writer.flush()
    assert [line.text for line in db.log.list(lease.run_id)][-2:] == ["y", "z"]
