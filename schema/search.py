"""The search box: ``network:resnet9 accuracy>0.95 tag:paper -status:failed`` as a list of terms."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from errors import FieldError, InvalidInput
from schema.records import Status

Operator = Literal[":", "=", "!=", ">", ">=", "<", "<="]
Kind = Literal["text", "tag", "group", "id", "status", "flag", "number", "time", "param", "word"]
MAX_QUERY: Final = 500
GROUP_PREFIX: Final = "group="
"""A group is a tag: of tags with the same key a run has one at most, and so it is in one group at most."""
PARAM_PREFIX: Final = "params."

_TEXTS: Final = (
    *("name", "network", "dataset", "project", "queue", "host", "worker", "device", "energy_quality"),
    "error",
)
_NUMBERS: Final = (
    *("best_accuracy", "last_accuracy", "last_loss", "energy_kwh", "co2_g", "duration_s"),
    *("accuracy_per_kwh", "epochs_done", "attempt", "failures", "parameters"),
)
FIELDS: Final[dict[str, Kind]] = {
    "id": "id",
    "status": "status",
    "tag": "tag",
    "group": "group",
    **dict.fromkeys(_TEXTS, "text"),
    **dict.fromkeys(("starred", "simulated", "external"), "flag"),
    **dict.fromkeys(_NUMBERS, "number"),
    **dict.fromkeys(("added", "started", "ended"), "time"),
}
# What people write for them.
ALIASES: Final = {"accuracy": "best_accuracy", "loss": "last_loss", "epochs": "epochs_done"}
_EXACT: Final[tuple[Operator, ...]] = (":", "=", "!=")
_FLAGS: Final = {"yes": True, "true": True, "no": False, "false": False}
_NAMES_SHOWN: Final = 3

_SPACE = re.compile(r"\s*")
_HEAD = re.compile(r"(-?)([A-Za-z_][A-Za-z0-9_./-]*)(!=|>=|<=|[:=<>])")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BARE = re.compile(r'[^\s"]+')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Term(NamedTuple):
    """One condition; a run has to meet all of a search."""

    kind: Kind
    field: str
    """Its own name, whatever it was called; empty for a word, of a hyperparameter that one's name."""
    operator: Operator
    value: str
    is_literal: bool
    """It was quoted: a * is a * then."""
    is_negated: bool
    position: int
    """Where it begins, from 1."""

    @property
    def number(self) -> float | None:
        """The value as a number; None where it is none."""
        return as_number(self.value)

    @property
    def is_on(self) -> bool:
        """The value of a flag."""
        return _FLAGS[self.value.lower()]

    @property
    def span(self) -> Span:
        """The seconds since 1970 that a time means: a date is a whole day."""
        found = _span(self.value)
        assert found is not None  # noqa: S101 - parse takes no other
        return found


Search: TypeAlias = tuple[Term, ...]


class Span(NamedTuple):
    """From the first second to before the end; both are the same for an instant."""

    first_s: float
    end_s: float


def parse(query: str) -> Search:
    """Read a query; an empty one is met by every run.

    Raises InvalidInput that names the place, the piece and what to write instead. Fields that are none of
    ours are taken for hyperparameters: whether any run has them is for ``refuse_unknown``.
    """
    if len(query) > MAX_QUERY:
        raise _refusal(MAX_QUERY + 1, query[MAX_QUERY:][:20], f"a query has {MAX_QUERY} characters at most")
    terms: list[Term] = []
    place = _SPACE.match(query).end()  # type: ignore[union-attr] # it matches anything
    while place < len(query):
        term, place = _read_term(query, place)
        terms.append(term)
        place = _SPACE.match(query, place).end()  # type: ignore[union-attr] # as above
    return tuple(terms)


