"""The log that the elected sampler of a machine writes and every worker of it reads.

A file of JSON lines: a header (an object) says what the columns are, a sample (an array) holds cumulative
joules. A new session, and a file that has become long, begin a new file; the one before is kept as ``.old``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from carbon_aware_trainer.energy.host import Sample
from carbon_aware_trainer.records import Source

LOG_NAME, OLD_NAME = "samples.jsonl", "samples.jsonl.old"
MAX_BYTES = 1_000_000
# What a worker that has just come looks back at: ten seconds and some.
_LINES_AT_FIRST = 150
# Half a second's, the longest that a reader who does not ring is behind.
_ROWS_AT_ONCE = 5
# Made once: json.dumps would make one for every line.
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Header:
    """What the samples that follow consist of."""

    session: str  # names the sampler that writes; another one counts from 0 again
    file: int  # of the session, from 1
    pid: int  # of the sampler
    sources: tuple[Source, ...]
    failed: Mapping[str, str] = field(default_factory=dict)  # why a GPU has no source, by UUID


@dataclass(frozen=True, slots=True)
class OtherFigure:
    """CodeCarbon's own cumulative figure for the whole machine; None with the reason when it has failed."""

    at_ns: int
    joules: float | None
    reason: str | None = None


Entry = Header | Sample | OtherFigure


class LogWriter:
    """Appends to the log, several samples at once: nobody needs them earlier, and each write costs."""

    def __init__(self, folder: Path, session: str, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._session, self._max_bytes = folder, session, max_bytes
        self._header = Header(session, 0, os.getpid(), ())
        self._file: int | None = None
        self._bytes = 0
        self._rows: list[object] = []

    def describe(self, sources: tuple[Source, ...], failed: Mapping[str, str]) -> None:
        """Say what the samples from now on consist of."""
        self._header = Header(self._session, self._header.file, os.getpid(), sources, dict(failed))
        if self._file is None:
            self._open_next()
        else:
            self._write_header()
        self.flush()

    def append(self, sample: Sample) -> None:
        """Add a sample of what was described before; readers see it when enough are there or flushed."""
        keys = [source.key for source in self._header.sources]
        row: list[Any] = [
            sample.at_ns,
            [round(sample.host.get(key, 0.0), 6) for key in keys],
            {pid: [round(own.get(key, 0.0), 6) for key in keys] for pid, own in sample.own.items()},
            sample.training,
        ]
        if sample.lost or sample.lost_of:
            row += [dict(sample.lost), dict(sample.lost_of)]
        self._rows.append(row)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Show readers everything. Raises OSError."""
        rows, self._rows = self._rows, []
        if self._file is None:
            raise OSError("the log is not open")
        if rows:
            lines = "".join(f"{_encode(row)}\n" for row in rows)
            self._bytes += os.write(self._file, lines.encode())
        if self._bytes > self._max_bytes:
            self._open_next()

    def append_other(self, figure: OtherFigure) -> None:
        """Add CodeCarbon's figure."""
        self._rows.append({"codecarbon": [figure.at_ns, figure.joules, figure.reason]})

    def close(self) -> None:
        """Write the rest and close the file, also when the rest cannot be written. Raises OSError."""
        try:
            if self._file is not None and self._rows:
                self.flush()
        finally:
            self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open_next(self) -> None:
        self._close_file()
        path = self._folder / LOG_NAME
        if path.exists():
            path.replace(self._folder / OLD_NAME)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._bytes = 0
        header = self._header
        self._header = Header(header.session, header.file + 1, header.pid, header.sources, header.failed)
        self._write_header()

    def _write_header(self) -> None:
        self._rows.append(asdict(self._header))


class LogReader:
    """Follows the log from its end on, through new files."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG_NAME
        self._file: int | None = None
        self._rest = b""
        self._has_begun = False
        self._keys: tuple[str, ...] = ()

    def read(self) -> Iterator[Entry]:
        """Return what was written since the last call, oldest first. Raises OSError."""
        while True:
            yield from self._read_file()
            if not self._has_newer():
                return
            # what the writer added between our last read and its new file
            yield from self._read_file()
            self._open()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read_file(self) -> Iterator[Entry]:
        if self._file is None:
            return
        text = self._rest
        while block := os.read(self._file, 1 << 16):
            text += block
        *lines, self._rest = text.split(b"\n")
        for line in lines if self._has_begun else _newest(lines):
            self._has_begun = True
            yield self._decode(json.loads(line))

    def _decode(self, row: Any) -> Entry:
        if isinstance(row, list):
            at_ns, host, own, training, *reasons = row
            lost, lost_of = reasons or ({}, {})
            return Sample(
                at_ns,
                dict(zip(self._keys, host, strict=True)),
                {int(pid): dict(zip(self._keys, values, strict=True)) for pid, values in own.items()},
                training,
                lost,
                {int(pid): reason for pid, reason in lost_of.items()},
            )
        if "codecarbon" in row:
            return OtherFigure(*row["codecarbon"])
        header = Header(**{**row, "sources": tuple(Source(**source) for source in row["sources"])})
        self._keys = tuple(source.key for source in header.sources)
        return header

    def _has_newer(self) -> bool:
        try:
            there = self._path.stat().st_ino
        except FileNotFoundError:
            return False
        return self._file is None or os.fstat(self._file).st_ino != there

    def _open(self) -> None:
        self.close()
        self._rest = b""
        with suppress(FileNotFoundError):  # between the two steps of a rotation: there at the next read
            self._file = os.open(self._path, os.O_RDONLY)


def _newest(lines: list[bytes]) -> list[bytes]:
    """Return the last header and the newest lines after it; nothing without a header."""
    headers = [number for number, line in enumerate(lines) if line.startswith(b'{"session"')]
    if not headers:
        return []
    return [lines[headers[-1]], *lines[headers[-1] + 1 :][-_LINES_AT_FIRST:]]
