"""The archive on a real PostgreSQL, and on SQLite when two programs open it at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.database import Database
from archive.opening import open_archive
from archive.points import PointFiles
from archive.vault import Archive
from errors import ArchiveUnavailable, InvalidInput, NotFound
from schema.archive import Bundle
from settings import Settings

ROOT = Path(__file__).parents[2]
RUN = Bundle(
    "a1",
    {"status": "done", "time_added": "1700000000.125", "ended_at": "1700000900.5", "name": "ü\udc80\0"},
    {"log": [["1-0", {"text": "zero \0 and more"}]], "epochs": {"1": "[1]"}, "histogram:w": ["x\udcff", "y"]},
    {"loss": bytes(range(48)), "a/b": bytes(24)},
    "f" * 40,
)


def _programs() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return places[-1] if places else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server of its own on a unix socket."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql): SQLite alone is tested")
    # Not pytest's own folder: it is root's alone, and the server does not run as root.
    with tempfile.TemporaryDirectory(prefix="wattle-pg-") as folder:
        as_user: list[str] = []
        if os.geteuid() == 0:
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            shutil.chown(folder, "postgres", "postgres")

        def run(program: str, *arguments: str) -> None:
            command = [*as_user, str(programs / program), "-D", f"{folder}/data", *arguments]
            subprocess.run(command, check=True, capture_output=True, timeout=120)

        run("initdb", "-U", "wattle", "-A", "trust", "-E", "SQL_ASCII", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-w", "-l", f"{folder}/log", "-o", options, "start")
        yield f"postgresql://wattle@/postgres?host={folder}"
        run("pg_ctl", "-m", "immediate", "stop")


@pytest.fixture(params=["sqlite", "postgres"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    url = f"sqlite:///{tmp_path}/archive.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")
    opened = Archive(Database(url), PointFiles(str(tmp_path / "points")), layout=1)
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

    assert archive.delete_points({"default": 1.7e9}, None) == 0
    assert archive.delete_points({"default": 1.8e9}, None) == 1
    assert dict(archive.load(RUN.place).points) == {}
    assert archive.drop_others({RUN.place}, before_s=300.0) == 0
    assert archive.drop_others(set(), before_s=200.0) == 0
    assert archive.drop_others(set(), before_s=200.5) == 1
    with pytest.raises(NotFound):
        archive.load(RUN.place)
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.slow
def test_programs_that_open_it_at_once_make_its_tables_once(archive: Archive, tmp_path: Path) -> None:
    url = archive._database._url.render_as_string(hide_password=False)
    code = (
        "import sys; from archive.database import Database; from archive.points import PointFiles\n"
        "from archive.vault import Archive\n"
        "archive = Archive(Database(sys.argv[1]), PointFiles(sys.argv[2]), layout=1)\n"
        "sys.stdin.readline(); print(archive.measure())"
    )
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", code, url, str(tmp_path)],
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
    for program in programs:
        said, problem = program.communicate(timeout=120)
        assert (program.returncode, said) == (0, "Size(runs=0, points=0, bytes=0)\n"), problem


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