def refuse_unknown(search: Search, params: Iterable[str]) -> None:
    """Raise InvalidInput for the first term about a field that neither we nor any run has.

    params: the hyperparameters there are. One that is written as params.name may be of no run.
    """
    known = set(params)
    for term in search:
        if term.kind == "param" and term.field not in known and not term.field.startswith(PARAM_PREFIX):
            names = sorted({*FIELDS, *ALIASES, *known})
            near = difflib.get_close_matches(term.field, names, n=_NAMES_SHOWN, cutoff=0.6)
            reason = "no field and no hyperparameter of any run is called that" + (
                f"; did you mean {' or '.join(near)}?" if near else ""
            )
            raise _refusal(term.position + term.is_negated, term.field, reason)


def as_number(text: str) -> float | None:
    """Return the finite number a text is; None where it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _read_term(query: str, place: int) -> tuple[Term, int]:
    start = place
    if head := _HEAD.match(query, place):
        minus, name, operator = head.groups()
        value, is_literal, place = _read_value(query, head.end(), f"a value is missing behind {head[0]}")
        field = ALIASES.get(name.lower(), name.lower())
        kind = FIELDS.get(field, "param")
        own = field if kind != "param" else name
        term = Term(kind, own, operator, value, is_literal, bool(minus), start + 1)  # type: ignore[arg-type] # the pattern has these alone
        _check(term, head.end() + 1)
        return term, place
    is_negated = query[place] == "-"
    value, is_literal, place = _read_value(query, place + is_negated, "a word is missing behind -")
    if not is_literal and value[0] in ":=<>!":
        raise _refusal(start + 1, value, "a field is missing before it, without a space between them")
    return Term("word", "", ":", value, is_literal, is_negated, start + 1), place


def _read_value(query: str, place: int, missing: str) -> tuple[str, bool, int]:
    """Return the value at a place, whether it is quoted, and the place behind it."""
    if query[place : place + 1] == '"':
        found = _QUOTED.match(query, place)
        if found is None:
            raise _refusal(place + 1, query[place:][:20], 'a closing " is missing')
        if not found[1].strip():
            raise _refusal(place + 1, found[0], "there is nothing between the quotes")
        return _ESCAPED.sub(r"\1", found[1]), True, found.end()
    bare = _BARE.match(query, place)
    if bare is None:
        raise _refusal(place + 1, query[:place].split()[-1], missing)
    return bare[0], False, bare.end()


def _check(term: Term, position: int) -> None:
    """Refuse an operator that a field has not, and a value that is none of its values."""
    kind, name, value = term.kind, term.field, term.value
    if kind in ("text", "tag", "group", "id", "status", "flag") and term.operator not in _EXACT:
        raise _refusal(
            position - len(term.operator), term.operator, f"{name} has no order: write {name}:{value}"
        )
    if kind == "flag" and value.lower() not in _FLAGS:
        raise _refusal(position, value, f"{name} is yes or no")
    if kind == "status" and value.lower() not in list(Status):
        near = difflib.get_close_matches(value.lower(), list(Status), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise _refusal(position, value, f"a status is one of {', '.join(Status)}{hint}")
    is_number = kind == "number" or (kind == "param" and term.operator not in _EXACT)
    if is_number and term.number is None:
        raise _refusal(position, value, f"{name} is compared with a number, such as 0.95 or 1e-3")
    if kind == "time" and _span(value) is None:
        raise _refusal(
            position, value, f"{name} is compared with a day, such as 2026-01-31, or a time in UTC"
        )


def _span(text: str) -> Span | None:
    try:
        if len(text) == len("2026-01-31"):
            first = datetime.combine(date.fromisoformat(text), time(), UTC)
            return Span(first.timestamp(), (first + timedelta(days=1)).timestamp())
        moment = datetime.fromisoformat(text)
        at_s = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return Span(at_s, at_s)


def _refusal(position: int, piece: str, reason: str) -> InvalidInput:
    text = f"At character {position}, {piece!r}: {reason}"
    sentence = text if text.endswith("?") else f"{text}."
    return InvalidInput(sentence, details=[FieldError("q", text)])
