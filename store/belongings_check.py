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
from schema.registry import MODEL_PATTERN
from schema.sweeps import SWEEP_ID_PATTERN
from store.encoding import to_json
from store.models import decode_model
from store.sweeps import decode_sweep

_PROJECT: Final[TypeAdapter[str]] = TypeAdapter(Project)
_WRONG: Final = (ValidationError, InvalidInput, ValueError, TypeError, KeyError, AttributeError, IndexError)


def check_belonging(own: Belonging) -> None:
    """Raise InvalidInput for what cannot be read once it is kept."""
    check = _CHECKS.get(own.kind)
    if check is None:
        raise InvalidInput(f"{own.kind[:80]!r} in the export is nothing that this version of Wattle knows.")
    try:
        check(own.name, own.content)
        to_json(own.content)
    except (*_WRONG, OverflowError) as error:
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
    _texts(content["fields"])
    if not decode_sweep(name, content["fields"]).state.is_final:
        raise ValueError("it has not ended")
    if not all(isinstance(entry, dict) for entry in content["journal"]):
        raise ValueError("its journal is no list of objects")


def _check_model(name: str, content: Any) -> None:
    _matches(MODEL_PATTERN, name)
    for known in content["versions"]:
        version = known["version"]
        if type(version) is not int or not 1 <= version <= content["last"]:
            raise ValueError("a version is no number up to the last one")
        shown = decode_model(
            f"{name}:{version}", to_json(known["record"]), to_json(known["history"]), known["used_by"]
        )
        _same(known["is_production"], shown.stage == "production")
        _same(known["run_id"], shown.run_id)
        for run_id in (shown.run_id, *known["used_by"]):
            _matches(RUN_ID_PATTERN, run_id)
        _finite(known["registered_at"])
        _texts({"source": known["source"]})
    if sum(known["is_production"] for known in content["versions"]) > 1:
        raise ValueError("two of its versions are in production")


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
    for text in content.values():
        for value in from_json(text).values() if kind == "saved" else (float(text),):
            _finite(value if value is not None else 0)


def _same(found: object, expected: object) -> None:
    if found != expected:
        raise ValueError(f"{str(found)[:80]!r} should be {str(expected)[:80]!r}")


def _matches(pattern: str, text: str) -> None:
    if not re.fullmatch(pattern, text):
        raise ValueError(f"{text[:80]!r} is no id or name")


def _texts(fields: Mapping[str, Any]) -> None:
    if not all(isinstance(text, str) for text in fields.values()):
        raise ValueError("a field of it is no text")


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
