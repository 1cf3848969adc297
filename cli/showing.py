"""How commands show what they were answered: as tables for people, as JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, JsonValue
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

UNKNOWN = "–"
# Where nobody said how wide lines may be, as in a pipe; ids stay whole there.
_WIDE = 200
ID_LENGTH = 8
# Between two columns.
_GAP = 2
Cell = str | ProgressBar


def console() -> Console:
    """Return the console on stdout as it is now: as wide as the terminal, plain in a pipe."""
    is_free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=_WIDE if is_free else None, highlight=False, markup=False, emoji=False)


def short(run_id: str) -> str:
    """Return an id as tables show it: its beginning for people, all of it for programs."""
    return run_id[:ID_LENGTH] if sys.stdout.isatty() else run_id


def _print_table(table: Table) -> None:
    """Print a table without the spaces at the ends of its lines, which a pipe would carry on."""
    out = console()
    with out.capture() as captured:
        out.print(table)
    say("\n".join(line.rstrip() for line in captured.get().splitlines()))


def say(text: str) -> None:
    """Print a line for people or scripts, at once."""
    print(text, flush=True)


def tell(text: str) -> None:
    """Print a line that is no result: to stderr."""
    sys.stderr.write(f"{text}\n")


def print_json(reply: BaseModel) -> None:
    """Print an answer of the API on one line."""
    say(reply.model_dump_json(by_alias=True))


def show_json(value: JsonValue) -> None:
    """Print a value on one line."""
    say(json.dumps(value, ensure_ascii=False))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str | None = None) -> None:
    """Print a table that fits the terminal: cells that do not are cut."""
    _print_table(make_table(columns, rows, title=title))


def make_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str | None = None) -> Table:
    """Return a table that fits: what is cut are the widest columns, and of the first one never an id."""
    table = Table(
        box=None, pad_edge=False, title=title and plain(title), title_justify="left", padding=(0, _GAP, 0, 0)
    )
    lines = [[Text(plain(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows]
    cells = [[Text(name) for name in columns], *lines]
    widths = [max(map(_width_of, column)) for column in zip(*cells, strict=True)]
    most = _widest(widths, console().width - _GAP * (len(columns) - 1))
    for number, (name, width) in enumerate(zip(columns, widths, strict=True)):
        least = min(width, ID_LENGTH) if number == 0 else 0
        fitting = max(least, min(width, most))
        table.add_column(name, no_wrap=True, overflow="ellipsis", min_width=least, max_width=fitting)
    for line in lines:
        table.add_row(*line)
    return table


def _width_of(cell: Text | ProgressBar) -> int:
    return cell.cell_len if isinstance(cell, Text) else cell.width or 0


def _widest(widths: Sequence[int], room: int) -> int:
    """Return how wide a column may be so that all of them have room."""
    most = max(widths, default=0)
    while most > 1 and sum(min(width, most) for width in widths) > room:
        most -= 1
    return most


def show_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one below the other; values are wrapped."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(Text(plain(name)), Text(plain(value)))
    _print_table(table)


def plain(text: str) -> str:
    """Return a text without what would steer a terminal, such as the escape sequences of a log."""
    return "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in text)


def amount(value: float | None, factor: float = 1.0) -> str:
    """Return a number with three digits."""
    return UNKNOWN if value is None else f"{factor * value:.3g}"


def percent(fraction: float | None) -> str:
    """Return a fraction in percent."""
    return UNKNOWN if fraction is None else f"{fraction:.2%}"


def duration(seconds: float | None) -> str:
    """Return a length of time as people say it."""
    if seconds is None:
        return UNKNOWN
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest_s:02} s"


def moment(time: datetime | None) -> str:
    """Return a time in UTC, to the second."""
    return UNKNOWN if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
