"""A download that fails: what may pass is tried again, now and later; what may not is said at once."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from errors import DatasetUnavailable, DownloadInterrupted
from trainers.datasets import DATASETS, Archive, DataFile, Dataset
from trainers.download import fetch_missing
from work.child import explain

CONTENT = b"0123456789" * 1000
PACKED = gzip.compress(CONTENT, mtime=0)
MOMENT_S = 0.01


class Publisher(ThreadingHTTPServer):
    """A web server that answers as it is told, request by request, and rightly afterwards."""

    def __init__(self, answers: Sequence[str | int]) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers = list(answers)
        self.asked = 0


class Answering(BaseHTTPRequestHandler):
    """One request."""

    server: Publisher

    def do_GET(self) -> None:
        self.server.asked += 1
        answer = self.server.answers.pop(0) if self.server.answers else "right"
        if answer == "silence":
            return
        self.send_response(answer if isinstance(answer, int) else 200)
        body = PACKED[:-1] + b"?" if answer == "wrong" else PACKED
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if answer == "cut" else body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def publisher(request: pytest.FixtureRequest) -> Iterator[Publisher]:
    with Publisher(request.param) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def published_at(*urls: str) -> Dataset:
    checksum = hashlib.md5(PACKED, usedforsecurity=False).hexdigest()
    archive = Archive("x/file.gz", urls, checksum)
    return replace(DATASETS["mnist"], train_files=(DataFile("x/file"),), test_files=(), archives=(archive,))


def url_of(publisher: Publisher) -> str:
    return f"http://127.0.0.1:{publisher.server_port}/file.gz"


def fetch(dataset: Dataset, datasets_dir: Path, *, pauses: int = 2) -> list[str]:
    said: list[str] = []
    fetch_missing(dataset, datasets_dir, say=said.append, pauses_s=[MOMENT_S] * pauses)
    return said


@pytest.mark.parametrize("publisher", [(503, "cut"), ("silence", 429)], indirect=True)
def test_what_may_pass_is_tried_again(publisher: Publisher, tmp_path: Path) -> None:
    said = fetch(published_at(url_of(publisher)), tmp_path)
    assert publisher.asked == 3
    assert (tmp_path / "x" / "file").read_bytes() == CONTENT
    assert sum("is tried again in 0.01 s" in line for line in said) == 2


@pytest.mark.parametrize("publisher", [["cut"] * 3, [500] * 3, ["silence"] * 3], indirect=True)
def test_what_does_not_pass_soon_is_left_to_a_later_attempt(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(DownloadInterrupted, match=r"file\.gz") as caught:
        fetch(published_at(url_of(publisher)), tmp_path)
    assert publisher.asked == 3
    assert explain(caught.value).is_retryable
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_is_not_reached_may_be_reached_later(tmp_path: Path) -> None:
    with pytest.raises(DownloadInterrupted, match="refused"):
        fetch(published_at("http://127.0.0.1:1/file.gz"), tmp_path)


@pytest.mark.parametrize("publisher", [[404], [403], ["wrong"]], indirect=True)
def test_what_would_be_the_same_again_is_not_tried_again(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=r"404|403|checksum is wrong") as caught:
        fetch(published_at(url_of(publisher)), tmp_path)
    assert publisher.asked == 1
    assert not explain(caught.value).is_retryable
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("publisher", [[404]], indirect=True)
def test_one_address_that_may_work_later_is_enough(publisher: Publisher, tmp_path: Path) -> None:
    dataset = published_at(url_of(publisher), "http://127.0.0.1:1/file.gz")
    assert fetch(dataset, tmp_path)  # in the second round the first address has it
    assert publisher.asked == 2


def test_a_disk_that_cannot_be_written_is_no_network(tmp_path: Path) -> None:
    (tmp_path / "datasets").write_text("in the way")
    with pytest.raises(DatasetUnavailable) as caught:
        fetch(published_at("http://127.0.0.1:1/file.gz"), tmp_path / "datasets")
    assert not isinstance(caught.value, DownloadInterrupted)
