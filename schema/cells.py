"""Cells of CSV files that people open in a spreadsheet, which takes some texts for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

# Source: OWASP, CSV Injection.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
_QUOTE: Final = "'"


def quote(text: str) -> str:
    """Return a text that no spreadsheet runs: what would be a formula gets an apostrophe before it."""
    return f"{_QUOTE}{text}" if text.startswith(_FORMULAS) or _is_quoted(text) else text


def unquote(text: str) -> str:
    """Return what was quoted."""
    return text[1:] if _is_quoted(text) else text


def write_lines(rows: Iterable[Sequence[object]]) -> str:
    """Write rows of texts, numbers, flags and None, which is an empty cell."""
    lines = io.StringIO(newline="")
    csv.writer(lines, lineterminator="\n").writerows([[_cell(value) for value in row] for row in rows])
    return lines.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return quote(value)
    return str(value).lower() if isinstance(value, bool) else value


def _is_quoted(text: str) -> bool:
    """True also for a text that begins so by itself: then it is told from one that was quoted."""
    return text.startswith(_QUOTE) and text.lstrip(_QUOTE).startswith(_FORMULAS)
