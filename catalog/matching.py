"""Which runs of a table a search is met by."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import isfinite
from typing import Any, Final

import numpy as np

from catalog.table import Table
from columns.codes import Mask
from columns.ids import Column, Places
from schema import Scalar, Status
from schema.search import PARAM_PREFIX, Search, Term, as_number, refuse_unknown

_COMPARED: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    ":": operator.eq,
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def match(table: Table, search: Search, *, params: Iterable[str] = ()) -> Mask:
    """Tell for each run whether it meets all terms.

    params: hyperparameters that are known without any run having them. Raises InvalidInput for a field that
    is not known.
    """
    asked = {term.field for term in search if term.kind == "param"}
    if not all(table.has_param(name) for name in asked):
        refuse_unknown(search, table.list_params().union(params))
    met: Mask = np.ones(len(table), dtype=bool)
    # No two runs have the same text, so each run that is left is tried: by then there are fewer.
    for term in sorted(search, key=lambda term: term.kind in ("word", "id")):
        left = np.flatnonzero(met)
        is_met = _has_text(table, left, term) if term.kind in ("word", "id") else _meets(table, term)[left]
        # Whoever has no value is unlike every value.
        met[left] = is_met if term.is_negated == (term.operator == "!=") else ~is_met
    return met


def _has_text(table: Table, places: Places, term: Term) -> Mask:
    """Tell for each of the runs whether it has a word, or an id that begins so."""
    wanted = term.value.lower()
    if term.kind == "word":
        return _mask([wanted in text for text in table.column("text")[places].tolist()])
    return _mask([run_id.lower().startswith(wanted) for run_id in table.column("id")[places].tolist()])


def _meets(table: Table, term: Term) -> Mask:
    """Tell for each run whether it has what a term names, minus signs and != aside; not of words and ids."""
    if term.kind == "number":
        with np.errstate(invalid="ignore"):
            mask: Mask = _compare(term)(table.column(term.field), term.number)
        return mask
    if term.kind == "time":
        return _within(table.column(term.field), term)
    if term.kind == "flag":
        flags: Mask = table.column(term.field) == term.is_on
        return flags
    if term.kind == "status":
        return table.coded("status").equals(Status(term.value.lower()))
    if term.kind == "tag":
        return table.coded("tag").meets(partial(_any_is, term))
    if term.kind == "param":
        name = PARAM_PREFIX + term.field.removeprefix(PARAM_PREFIX)
        return table.coded(name).meets(partial(_has_param, term, term.number))
    return table.coded(term.field).meets(partial(_is_text, term))


def _mask(met: list[bool]) -> Mask:
    return np.array(met, dtype=np.bool_)


def _compare(term: Term) -> Callable[[Any, Any], Any]:
    return _COMPARED[":" if term.operator == "!=" else term.operator]


def _within(column: Column, term: Term) -> Mask:
    """Compare times with a span: a day begins with its first second and goes up to the next day."""
    first_s, end_s = term.span
    with np.errstate(invalid="ignore"):
        is_from, is_before = column >= first_s, (column < end_s) | (column == first_s)
        masks: Mapping[str, Mask] = {
            ">=": is_from,
            ">": is_from & ~is_before,
            "<": column < first_s,
            "<=": is_before,
        }
        mask: Mask = masks.get(term.operator, is_from & is_before)
    return mask


def _any_is(term: Term, tags: tuple[str, ...]) -> bool:
    return any(_is_text(term, tag) for tag in tags)


def _is_text(term: Term, value: str | None) -> bool:
    """Tell whether a text is the wanted one, capitals or not; a * stands for anything, not for nothing."""
    if value is None:
        return False
    wanted, text = term.value.casefold(), value.casefold()
    return wanted == text if term.is_literal or "*" not in wanted else fits(wanted, text)


def fits(pattern: str, text: str) -> bool:
    """Tell whether a text is a pattern whose stars stand for any characters, in time that grows with both."""
    first, *middle, last = pattern.split("*")
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def _has_param(term: Term, wanted: float | None, value: Scalar) -> bool:
    """Compare as numbers where both are, else as texts. wanted: the number of the term."""
    if value is None:
        return False
    if wanted is not None and not term.is_literal and not isinstance(value, bool):
        number = value if type(value) is float and isfinite(value) else as_number(str(value))
        if number is not None:
            return bool(_compare(term)(number, wanted))
    return term.operator in (":", "=", "!=") and _is_text(term, str(value))
