"""Add the runs of a leaderboard.csv that ended elsewhere: ``make import FILE=leaderboard.csv``."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from client import Client
from errors import ApiError
from settings import load_settings

_ROWS_AT_ONCE = 2_000
_MOST_BYTES = 500_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Send the file in parts; returns 1 when one was refused or the file could not be read."""
    parser = argparse.ArgumentParser(
        "cli.import_results", description="Add the runs of a leaderboard.csv; those that are known stay."
    )
    parser.add_argument("file", type=Path)
    path: Path = parser.parse_args(arguments).file
    imported = known = 0
    try:
        text = path.read_text("utf-8-sig")
        settings = load_settings()
        with Client(settings.api_url, token=settings.shown_token, timeout_s=60) as api:
            for part in parts_of(text):
                reply = api.import_results(part)
                imported += reply.imported
                known += reply.known
    except (ApiError, OSError, UnicodeDecodeError, csv.Error) as error:
        sys.stderr.write(f"import: {error}\n")
        return 1
    finally:
        print(f"{imported} runs imported, {known} were known")
    return 0


def parts_of(text: str) -> Iterator[str]:
    """Yield a file in parts that the API takes, each with the header. Lines in a cell stay together."""
    rows = csv.reader(io.StringIO(text, newline=""))
    header = _line(next(rows, []))
    part: list[str] = []
    size = 0
    for row in rows:
        line = _line(row)
        if part and (len(part) >= _ROWS_AT_ONCE or size + len(line.encode()) > _MOST_BYTES):
            yield header + "".join(part)
            part, size = [], 0
        part.append(line)
        size += len(line.encode())
    yield header + "".join(part)


def _line(row: Sequence[str]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue()
