"""The files of what is still to be sent, and how far sending has come."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from training_monitor import journal as module
from training_monitor.journal import Chunk, Journal

PLENTY = 1 << 20


def data_of(chunks: list[Chunk]) -> list[bytes]:
    return [chunk.data for chunk in chunks]


def test_chunks_come_back_once_in_their_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "points")
    assert journal.is_empty
    for text in (b"one", b"two"):
        journal.append(text)
    assert data_of(journal.next_chunks(1, PLENTY)) == [b"one", b"two"]
    assert journal.next_chunks(2, PLENTY) == []
    assert journal.is_empty
    journal.append(b"three")
    assert data_of(journal.next_chunks(2, PLENTY)) == [b"three"]


def test_a_batch_has_its_number_and_bytes_again_after_any_death(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "points")
    journal.append(b"one")
    journal.append(b"two")
    journal.next_chunks(7, 3)
    journal.append(b"three")

    again = Journal(tmp_path, "points")
    assert (again.place.seq, data_of(again.current())) == (7, [b"one"])
    assert data_of(again.next_chunks(8, PLENTY)) == [b"two", b"three"]


def test_a_chunk_larger_than_a_batch_is_a_batch(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "points")
    journal.append(b"x" * 100)
    journal.append(b"y")
    assert data_of(journal.next_chunks(1, 10)) == [b"x" * 100]


def test_a_torn_end_is_written_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "points")
    journal.append(b"whole", 4)
    journal.append(b"torn" * 10, 5)
    file = tmp_path / "points.000001"
    file.write_bytes(file.read_bytes()[:-3])

    again = Journal(tmp_path, "points")
    assert again.last_generation() == 4
    again.append(b"new", 5)
    assert data_of(again.next_chunks(1, PLENTY)) == [b"whole", b"new"]
    assert Journal(tmp_path, "points").last_generation() == 5


def test_a_changed_byte_ends_what_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "points")
    journal.append(b"whole")
    journal.append(b"changed")
    file = tmp_path / "points.000001"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert data_of(Journal(tmp_path, "points").next_chunks(1, PLENTY)) == [b"whole"]


def test_a_new_segment_begins_with_what_makes_it_readable_and_sent_ones_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 50)
    journal = Journal(tmp_path, "points", first=lambda: b"names")
    for number in range(6):
        journal.append(b"%d" % number * 20)
    assert len(list(tmp_path.glob("points.0*"))) > 1
    assert journal.size() > 100

    found = []
    seq = 0
    while chunks := journal.next_chunks(seq := seq + 1, PLENTY):
        found.append(data_of(chunks))
    assert all(batch[0] == b"names" for batch in found)
    assert [data for batch in found for data in batch if data != b"names"] == [
        b"%d" % number * 20 for number in range(6)
    ]
    assert [path.suffix for path in tmp_path.glob("points.0*")] == [f".{len(found):06d}"]


def test_a_full_disk_costs_what_did_not_fit_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, "points")
    journal.append(b"before")
    pwrite = os.pwrite
    monkeypatch.setattr(
        "training_monitor.journal.os.pwrite", lambda file, data, at: pwrite(file, data[:10], at)
    )
    with pytest.raises(OSError, match="full"):
        journal.append(b"does not fit")
    monkeypatch.undo()
    journal.append(b"after")
    assert data_of(journal.next_chunks(1, PLENTY)) == [b"before", b"after"]


def test_nothing_is_lost_when_a_segment_ends_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 10)
    journal = Journal(tmp_path, "points")
    take = journal._take

    def take_meanwhile(segment: int, start: int, most_bytes: int) -> list[Chunk]:
        chunks = list(take(segment, start, most_bytes))
        if not chunks and not journal._written:
            journal.append(b"the last of its segment")
            journal.append(b"the first of the next")
        return chunks

    monkeypatch.setattr(journal, "_take", take_meanwhile)
    journal.next_chunks(1, PLENTY)
    assert data_of(journal.next_chunks(1, PLENTY)) == [b"the last of its segment"]
    assert data_of(journal.next_chunks(2, PLENTY)) == [b"the first of the next"]


def test_a_segment_that_could_not_be_begun_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 1)
    journal = Journal(tmp_path, "points")
    journal.append(b"one")
    assert data_of(journal.next_chunks(1, PLENTY)) == [b"one"]
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda *_: 0)
        with pytest.raises(OSError, match="full"):
            journal.append(b"two")
    assert journal.next_chunks(2, PLENTY) == []
    assert journal.next_chunks(2, PLENTY) == []
    journal.append(b"two")
    assert data_of(journal.next_chunks(2, PLENTY)) == [b"two"]


def test_a_place_without_its_file_is_where_it_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "points")
    journal.append(b"one")
    journal.next_chunks(1, PLENTY)
    (tmp_path / "points.000001").rename(tmp_path / "points.000003")
    (tmp_path / "points.place").write_bytes(module._PLACE.pack(1, 3, 0, journal.place.end))
    (tmp_path / "points.000003").unlink()
    again = Journal(tmp_path, "points")
    again.append(b"two")
    assert (tmp_path / "points.000003").exists()
