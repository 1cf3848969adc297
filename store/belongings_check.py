"""Whether what comes from elsewhere, and is no run, is as the store keeps it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from errors import InvalidInput
from schema import RetentionPolicy
from schema.alerts import AlertRule
from schema.archive import Belonging
from schema.marks import SavedView
from schema.quotas import QuotaLimits
from schema.records import RUN_ID_PATTERN, Project
from schema.registry import MAX_VERSION, MODEL_PATTERN
from schema.sweeps import SWEEP_ID_PATTERN
from store.accounts import read_cost
from store.encoding import to_json
from store.models import decode_model, source_of
from store.numerals import check_number
from store.sweeps import decode_sweep

_PROJECT: Final[TypeAdapter[str]] = TypeAdapter(Project)
_WRONG: Final = (ValidationError, InvalidInput, ValueError, TypeError, KeyError, AttributeError, IndexError)
_WEEK: Final = r"[0-9]{4}-W[0-9]{2}"


def check_belonging(own: Belonging) -> None:
    """Raise InvalidInput for what cannot be read once it is kept."""
    check = _CHECKS.get(own.kind)
    if check is None:
        raise InvalidInput(f"{own.kind[:80]!r} in the export is nothing that this version of Wattle knows.")
    try:
        check(own.name, own.content)
        to_json(own.content)
    except (*_WRONG, OverflowError, RecursionError) as error:
        raise InvalidInput(
            f"{own.name[:80]!r} under {own.kind} of the export cannot be read: {str(error)[:200]}. Nothing "
            "but runs was taken in; mend or leave out this one, and import the file again."
        ) from error


def _check_view(name: str, content: Any) -> None:
    _same(name, SavedView.model_validate(content).name)


def _check_rule(name: str, content: Any) -> None:
    _same(name, AlertRule.model_validate(content).rule_id)


def _check_policy(name: str, content: Any) -> None:
    _same(name, _PROJECT.validate_python(name))
    RetentionPolicy.model_validate(content)


def _check_quota(name: str, content: Any) -> None:
    owner, _, project = name.partition(":")
    _same(owner, "project")
    _same(project, _PROJECT.validate_python(project))
    QuotaLimits.model_validate(content)


def _check_sweep(name: str, content: Any) -> None:
    _matches(SWEEP_ID_PATTERN, name)
    fields = content["fields"]
    _texts(fields)
    for time in ("created_at", "ended_at"):
        check_number(fields.get(time, "0"))
    if not decode_sweep(name, fields).state.is_final:
        raise ValueError("it has not ended")
    if not all(isinstance(entry, dict) for entry in _list(content["journal"])):
        raise ValueError("its journal is no list of objects")


def _check_model(name: str, content: Any) -> None:
    _matches(MODEL_PATTERN, name)
    last, versions = content["last"], _list(content["versions"])
    if type(last) is not int or not 1 <= last <= MAX_VERSION:
        raise ValueError(f"its last version is no number up to {MAX_VERSION}")
    for known in versions:
        _check_version(name, known, last)
    if len({known["version"] for known in versions}) < len(versions):
        raise ValueError("a version of it stands there twice")
    if sum(known["is_production"] for known in versions) > 1:
        raise ValueError("two of its versions are in production")


def _check_version(name: str, known: Any, last: int) -> None:
    version, users = known["version"], _list(known["used_by"])
    if type(version) is not int or not 1 <= version <= last:
        raise ValueError("a version is no number up to the last one")
    shown = decode_model(f"{name}:{version}", to_json(known["record"]), to_json(known["history"]), users)
    # Not the same by ==: to Lua, 0 is true.
    if known["is_production"] is not (shown.stage == "production"):
        raise ValueError("a version does not say rightly whether it is in production")
    _same(known["run_id"], shown.run_id)
    _same(known["source"], source_of(shown.artifact))
    for run_id in (shown.run_id, *users):
        _matches(RUN_ID_PATTERN, run_id)
    _finite(known["registered_at"])


def _check_total(name: str, content: Any) -> None:
    kind, _, own = name.partition(":")
    match kind:
        case "day":
            _same(own, date.fromisoformat(own).isoformat())
        case "project" | "saved":
            _same(own, _PROJECT.validate_python(own))
        case _:
            _same(name, "all")
    _texts(content)
    if kind == "saved":
        for week, text in content.items():
            _matches(_WEEK, week)
            for value in from_json(text).values():
                _finite(value)
        return
    for text in content.values():
        check_number(text)
    for prefix in ("", "simulated_"):
        read_cost(content, prefix)


def _same(found: object, expected: object) -> None:
    if found != expected:
        raise ValueError(f"{str(found)[:80]!r} should be {str(expected)[:80]!r}")


def _matches(pattern: str, text: str) -> None:
    if not re.fullmatch(pattern, text):
        raise ValueError(f"{text[:80]!r} is no id or name")


def _texts(fields: Mapping[str, Any]) -> None:
    if not all(isinstance(text, str) for text in fields.values()):
        raise ValueError("a field of it is no text")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list of it is none")
    return value


def _finite(value: float) -> None:
    if isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("a number of it is none")


_CHECKS: Final[Mapping[str, Callable[[str, Any], None]]] = {
    "views": _check_view,
    "rules": _check_rule,
    "retention": _check_policy,
    "quotas": _check_quota,
    "sweeps": _check_sweep,
    "models": _check_model,
    "totals": _check_total,
}
