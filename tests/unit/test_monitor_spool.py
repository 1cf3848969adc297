"""What one session keeps, on a disk that is full for a while or for good."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from training_monitor.points import PointLog
from training_monitor.spool import MEMORY_NAME, Spool, Stream, adopt_dead, create
from training_monitor.window import SHARED_MEMORY
from training_monitor.wire import pack_text, unpack_texts

PLENTY = 1 << 30
Begin = Callable[[], Spool]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[Spool] = []

    def start() -> Spool:
        begun.append(create(tmp_path, "http://127.0.0.1:5000", {"name": "full"}))
        return begun[-1]

    yield start
    for spool in begun:
        if spool.head.memory:
            Path(spool.head.memory).unlink(missing_ok=True)


def put(spool: Spool, stream: Stream, text: str) -> None:
    with spool.windows[stream].lock:
        assert spool.windows[stream].put(pack_text({"text": text}))


def leave_room_for(chunks: int, disk: pytest.MonkeyPatch) -> None:
    """Let the disk take so many writes and no more."""
    writes = iter([os.pwrite] * chunks)
    disk.setattr(os, "pwrite", lambda *given: next(writes, lambda *_: 0)(*given))


def kept(spool: Spool, stream: Stream) -> list[str]:
    chunks = spool.journals[stream].next_chunks(1, PLENTY)
    return [message["text"] for message in unpack_texts(chunk.data for chunk in chunks)]


def test_what_found_no_room_in_the_window_waits_in_its_order_while_the_disk_is_full(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = begin()
    aside = [pack_text({"text": "two"})]
    spool.asides["lines"] = lambda: b"".join(aside.pop() for _ in range(len(aside)))
    put(spool, "lines", "one")
    with monkeypatch.context() as full:
        leave_room_for(1, full)
        with pytest.raises(OSError, match="full"):
            spool.drain(PLENTY)
    put(spool, "lines", "three")
    spool.drain(PLENTY)
    assert kept(spool, "lines") == ["one", "two", "three"]
    spool.discard()


def test_a_full_disk_does_not_end_a_run_before_its_points_are_kept(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = begin()
    spool.last = pack_text({"text": "done"})
    put(spool, "lines", "one")
    with monkeypatch.context() as full:
        leave_room_for(0, full)
        with pytest.raises(OSError, match="full"):
            spool.drain(PLENTY)
    assert not spool.is_empty
    put(spool, "acts", "note")
    spool.drain(PLENTY)
    assert (kept(spool, "lines"), kept(spool, "acts")) == (["one"], ["note", "done"])
    spool.discard()


def test_what_a_full_disk_refused_to_the_end_is_in_memory_for_who_adopts_the_session(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = begin()
    aside = [pack_text({"text": "two"})]
    spool.asides["lines"] = lambda: b"".join(aside.pop() for _ in range(len(aside)))
    spool.last = pack_text({"text": "done"})
    put(spool, "lines", "one")
    with monkeypatch.context() as full:
        leave_room_for(1, full)
        with pytest.raises(OSError, match="full"):
            spool.drain(PLENTY)
    spool.give_memory_back()
    spool.close()

    (adopted,) = adopt_dead(tmp_path)
    assert (kept(adopted, "lines"), kept(adopted, "acts")) == (["one", "two"], ["done"])
    adopted.discard()


def test_memory_is_given_back_once_all_is_on_the_disk(begin: Begin) -> None:
    spool = begin()
    put(spool, "lines", "one")
    spool.drain(PLENTY)
    assert spool.head.memory
    assert Path(spool.head.memory).exists()
    spool.give_memory_back()
    assert not Path(spool.head.memory).exists()
    spool.close()


def mapped() -> list[str]:
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if MEMORY_NAME in line]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists what is mapped")
def test_a_session_that_has_ended_holds_no_memory_and_no_descriptor_though_somebody_knows_it(
    begin: Begin,
) -> None:
    before, descriptors = len(mapped()), len(list(Path("/proc/self/fd").iterdir()))
    spools = [begin() for _ in range(3)]
    points = PointLog(spools[0].windows["points"], ring=lambda: None)
    assert len(mapped()) == before + 3
    for spool in spools:
        spool.discard()

    assert len(mapped()) == before
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    with pytest.raises(ValueError, match="released"):
        points.add({"loss": 1.0}, 1, 0.0)


def test_a_session_that_cannot_begin_leaves_no_memory_and_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def fail(path: Path, *_: object) -> int:
        names.append(path.parent.name)
        raise OSError("No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", fail)
        with pytest.raises(OSError, match="No space"):
            create(tmp_path, "http://127.0.0.1:5000", {"name": "full"})
    assert list(tmp_path.iterdir()) == []
    assert not (SHARED_MEMORY / f"{MEMORY_NAME}{names[0]}").exists()
