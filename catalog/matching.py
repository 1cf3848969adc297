"""Which runs of a table a search is met by."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from catalog.table import Column, Mask, Table
from schema import Scalar, Status
from schema.search import PARAM_PREFIX, Search, Term, as_number, refuse_unknown

Test = Callable[[Any], bool]
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
    for term in search:
        is_met = _meets(table, term)
        # Whoever has no value is unlike every value.
        met &= is_met if term.is_negated == (term.operator == "!=") else ~is_met
    return met


def _meets(table: Table, term: Term) -> Mask:
    """Tell for each run whether it has what a term names, minus signs and != aside."""
    if term.kind == "number":
        with np.errstate(invalid="ignore"):
            mask: Mask = _compare(term)(table.column(term.field), term.number)
        return mask
    if term.kind == "time":
        return _within(table.column(term.field), term)
    if term.kind == "flag":
        flags: Mask = table.column(term.field) == term.is_on
        return flags
    name, test = _test_of(term)
    column = table.column(name)
    if term.kind in ("word", "id"):  # no two runs have the same
        return np.fromiter(map(test, column.tolist()), np.bool_, len(column))
    return _each(column, test)


def _test_of(term: Term) -> tuple[str, Test]:
    """Return the column a term is about, and how a value of it is tried."""
    if term.kind == "word":
        return "text", partial(_contains, term.value.lower())
    if term.kind == "id":
        return "id", partial(_begins, term.value.lower())
    if term.kind == "status":
        return "status", partial(operator.eq, Status(term.value.lower()))
    if term.kind == "tag":
        return "tag", partial(_any_is, term)
    if term.kind == "param":
        return PARAM_PREFIX + term.field.removeprefix(PARAM_PREFIX), partial(_has_param, term)
    return term.field, partial(_is_text, term)


def _each(column: Column, test: Test) -> Mask:
    """Try each value once: many runs share theirs."""
    tried: dict[object, bool] = {}

    def try_once(value: object) -> bool:
        # True is 1 for a dict, and 1 is 1.0, which read alike to nobody.
        key = value if type(value) is str else (type(value), value)
        known = tried.get(key)
        if known is None:
            known = tried[key] = test(value)
        return known

    return np.fromiter(map(try_once, column.tolist()), np.bool_, len(column))


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


def _contains(word: str, text: str) -> bool:
    return word in text


def _begins(start: str, run_id: str) -> bool:
    return run_id.lower().startswith(start)


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


def _has_param(term: Term, value: Scalar) -> bool:
    """Compare as numbers where both are, else as texts."""
    if value is None:
        return False
    number = None if isinstance(value, bool) else as_number(str(value))
    if number is not None and term.number is not None and not term.is_literal:
        return bool(_compare(term)(number, term.number))
    return term.operator in (":", "=", "!=") and _is_text(term, str(value))
