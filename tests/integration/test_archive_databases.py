"""The archive on SQLite, PostgreSQL and MariaDB alike."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from archive.database import Database
from archive.opening import open_archive
from archive.points import PointFiles
from archive.vault import Archive
from errors import ArchiveUnavailable, InvalidInput, NotFound
from schema.archive import Bundle
from settings import Settings
from tests.databases import PACKET_BYTES, Server, database_url, mariadb, postgres

__all__ = ["database_url", "mariadb", "postgres"]
ROOT = Path(__file__).parents[2]
RUN = Bundle(
    "a1",
    {"status": "done", "time_added": "1700000000.125", "ended_at": "1700000900.5", "name": "ü\udc80\0"},
    {"log": [["1-0", {"text": "zero \0 and more"}]], "epochs": {"1": "[1]"}, "histogram:w": ["x\udcff", "y"]},
    {"loss": bytes(range(48)), "a/b": bytes(24)},
    "f" * 40,
)


@pytest.fixture
def archive(database_url: str, tmp_path: Path) -> Iterator[Archive]:
    opened = Archive(Database(database_url), PointFiles(str(tmp_path / "points")), layout=1)
    yield opened
    opened.close()


def test_a_run_is_read_back_as_it_was_written(archive: Archive, tmp_path: Path) -> None:
    archive.write(RUN, now_s=100.0)
    assert archive.load(RUN.place) == RUN
    archive.write(RUN, now_s=200.0)
    assert archive.load(RUN.place) == RUN
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert archive.find_records([RUN.place, "none"]) == {RUN.place: RUN.record}
    assert archive.find_parts([RUN.place, "none"], "epochs") == {RUN.place: {"1": "[1]"}}
    size = archive.measure()
    assert (size.runs, size.points) == (1, 3)

    assert archive.delete_points({"default": 1.7e9}, None, now_s=250.0) == 0
    assert archive.delete_points({"default": 1.8e9}, None, now_s=250.0) == 1
    assert dict(archive.load(RUN.place).points) == {}
    assert archive.drop_others({RUN.place}, before_s=300.0) == 0
    assert archive.drop_others(set(), before_s=200.0) == 0
    assert archive.drop_others(set(), before_s=200.5) == 1
    with pytest.raises(NotFound):
        archive.load(RUN.place)
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.slow
def test_programs_that_open_it_at_once_make_its_tables_once(database_url: str, tmp_path: Path) -> None:
    code = (
        "import sys; from archive.database import Database; from archive.points import PointFiles\n"
        "from archive.vault import Archive\n"
        "archive = Archive(Database(sys.argv[1]), PointFiles(sys.argv[2]), layout=1)\n"
        "sys.stdin.readline(); print(archive.measure(), flush=True); sys.stdin.readline()"
    )
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", code, database_url, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    for program in programs:  # each while the other one still has it open
        assert program.stdout is not None
        assert program.stdout.readline() == "Size(runs=0, points=0, bytes=0)\n"
    for program in programs:
        _, problem = program.communicate("end\n", timeout=120)
        assert program.returncode == 0, problem


def test_names_are_compared_letter_by_letter(archive: Archive) -> None:
    small = replace(RUN, record={**RUN.record, "options": '{"project":"vision"}'})
    large = replace(
        RUN, run_id="A1", fingerprint="F" * 40, record={**RUN.record, "options": '{"project":"Vision"}'}
    )
    for run in (small, large):
        archive.write(run, now_s=1_763_788_800.123457)
    assert archive.load(small.place) == small
    assert archive.load(large.place) == large
    assert archive.find_records([small.place.title()]) == {}
    assert archive.delete_points({"VISION": 4e9}, None, now_s=4e9) == 0
    assert archive.delete_points({"Vision": 4e9}, None, now_s=4e9) == 1
    assert archive.load(small.place).points == small.points
    # What was written at that moment, and not what was written there since.
    assert archive.drop_others({small.place}, before_s=1_763_788_800.123458) == 1
    assert archive.measure().runs == 1


def test_a_step_that_was_killed_is_done_again(database_url: str, archive: Archive, tmp_path: Path) -> None:
    archive.write(RUN, now_s=100.0)
    for killed_in in ("UPDATE alembic_version SET version_num = '0001'", "DELETE FROM alembic_version"):
        with archive._database.begin() as connection:
            connection.execute(text(killed_in))
        again = Archive(Database(database_url), PointFiles(str(tmp_path / "points")), layout=1)
        assert again.load(RUN.place) == RUN
        again.close()


def test_a_file_that_nobody_came_to_name_is_swept_away_and_named_no_more(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "points"

    class Killed(BaseException):
        """What a SIGKILL looks like from inside."""

    def die(*_values: object, **_how: object) -> None:
        raise Killed

    def write_at(now_s: float) -> None:
        archive.write(RUN, now_s=now_s)

    for part, method in ((archive._files, "write"), (archive._loose, "tie"), (archive._loose, "delete")):
        with monkeypatch.context() as patch:
            patch.setattr(part, method, die)
            with pytest.raises(Killed):
                list(map(write_at, (100.0, 101.0)))
    assert len(list(folder.rglob("*.parquet"))) == 3
    assert archive.sweep(before_s=50.0) == 0
    assert archive.sweep(before_s=200.0) == 3
    assert len(list(folder.rglob("*.*"))) == 1
    assert archive.load(RUN.place) == RUN
    assert archive.sweep(before_s=200.0) == 0

    # Who wakes up after that writes it again, another time.
    write = archive._files.write

    def be_slow(name: str, points: Mapping[str, bytes]) -> None:
        write(name, points)
        assert archive.sweep(before_s=200.0) == 1

    monkeypatch.setattr(archive._files, "write", be_slow)
    with pytest.raises(ArchiveUnavailable, match="took too long"):
        archive.write(replace(RUN, fingerprint="b" * 40), now_s=100.0)
    assert archive.load(RUN.place) == RUN
    assert archive.measure().runs == 1


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_connection_that_the_server_ended_is_opened_anew(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: Server = request.getfixturevalue(kind)
    with server.database() as url:
        archive = Archive(Database(url), PointFiles(str(tmp_path)), layout=1)
        archive.write(RUN, now_s=100.0)
        server.cut_connections()
        assert archive.load(RUN.place) == RUN
        server.cut_connections()
        archive.write(RUN, now_s=200.0)
        archive.close()


def test_a_run_that_the_database_does_not_take_says_why(mariadb: Server, tmp_path: Path) -> None:
    with mariadb.database() as url:
        archive = Archive(Database(url), PointFiles(str(tmp_path)), layout=1)
        large = replace(RUN, parts={"log": [["1-0", {"text": "x" * 2 * PACKET_BYTES}]]})
        with pytest.raises(ArchiveUnavailable, match="max_allowed_packet"):
            archive.write(large, now_s=100.0)
        assert "version" in archive.check_database()  # so it is about the run
        assert archive.measure().runs == 0
        archive.write(RUN, now_s=100.0)
        assert archive.load(RUN.place) == RUN
        archive.close()


def test_a_wrong_url_is_named_without_its_password(tmp_path: Path) -> None:
    def opened(url: str) -> Archive:
        return open_archive(Settings(_env_file=None, data_dir=tmp_path, database_url=url), layout=1)

    with pytest.raises(InvalidInput, match="WATTLE_DATABASE_URL is no URL"):
        opened("nowhere")
    with pytest.raises(InvalidInput, match=r"driver is not installed.*wattle\[mysql\]"):
        opened("oracle://someone:hidden@127.0.0.1/x").measure()
    with pytest.raises(InvalidInput, match="WATTLE_ARCHIVE_URL"):
        open_archive(Settings(_env_file=None, archive_url="nothing://bucket"), layout=1)
    with pytest.raises(ArchiveUnavailable, match="WATTLE_DATABASE_URL") as away:
        opened("postgresql://someone:hidden@127.0.0.1:1/x").measure()
    assert "hidden" not in str(away.value)
