"""The command that imports a file of results, over the real API."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from backend import create_app
from cli.data_commands import parts_of
from cli.main import main
from client import Client
from leaderboard.results_file import MAX_ROWS, read_results
from redis_db import RedisDB
from settings import Settings

HEADER = "run_id,accuracy,training_time_sec,network\n"


@pytest.fixture
def over_wsgi(db: RedisDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = httpx.WSGITransport(create_app(Settings(data_dir=tmp_path), db))

    def open_client(url: str, *, token: str | None, timeout_s: float) -> Client:
        return Client(url, token=token, transport=transport, timeout_s=timeout_s)

    monkeypatch.setattr("cli.connecting.Client", open_client)


@pytest.mark.usefixtures("over_wsgi")
def test_a_long_file_is_imported_in_parts_and_once(
    db: RedisDB, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "leaderboard.csv"
    path.write_text(HEADER + "".join(f"r{number},0.5,1,lenet5\n" for number in range(MAX_ROWS + 1)))
    assert main(["import-results", str(path)]) == 0
    assert capsys.readouterr().out == "2001 runs imported, 0 were known\n"
    assert main(["import-results", str(path)]) == 0
    assert capsys.readouterr().out == "0 runs imported, 2001 were known\n"
    assert len(list(db.finished.list_ids())) == MAX_ROWS + 1


@pytest.mark.usefixtures("over_wsgi")
def test_what_cannot_be_imported_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "leaderboard.csv"
    assert main(["import-results", str(path)]) == 2
    path.write_text(HEADER + "a,97,1,\n")
    assert main(["import-results", str(path)]) == 1
    assert "line 2, accuracy" in capsys.readouterr().err


def test_parts_add_up_to_the_file_also_where_cells_have_lines_and_many_bytes() -> None:
    names = ['a "b", c', "é" * 250]
    cells = [name.replace(chr(34), 2 * chr(34)) for name in names]
    rows = "".join(f'r{number},0.5,1,"{cells[number % 2]}"\n' for number in range(3_000))
    parts = list(parts_of(HEADER + rows))
    assert len(parts) > 1
    assert all(len(part.encode()) < 600_000 for part in parts)
    read = [result for part in parts for result in read_results(part)]
    assert [result.run_id for result in read] == [f"r{number}" for number in range(3_000)]
    assert {result.network for result in read} == set(names)
