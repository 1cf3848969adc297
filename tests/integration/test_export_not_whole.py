"""An export of which a part cannot be read: it says so, and nobody takes it for a whole one."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import typer
from flask.testing import FlaskClient
from typer.testing import CliRunner

from archive.parcels import pack
from cli import archive_commands
from client.exports import MOST_END_BYTES, check_end
from errors import ArchiveUnavailable
from redis_db import RedisDB
from schema.archive import Bundle
from tests.integration import test_export, test_views
from tests.integration.test_archive import ENDED, MINE
from tests.integration.test_archive_routes import archive_all
from tests.integration.test_export import export, send
from tests.stored_commands import load

api = test_export.api
api_url = test_views.api_url


def lose_points(folder: Path) -> None:
    """Delete the one Parquet file there is, of the run of a script."""
    (file,) = folder.rglob("*.parquet")
    file.unlink()


def test_an_export_without_a_file_of_points_ends_with_the_reason_and_no_import_takes_it(
    api: FlaskClient, raw: redis.Redis, tmp_path: Path
) -> None:
    archive_all(api)
    whole = export(api)
    check_end(whole[-MOST_END_BYTES:])
    lose_points(tmp_path)
    content = export(api)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = tar.getnames()
    assert (names[-1], "end.json" in names) == ("problem.json", False)
    with pytest.raises(ArchiveUnavailable, match=f"not whole.*Run {MINE}.*WATTLE_ARCHIVE_URL"):
        check_end(content[-MOST_END_BYTES:])
    raw.flushall()
    refused = send(api, content)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (422, "invalid_input")
    assert f"not whole, for when it was made: Run {MINE}" in refused.get_json()["error"]["message"]
    assert raw.hlen("runs:archived") < len(ENDED)
    assert not raw.exists("totals:all")


def test_the_command_prints_the_reason_and_leaves_no_file(
    api_url: str, db: RedisDB, raw: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(raw, "layout-1.jsonl")
    monkeypatch.setenv("WATTLE_API_URL", api_url)
    program, runner = typer.Typer(), CliRunner()
    archive_commands.mount(program)
    assert runner.invoke(program, ["archive", "now", "--older-than-days", "0", "--wait"]).exit_code == 0
    lose_points(tmp_path)
    file = tmp_path / "all.tar"
    for target in (str(file), "-"):
        told = runner.invoke(program, ["export", target])
        assert (told.exit_code, "not whole" in told.stderr, MINE in told.stderr) == (1, True, True), told
    assert list(tmp_path.glob("all*")) == []


@pytest.mark.parametrize("problem", ["x" * 5_000, "\N{BOMB}" * 5_000, 'quoted "\\" \n and \x00'])
def test_a_reason_of_any_length_is_found_at_the_end(problem: str) -> None:
    def bundles() -> Iterator[Bundle]:
        yield Bundle("a1", {"status": "done"}, {}, {})
        raise ArchiveUnavailable(problem)

    content = b"".join(pack(bundles(), layout=1, version="1"))
    with pytest.raises(ArchiveUnavailable) as told:
        check_end(content[-MOST_END_BYTES:])
    assert problem[:100] in str(told.value)


def test_an_export_that_ends_too_soon_is_told_as_one() -> None:
    content = b"".join(pack([], layout=1, version="1"))
    check_end(content)
    for end in (b"", content[:512], content[:1024], b"x" * 9_000):
        with pytest.raises(ArchiveUnavailable, match="ended too soon"):
            check_end(end)
