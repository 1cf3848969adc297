"""The form of an alert rule, in a dialog: what it asks depends on the kind of condition."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st
from pydantic import ValidationError

from errors import ApiError
from schema import AlertRule, RuleRequest
from views import commands, parts
from views import format as fmt
from views.alerts.words import KINDS, OF_BUDGET, ONCE

_METRICS: Final = (
    *("test_accuracy", "test_loss", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
    *("duration_s", "energy_kwh", "co2_g"),
)
_ABOUT_RUNS: Final = ("run_failed", "run_finished", "run_stalled", "metric", "nan")
_MINUTES: Final = {"run_stalled": 30.0, "gpu_idle": 10.0, "gpu_hot": 1.0, "memory": 1.0, "disk": 1.0}


_OPENED: Final = "alerts:opened"


@dataclass(frozen=True)
class _Opened:
    """The form since it was opened last, of a new rule or of one there is."""

    rule: AlertRule | None
    token: str


def open_form(rule: AlertRule | None) -> None:
    """Let the form start from a rule, or from nothing."""
    st.session_state[_OPENED] = _Opened(rule, uuid.uuid4().hex)


def show(channels: Sequence[str]) -> None:
    """Draw the form while it is open, so that it outlasts each drawing of the page below it."""
    opened: _Opened | None = st.session_state.get(_OPENED)
    if opened is not None:
        _form(opened.rule, channels, opened.token)


def _close() -> None:
    st.session_state.pop(_OPENED, None)


@st.dialog("Alert rule", icon=":material/notifications:", width="medium", on_dismiss=_close)
def _form(rule: AlertRule | None, channels: Sequence[str], token: str) -> None:
    """Draw the form; it closes once the rule is kept."""
    old = rule.condition.model_dump() if rule else {}
    kinds = list(KINDS)
    kind = st.selectbox(
        "When", kinds, index=kinds.index(old.get("kind", kinds[0])), format_func=lambda name: KINDS[name]
    )
    old = old if old.get("kind") == kind else {}
    condition = {"kind": kind, **_condition(str(kind), old)}
    filters = _filters(str(kind), condition, rule)
    name = st.text_input(
        "Name", value=rule.name if rule else KINDS[str(kind)], max_chars=80, key=f"name:{token}:{kind}"
    )
    known = list(dict.fromkeys([*channels, *(rule.channels if rule else ())]))
    told = st.multiselect(
        "Tell",
        known,
        default=rule.channels if rule else channels[:1],
        help="Channels are set up in the environment of the backend. Without one, it is on this page only.",
    )
    again_after_s = rule.again_after_s if rule else 3600.0
    if kind not in ONCE:
        again_after_s = 60 * st.number_input(
            "Same thing again after (min)", 0.0, 43_200.0, again_after_s / 60, format="%g"
        )
    is_urgent = st.toggle("Also in quiet hours", value=rule.is_urgent if rule else False)
    given = {
        "name": name,
        "condition": condition,
        "channels": told,
        "is_urgent": is_urgent,
        "is_enabled": rule.is_enabled if rule else True,
        "again_after_s": again_after_s,
        **filters,
    }
    if st.button("Save", type="primary", icon=":material/save:") and _save(given, rule):
        _close()
        st.rerun()


def _save(given: Mapping[str, Any], rule: AlertRule | None) -> bool:
    """Keep the rule; say why below the button when it cannot be."""
    try:
        wanted = RuleRequest.model_validate(given)
    except ValidationError as error:
        for item in error.errors():
            place = str(item["loc"][-1]) if item["loc"] else "rule"
            parts.field_error(f"{place}: {item['msg'].removeprefix('Value error, ')}")
        return False
    try:
        commands.put_rule(wanted, rule.rule_id if rule else None)
    except ApiError as error:
        st.warning(fmt.plain_lines(str(error)), icon=":material/block:")
        return False
    parts.give_notice(f"The rule {wanted.name} is kept.")
    return True


def _condition(kind: str, old: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for what a kind of condition needs."""
    match kind:
        case "metric":
            return _metric(old)
        case "gpu_idle":
            below = _percent("Computes less than (%)", old.get("below", 0.05))
            return {"below": below, "for_s": _for_s(kind, old)}
        case "gpu_hot":
            above_c = st.number_input("°C or more", 1.0, 200.0, float(old.get("above_c", 85.0)), format="%g")
            return {"above_c": above_c, "for_s": _for_s(kind, old)}
        case "memory":
            of = st.segmented_control(
                "Memory of",
                ["host", "gpu"],
                default=old.get("of", "host"),
                required=True,
                format_func=str.upper,
            )
            above = _percent("Full to (%)", old.get("above", 0.95))
            return {"of": of, "above": above, "for_s": _for_s(kind, old)}
        case "disk":
            return {"above": _percent("Full to (%)", old.get("above", 0.9)), "for_s": _for_s(kind, old)}
        case "co2_budget":
            return _budget(old)
        case "run_stalled":
            return {"for_s": _for_s(kind, old)}
        case _:
            return {}


def _metric(old: Mapping[str, Any]) -> dict[str, Any]:
    known = list(dict.fromkeys([*([old["metric"]] if old else []), *_METRICS]))
    metric = st.selectbox(
        "Metric", known, accept_new_options=True, help="Of each epoch. Accuracies are 0 to 1."
    )
    left, middle, right = st.columns(3)
    relation = left.selectbox(
        "Is", ["below", "above"], index=["below", "above"].index(old.get("relation", "below"))
    )
    threshold = middle.number_input("Threshold", value=float(old.get("threshold", 0.5)), format="%g")
    points = right.number_input("Points in a row", 1, 100, int(old.get("points", 1)))
    return {"metric": metric, "relation": relation, "threshold": threshold, "points": points}


def _budget(old: Mapping[str, Any]) -> dict[str, Any]:
    left, right = st.columns(2)
    names = list(OF_BUDGET)
    of = left.selectbox(
        "Budget of",
        names,
        index=names.index(old.get("of", "month")),
        format_func=lambda name: OF_BUDGET[name],
    )
    budget_g = right.number_input(
        "Budget (g CO₂)", 0.001, 1e12, float(old.get("budget_g", 1000.0)), format="%g"
    )
    return {"of": of, "budget_g": budget_g}


def _for_s(kind: str, old: Mapping[str, Any]) -> float:
    known_min = old["for_s"] / 60 if old else _MINUTES[kind]
    label = "Without an epoch for (min)" if kind == "run_stalled" else "For (min)"
    least = 0.5 if kind == "run_stalled" else 0.0
    return 60 * st.number_input(label, least, 43_200.0, max(least, known_min), format="%g", key=f"for:{kind}")


def _percent(label: str, share: float) -> float:
    return st.number_input(label, 0.0, 100.0, 100 * share, format="%g") / 100


def _filters(kind: str, condition: Mapping[str, Any], rule: AlertRule | None) -> dict[str, str | None]:
    """Ask which runs a rule is about, where it is about runs."""
    of = condition.get("of") if kind == "co2_budget" else None
    if kind not in _ABOUT_RUNS and of not in ("run", "project"):
        return {}
    left, right = st.columns(2)
    project = left.text_input(
        "Project", value=rule.project or "" if rule else "", placeholder="all", max_chars=64
    )
    if of == "project":
        return {"project": project.strip() or None}
    tag = right.text_input("Tag", value=rule.tag or "" if rule else "", placeholder="any", max_chars=64)
    return {"project": project.strip() or None, "tag": tag.strip() or None}
