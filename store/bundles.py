"""Whether what comes from elsewhere is a run that the store can keep."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from errors import InvalidInput
from schema import RUN_ID_PATTERN, SortField
from schema.archive import Bundle
from store.encoding import decode_run
from store.metric_arrays import POINT, decode_summary
from store.numerals import check_number
from store.part_checks import HISTOGRAM, check_parts, check_writable

# What of a record is no field of a run as it is shown, or a time of it.
_NUMBERS: Final = (
    *("time_added", "started_at", "ended_at", "due_at", "paused_at", "heard_at", "silent_since"),
    *("recomputations", "gpus", "unknown_energy_epochs", "unknown_co2_epochs"),
)
# Redis' scripts hand over the fields of an entry at once.
_MOST_FIELDS: Final = 100


def check_bundle(bundle: Bundle, kinds: Mapping[str, str]) -> None:
    """Raise InvalidInput unless everything of a run can be read, and it has ended.

    kinds: which parts a run may have, and how the store keeps them.
    """
    if not re.fullmatch(RUN_ID_PATTERN, bundle.run_id):
        raise InvalidInput(f"{bundle.run_id[:80]!r} in the export is no id of a run.")
    try:
        _check(bundle, kinds)
    except (
        ValidationError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        OverflowError,
        RecursionError,
        struct.error,
        zlib.error,
    ) as error:
        raise InvalidInput(
            f"Run {bundle.run_id} of the export cannot be read: {str(error)[:200]}. The runs before it were "
            "taken in; mend or leave out this one, and import the rest."
        ) from error


def _check(bundle: Bundle, kinds: Mapping[str, str]) -> None:
    _check_texts(bundle.record)
    _check_record(bundle)
    parts: Mapping[str, Any] = bundle.parts
    for name, content in parts.items():
        _check_all([name])
        _check_part("list" if name.startswith(HISTOGRAM) else kinds[name], content)
    check_parts(bundle.run_id, parts)
    metrics = parts.get("metrics", {})
    if set(metrics) != set(bundle.points):
        raise ValueError("its metrics and its points are not of the same names")
    for name, stored in metrics.items():
        if decode_summary(name, stored).count * POINT.itemsize != len(bundle.points[name]):
            raise ValueError(f"{name[:80]!r} has not as many points as it says")


def _check_record(bundle: Bundle) -> None:
    run = decode_run(bundle.run_id, bundle.record)
    check_writable([run])
    if not run.status.is_final:
        raise ValueError(f"it is {run.status}, and not ended")
    for name, text in bundle.record.items():
        known = getattr(run, name, None)
        is_number = isinstance(known, int | float) and not isinstance(known, bool)
        if is_number or name in (*SortField, *_NUMBERS):
            check_number(text)


def _check_part(kind: str, content: Any) -> None:
    if not content:
        raise ValueError("a part of it is empty")
    match kind:
        case "hash":
            _check_texts(content)
        case "list":
            _check_all(content)
        case "zset":
            for member, score in content:
                _check_all([member])
                check_number(score)
        case "stream":
            _check_stream(content)
        case _:
            _check_all([content])


def _check_stream(content: Any) -> None:
    newest = (0, 0)
    for entry_id, fields in content:
        if not re.fullmatch(r"[0-9]{1,19}-[0-9]{1,19}", entry_id):
            raise ValueError("an entry of a stream has no id")
        milliseconds, _, number = entry_id.partition("-")
        if (int(milliseconds), int(number)) <= newest:
            raise ValueError("the entries of a stream are not in their order")
        newest = (int(milliseconds), int(number))
        if len(fields) > _MOST_FIELDS:
            raise ValueError(f"an entry of a stream has more than {_MOST_FIELDS} fields")
        _check_texts(fields)


def _check_texts(fields: Mapping[str, str]) -> None:
    if not fields:
        raise ValueError("a part of it is empty")
    _check_all([*fields, *fields.values()])


def _check_all(texts: Sequence[object]) -> None:
    if not isinstance(texts, list):
        raise TypeError("a part of it is no list")
    for text in texts:
        if not isinstance(text, str):
            raise TypeError("a part of it is no text")
        text.encode("utf-8", "surrogateescape")  # as it goes to Redis
