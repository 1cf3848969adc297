"""Whether what comes from elsewhere is a run that the store can keep."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from errors import InvalidInput
from schema import RUN_ID_PATTERN, SortField
from schema.archive import Bundle
from store.encoding import decode_attempts, decode_epochs, decode_run
from store.metric_arrays import POINT, decode_summary

_HISTOGRAM: Final = "histogram:"
_TIMES: Final = ("time_added", "started_at", "ended_at")


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
    ) as error:
        raise InvalidInput(
            f"Run {bundle.run_id} of the export cannot be read: {str(error)[:200]}. The runs before it were "
            "taken in; mend or leave out this one, and import the rest."
        ) from error


def _check(bundle: Bundle, kinds: Mapping[str, str]) -> None:
    _check_texts(bundle.record)
    run = decode_run(bundle.run_id, bundle.record)
    if not run.status.is_final:
        raise ValueError(f"it is {run.status}, and not ended")
    for name in (*SortField, *_TIMES):
        if name in bundle.record and not math.isfinite(float(bundle.record[name])):
            raise ValueError(f"{name} is not finite")
    parts: Mapping[str, Any] = bundle.parts
    for name, content in parts.items():
        _check_part("list" if name.startswith(_HISTOGRAM) else kinds[name], content)
    decode_epochs(parts.get("epochs", {}))
    decode_attempts(parts.get("attempts", {}))
    metrics = parts.get("metrics", {})
    if set(metrics) != set(bundle.points):
        raise ValueError("its metrics and its points are not of the same names")
    for name, stored in metrics.items():
        if decode_summary(name, stored).count * POINT.itemsize != len(bundle.points[name]):
            raise ValueError(f"{name[:80]!r} has not as many points as it says")


def _check_part(kind: str, content: Any) -> None:
    match kind:
        case "hash":
            _check_texts(content)
        case "list":
            _check_all(content)
        case "zset":
            for member, score in content:
                _check_all([member])
                float(score)
        case "stream":
            for entry_id, fields in content:
                if not re.fullmatch(r"\d{1,19}-\d{1,19}", entry_id):
                    raise ValueError("an entry of a stream has no id")
                _check_texts(fields)
        case _:
            _check_all([content])


def _check_texts(fields: Mapping[str, str]) -> None:
    if not fields:
        raise ValueError("a part of it is empty")
    _check_all([*fields, *fields.values()])


def _check_all(texts: Sequence[object]) -> None:
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a part of it is no text")
