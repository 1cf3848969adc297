"""Every route against requests made from the OpenAPI document: no 5xx, and answers that are as it says.

Schemathesis covers each parameter and field with values that fit and values that do not, in the same order
each time. It sends them over HTTP to the real app.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from werkzeug.serving import make_server

from backend import create_app
from redis_db import RedisDB
from schema import RunOptions
from settings import Settings
from tests.acted_run import HYPER_PARAMS, ActedRun

pytestmark = pytest.mark.slow
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "missing_required_header",
)
# Answered until who asked leaves.
STREAMS = "^(/ws|/live/events)$"
PROGRAM = "from schemathesis.cli import schemathesis; schemathesis()"
CONFIG = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 429]
"""


def test_no_request_meets_an_answer_that_the_document_does_not_know(db: RedisDB, tmp_path: Path) -> None:
    ActedRun(db)
    db.queue.submit(HYPER_PARAMS, RunOptions(project="mine"))
    server = make_server("127.0.0.1", 0, create_app(Settings(data_dir=tmp_path), db), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    try:
        ran = subprocess.run(
            [
                *(sys.executable, "-c", PROGRAM, f"--config-file={config}", "run"),
                f"http://127.0.0.1:{server.server_port}/openapi.json",
                *("--phases=examples,coverage", "--continue-on-failure", "--no-color", "--seed=1"),
                *("--generation-deterministic", f"--checks={','.join(CHECKS)}", "--warnings=off"),
                *("--request-timeout=60", f"--exclude-path-regex={STREAMS}", "--output-truncate=true"),
            ],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    assert re.search(r"[1-9]\d{3,} generated", ran.stdout), ran.stdout[-2_000:]
