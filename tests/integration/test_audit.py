"""The real pip-audit before a service that knows of a vulnerability, of none, or does not answer."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.audit import EXIT_CODES, PIP_AUDIT, Outcome, audit, judge, main

needs_pip_audit = pytest.mark.skipif(not PIP_AUDIT.exists(), reason="pip-audit is not installed: make tools")

KNOWN = {
    "id": "PYSEC-2024-1",
    "summary": "It can be made to loop for ever.",
    "affected": [
        {
            "package": {"name": "idna", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.7"}]}],
        }
    ],
}

# Told the query; returns status and body.
Answer = Callable[[Mapping[str, Any]], tuple[int, object]]


@contextmanager
def service(answer: Answer) -> Iterator[Sequence[str]]:
    """A service in the format of OSV, as pip-audit is told of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, told = answer(query)
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield at(server.server_port)
        server.shutdown()


def at(port: int) -> Sequence[str]:
    return ("--vulnerability-service", "osv", "--osv-url", f"http://127.0.0.1:{port}/")


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    path = tmp_path / "constraints.txt"
    path.write_text("# two\nidna==3.6\nh11==0.16.0\n")
    return path


def knows_of_idna(query: Mapping[str, Any]) -> tuple[int, object]:
    return 200, {"vulns": [KNOWN]} if query["package"]["name"] == "idna" else {}


@needs_pip_audit
def test_what_is_known_is_named_with_its_remedy_and_stops_ci(
    pins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with service(knows_of_idna) as place:
        assert main(pins, [place]) == 1
    assert "idna 3.6: PYSEC-2024-1, mended in 3.7" in capsys.readouterr().err


@needs_pip_audit
def test_every_pin_is_asked_about_and_where_none_is_known_that_is_said(
    pins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def knows_of_none(query: Mapping[str, Any]) -> tuple[int, object]:
        asked.append((query["package"]["name"], query["version"]))
        return 200, {}

    with service(knows_of_none) as place:
        assert main(pins, [place]) == 0
    assert sorted(asked) == [("h11", "0.16.0"), ("idna", "3.6")]
    told = capsys.readouterr().err
    assert "no vulnerability is known. 2 of 2 packages looked up" in told
    assert "SKIPPED" not in told


@needs_pip_audit
@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_service_that_refuses_says_nothing_about_vulnerabilities(
    pins: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with service(lambda _: (status, {})) as place:
        assert main(pins, [place]) == 0
    assert "### SKIPPED" in capsys.readouterr().err


@needs_pip_audit
def test_one_that_nobody_listens_at_is_passed_over_for_the_next(
    pins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = at(closed.getsockname()[1])
        assert audit(pins, nobody).outcome is Outcome.NOT_LOOKED_UP
        with service(knows_of_idna) as place:
            assert main(pins, [nobody, place]) == 1
    assert "SKIPPED" not in capsys.readouterr().err


@needs_pip_audit
def test_one_that_hangs_is_not_waited_for(pins: Path) -> None:
    ended = threading.Event()

    def hangs(_: Mapping[str, Any]) -> tuple[int, object]:
        ended.wait(60)
        return 200, {}

    with service(hangs) as place:
        verdict = audit(pins, place, limit_s=3)
        ended.set()
    assert verdict.outcome is Outcome.NOT_LOOKED_UP


@needs_pip_audit
def test_pins_that_cannot_be_read_are_a_failure_and_not_a_service_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("idna>=3\n")
    with service(knows_of_idna) as place:
        verdict = audit(tmp_path / "constraints.txt", place)
    assert verdict.outcome is Outcome.BROKEN
    assert EXIT_CODES[verdict.outcome] == 2


def test_an_index_that_knows_no_package_has_not_said_that_all_is_well() -> None:
    """What pip-audit reports, with exit code 0, before a mirror that has packages alone."""
    report = (
        '{"dependencies": [{"name": "idna", "skip_reason": "Dependency not found on PyPI"}], "fixes": []}'
    )
    verdict = judge(report, "No known vulnerabilities found")
    assert verdict.outcome is Outcome.NOT_LOOKED_UP


def test_packages_that_are_unknown_are_named_beside_those_that_are_well() -> None:
    pins = [{"name": "ours", "skip_reason": "not found"}, {"name": "h11", "version": "0.16.0", "vulns": []}]
    verdict = judge(json.dumps({"dependencies": pins, "fixes": []}), "")
    assert (verdict.outcome, verdict.text) == (
        Outcome.NONE_KNOWN,
        "1 of 2 packages looked up; not known there: ours",
    )
