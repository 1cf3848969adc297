"""Whether each part of a run that comes from elsewhere can be read, by what reads it here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import from_json

from schema import PowerPoint
from store.artifacts import decode_artifact
from store.encoding import decode_attempts, decode_epoch, decode_epochs, decode_extra, to_time
from store.external import decode_note
from store.histograms import decode_histogram
from store.log import to_line
from store.metric_arrays import METRIC_FIELDS, decode_summary
from store.numerals import check_integer, check_number
from store.usage import decode_usage

HISTOGRAM: Final = "histogram:"
# Of a metric these may also be empty, NaN or infinite.
_WORDS: Final = frozenset({"", "nan", "inf", "-inf"})
_FILE_PARTS: Final = 4

Parts = Mapping[str, Any]


def check_writable(records: Iterable[BaseModel]) -> None:
    """Raise ValueError for a record that no reply could hold, such as one with half a character."""
    for record in records:
        record.model_dump_json()


def check_parts(run_id: str, parts: Parts) -> None:
    """Raise ValueError, or what a decoder raises, for a part that cannot be read once it is kept."""
    for part, check in _CHECKS.items():
        if part in parts:
            check(parts[part])
    _check_artifacts(run_id, parts)
    _check_notes(parts)
    names = {part.removeprefix(HISTOGRAM) for part in parts if part.startswith(HISTOGRAM)}
    if names != set(parts.get("histograms", {})):
        raise ValueError("its histograms are not of the names that it says")
    for name in names:
        for packed in parts[f"{HISTOGRAM}{name}"]:
            decode_histogram(name, packed.encode("utf-8", "surrogateescape"))


def _check_superseded(stored: Mapping[str, str]) -> None:
    for place, array in stored.items():
        attempt, _, epoch = place.partition(":")
        check_integer(attempt)
        check_writable([decode_epoch(epoch, array)])


def _check_extras(stored: Mapping[str, str]) -> None:
    for place, array in stored.items():
        check_writable([decode_extra(place, array)])


def _check_log(entries: Sequence[tuple[str, Mapping[str, str]]]) -> None:
    for entry_id, fields in entries:
        check_writable([to_line(entry_id, fields)])


def _check_notes(parts: Parts) -> None:
    edits = parts.get("note_edits", {})
    for note_id, fields in parts.get("notes", ()):
        check_writable([decode_note(note_id, fields["text"], edits.get(note_id))])


def _check_metrics(stored: Mapping[str, str]) -> None:
    for name, text in stored.items():
        kept = from_json(text)
        for field, value in zip(METRIC_FIELDS, kept, strict=False):
            if value not in _WORDS:
                check_number(value)
            elif field in ("count", "last_step", "unknown"):
                raise ValueError(f"{field} of {name[:80]!r} is no number")
        decode_summary(name, text)


def _check_integers(stored: Mapping[str, str]) -> None:
    for text in stored.values():
        check_integer(text)


def _check_facts(stored: Mapping[str, str]) -> None:
    for name, text in stored.items():
        if not name.startswith("dropped:"):
            check_integer(text)


def _check_power(rows: Sequence[str]) -> None:
    for row in rows[1:]:
        at_s, power_w, *_ = from_json(row)
        check_writable([PowerPoint(at=to_time(at_s), power_w=power_w)])


def _check_histograms(stored: Mapping[str, str]) -> None:
    for text in stored.values():
        came, stride, *_ = from_json(text)
        if type(came) is not int or type(stride) is not int or min(came, stride) < 1:
            raise ValueError("a histogram does not say how many came")


def _check_artifacts(run_id: str, parts: Parts) -> None:
    stored = parts.get("artifacts", {})
    for place, record in stored.items():
        name, _, version = place.rpartition(":")
        check_integer(version)
        kept = decode_artifact(run_id, name, int(version), record)
        check_writable([kept.artifact])
        file = kept.file.split("/")
        # Of no other run, and nothing outside the place of artifacts.
        if {"", ".", ".."} & set(file) or (len(file) == _FILE_PARTS and file[0] != run_id):
            raise ValueError(f"the file of {place[:80]!r} is none of this run")
    if set(stored) != {place for place, _ in parts.get("artifact_order", ())}:
        raise ValueError("its artifacts and their order are not of the same names")


_CHECKS: Final[Mapping[str, Callable[[Any], object]]] = {
    "epochs": lambda stored: check_writable(decode_epochs(stored)),
    "attempts": lambda stored: check_writable(decode_attempts(stored)),
    "superseded": _check_superseded,
    "extras": _check_extras,
    "log": _check_log,
    "metrics": _check_metrics,
    "sources": _check_integers,
    "artifact_facts": _check_facts,
    "power": _check_power,
    "usage": lambda rows: check_writable(decode_usage(rows)),
    "histograms": _check_histograms,
    "histogram_bytes": check_integer,
}
