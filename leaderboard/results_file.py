"""The file ``results/leaderboard.csv``: what is in it, and reading one that somebody else wrote."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from pydantic import ValidationError

from columns.ids import Places
from errors import FieldError, InvalidInput
from leaderboard.table import Table
from schema.cells import quote, unquote, write_lines
from schema.leaderboard import StatedResult

# The names and their order are an interface: other programs read and write such files.
HEADER: Final = (
    *("run_id", "network", "dataset", "accuracy", "energy_kwh", "co2_g", "training_time_sec"),
    *("accuracy_per_kwh", "simulated"),
)
_COLUMNS: Final = (
    *("network", "dataset", "accuracy", "energy_kwh", "co2_g", "duration_s", "accuracy_per_kwh", "simulated"),
)
# What a row says by itself; accuracy_per_kwh follows from others.
_STATED: Final = {name: name for name in HEADER if name != "accuracy_per_kwh"} | {
    "training_time_sec": "duration_s"
}
_REQUIRED: Final = ("run_id", "accuracy", "training_time_sec")
_TEXTS: Final = ("run_id", "network", "dataset")
_FLAGS: Final = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}
# Of many runs the same, so quoted once.
_LABELS: Final = ("network", "dataset")
_AT_ONCE: Final = 500
MAX_ROWS: Final = 2_000
_MAX_DETAILS: Final = 50


def write_results(table: Table) -> Iterator[str]:
    """Yield the lines of the file: all finished runs, real ones and the best per kWh first."""
    yield write_lines([HEADER])
    quoted = {name: [value and quote(value) for value in table.codes[name].values] for name in _LABELS}
    order = order_of(table)
    for start in range(0, len(order), _AT_ONCE):
        places = order[start : start + _AT_ONCE]
        columns = [table.ids(places)]
        for name in _COLUMNS:
            if name in _LABELS:
                columns.append([quoted[name][code] for code in table.columns[name][places].tolist()])
            elif name == "simulated":
                columns.append(["true" if flag else "false" for flag in table.columns[name][places].tolist()])
            else:
                columns.append(table.values(name, places))
        lines = io.StringIO(newline="")
        csv.writer(lines, lineterminator="\n").writerows(zip(*columns, strict=True))
        yield lines.getvalue()


def order_of(table: Table) -> Places:
    """Return the places of all runs in the order of the file."""
    columns = table.columns
    return np.lexsort((-columns["accuracy_per_kwh"], columns["simulated"]))


def read_results(text: str) -> list[StatedResult]:
    """Read such a file; other columns are left out, the order does not matter.

    Raises InvalidInput, with the line and the column of each mistake, where anything of it is not valid.
    """
    try:
        return _read(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), restval=""))
    except csv.Error as error:
        raise InvalidInput(
            f"This is no CSV file: {error}.", details=[FieldError("csv", str(error))]
        ) from error


def _read(reader: csv.DictReader[str]) -> list[StatedResult]:
    missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        reason = f"the header lacks {', '.join(missing)}"
        raise InvalidInput(f"This is no leaderboard.csv: {reason}.", details=[FieldError("csv", reason)])
    results: list[StatedResult] = []
    details: list[FieldError] = []
    for row in reader:
        if len(results) >= MAX_ROWS:
            reason = f"has more than {MAX_ROWS} rows; send it in parts, each with the header"
            raise InvalidInput(f"The file {reason}.", details=[FieldError("csv", reason)])
        try:
            results.append(_read_row(row))
        except ValidationError as error:
            details += _explain(error, reader.line_num)
        if len(details) >= _MAX_DETAILS:
            break
    if details:
        first = f"{details[0].field}: {details[0].message}"
        raise InvalidInput(f"The file is not valid, and nothing of it was stored. {first}", details=details)
    return results


def _read_row(row: Mapping[str, str]) -> StatedResult:
    values: dict[str, object] = {}
    for name, field in _STATED.items():
        text = (row.get(name) or "").strip()
        if name == "simulated":
            values[field] = _FLAGS.get(text.lower(), text)
        elif text:
            values[field] = unquote(text) if name in _TEXTS else text
    return StatedResult.model_validate(values)


def _explain(error: ValidationError, line: int) -> list[FieldError]:
    names = {field: name for name, field in _STATED.items()}
    return [
        FieldError(f"line {line}, {names.get(str(each['loc'][0]), str(each['loc'][0]))}", each["msg"])
        for each in error.errors()
    ]
