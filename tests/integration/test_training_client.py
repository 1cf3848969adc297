"""The example that streams made-up batches, as its users start it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from redis_db import RedisDB
from schema import DEFAULT_VIEW
from tests.live import LiveBackend
from tests.programs import Programs

CLIENT = Path(__file__).resolve().parents[2] / "examples" / "training_client.py"


class Forgetful(BaseHTTPRequestHandler):
    """Answers, and ends the connection without a word of it, as a server does with one that was quiet."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        text = b'{"tilesReady": false}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def stream(url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "DASHBOARD_RPC_URL": url, **variables}
    return subprocess.run(
        [sys.executable, "-I", CLIENT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("path", ["/rpc/batch_update", ""])
def test_it_runs_twice_in_a_row_and_both_are_shown_whole(
    db: RedisDB, redis_url: str, tmp_path: Path, path: str
) -> None:
    programs = Programs(redis_url=redis_url, data_dir=tmp_path)
    try:
        with LiveBackend(programs) as backend:
            url = f"http://127.0.0.1:{backend.port}{path}"
            for total in (60, 40):
                ended = stream(
                    url,
                    TOTAL_ITERATIONS=str(total),
                    MINI_BATCH_MIN="3",
                    MINI_BATCH_MAX="20",
                    INJECT_DELAY_MS="2",
                )
                assert ended.returncode == 0, ended.stderr
                assert f"sent {total} iterations" in ended.stdout
                _, entries, mosaic = db.live.list_newest(DEFAULT_VIEW)
                assert [point.iteration for entry in entries for point in entry.points] == list(
                    range(1, total + 1)
                )
                assert {entry.delay_ms for entry in entries[1:]} == {2.0}
                assert all(3 <= (entry.batch_size or 0) <= 20 for entry in entries if entry.points)
                assert mosaic is not None
                assert mosaic.tiles[0].image.startswith("data:image/png;base64,")
    finally:
        programs.stop()


def test_without_a_backend_it_says_so_in_a_sentence() -> None:
    ended = stream("http://127.0.0.1:9")
    assert ended.returncode == 1
    assert "could not be reached" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_connection_that_the_server_has_ended_is_made_again() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ended = stream(f"http://127.0.0.1:{server.server_port}", TOTAL_ITERATIONS="5")
        server.shutdown()
    assert ended.returncode == 0, ended.stderr
    assert "sent 5 iterations" in ended.stdout
