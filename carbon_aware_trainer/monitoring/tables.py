"""Rows written as JSON, CSV or Parquet, by the ending of the file's name."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from carbon_aware_trainer.errors import CarbonError, ExtraMissing

Value: TypeAlias = str | int | float | bool | None
Row: TypeAlias = Mapping[str, Value]


def write_rows(path: Path, rows: Iterable[Row], *, columns: Sequence[str]) -> Path:
    """Write a whole table, or nothing: a file that is there is replaced at once.

    Raises CarbonError for another ending or a place that cannot be written, ExtraMissing for Parquet
    without pyarrow.
    """
    kind = path.suffix.lower()
    if kind not in _WRITERS:
        raise CarbonError(f"{path.name} has no known ending. Use {', '.join(_WRITERS)}.")
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _WRITERS[kind](half, list(rows), columns)
        half.replace(path)
    except OSError as err:
        raise CarbonError(f"{path} cannot be written: {err.strerror}. Choose another place.") from err
    finally:
        if half.exists():
            half.unlink()
    return path


class RowFile:
    """A table that grows row by row; each row is on the disk's side of this process when it is added.

    .jsonl (a JSON object a line) or .csv. Rows of an earlier process stay.
    Raises CarbonError for another ending, other columns than the file has, or a place that cannot be written.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Open the file, and write its head when it is new."""
        self._path, self._columns, self._kind = path, list(columns), path.suffix.lower()
        if self._kind not in (".jsonl", ".csv"):
            raise CarbonError(f"{path.name} cannot grow row by row. Use .jsonl or .csv.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._check_head()
            self._file: TextIO = path.open("a", newline="", encoding="utf-8")
        except OSError as err:
            raise CarbonError(f"{path} cannot be written: {err.strerror}. Choose another place.") from err
        if self._kind == ".csv" and self._file.tell() == 0:
            csv.writer(self._file).writerow(self._columns)

    def add(self, row: Row) -> None:
        """Append a row."""
        if self._kind == ".csv":
            csv.DictWriter(self._file, self._columns).writerow(row)
        else:
            self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check_head(self) -> None:
        """Raise CarbonError for a CSV with other columns: its rows would mean something else."""
        if self._kind != ".csv" or not self._path.exists() or self._path.stat().st_size == 0:
            return
        with self._path.open(newline="", encoding="utf-8") as file:
            head = next(csv.reader(file), [])
        if head != self._columns:
            raise CarbonError(f"{self._path} has other columns. Choose another file, or move that one away.")


def _write_json(path: Path, rows: Sequence[Row], _columns: Sequence[str]) -> None:
    path.write_text(json.dumps(list(rows), indent=1) + "\n", encoding="utf-8")


def _write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    try:
        import pyarrow  # only who wants such files needs it
        import pyarrow.parquet as parquet
    except ModuleNotFoundError as err:
        raise ExtraMissing(
            'Parquet files need pyarrow. Run: pip install "wattle[parquet]", or use CSV.'
        ) from err
    table: Any = pyarrow.table({name: [row.get(name) for row in rows] for name in columns})
    parquet.write_table(table, path)


_WRITERS = {".json": _write_json, ".csv": _write_csv, ".parquet": _write_parquet}
