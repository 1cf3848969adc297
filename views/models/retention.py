"""What is kept of a project's checkpoints and models: the policy, and what it would delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from errors import ApiError, ApiRefused
from schema import RetentionPlan, RetentionPolicy
from schema.records import DEFAULT_PROJECT
from views import format as fmt
from views import may, parts, source
from views.models import retention_calls

_PLANNED: Final = "retention:planned"
_REFUSED: Final = "retention:refused"
_ROWS_WITHOUT_SCROLLING: Final = 10
_TABLE_PX: Final = 420
_PROJECT_DAYS: Final = 365
# What the API takes of each.
_MOST: Final = 10_000


@dataclass(frozen=True)
class _Planned:
    """What was shown to the reader, of which project."""

    project: str
    plan: RetentionPlan


def show() -> None:
    """Draw the policy of a project, and the plan that was asked for."""
    st.caption(
        "Which checkpoints and models of runs that have ended are deleted. What a version of a model needs "
        "stays in any case, and so do metrics, pictures and logs."
    )
    project = _choose_project()
    try:
        found = source.fetch("retention", lambda: retention_calls.get_policy(project), of=project)
    except ApiRefused as error:  # a link may name anything
        st.warning(fmt.plain(str(error)), icon=":material/block:")
        return
    if found.value is None:
        parts.silence_banner(found.problem)
        return
    _policy(project, found.value)


def _policy(project: str, policy: RetentionPolicy) -> None:
    """Draw a policy as a form, what can be done with it, and the plan."""
    wanted = _form(project, policy)
    if wanted is None:
        return
    is_changed = wanted != policy
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Save",
            type="primary" if is_changed else "secondary",
            icon=":material/save:",
            disabled=not is_changed or not may.can_administer(),
            on_click=_save,
            args=(project, wanted),
        )
        st.button(
            "Dry run",
            icon=":material/preview:",
            disabled=is_changed or not may.can_administer(),
            help="Shows what would be deleted and deletes nothing."
            + (" Save the policy first." if is_changed else ""),
            on_click=_plan,
            args=(project,),
        )
    if refused := st.session_state.get(_REFUSED):
        st.warning(fmt.plain_lines(refused), icon=":material/block:")
    planned: _Planned | None = st.session_state.get(_PLANNED)
    if planned is not None and planned.project == project and not is_changed:
        _show_plan(planned)


def sentence(policy: RetentionPolicy) -> str:
    """Say what a policy does."""
    kept = []
    if policy.keep_best is not None:
        kept.append(f"the best {policy.keep_best} by {policy.metric}")
    if policy.keep_last is not None:
        kept.append(f"the last {policy.keep_last}")
    rest = " and ".join(kept)
    if policy.older_than_days is None:
        return f"Of each run {rest} are kept, the others are deleted." if kept else "Nothing is deleted."
    age = f"older than {fmt.count(policy.older_than_days)} days"
    return f"What is {age} is deleted" + (f", except {rest} of each run." if kept else ".")


def _choose_project() -> str:
    totals = source.fetch("retention:projects", lambda: source.list_totals("project", _PROJECT_DAYS)).value
    names = sorted({DEFAULT_PROJECT, *(total.name for total in (totals.totals if totals else ()))})
    wanted = st.query_params.get("project")
    if wanted and wanted not in names:
        names.append(wanted)
    return str(
        st.selectbox(
            "Project",
            names,
            index=names.index(wanted or DEFAULT_PROJECT),
            key="project",
            bind="query-params",
            width=320,
        )
    )


def _form(project: str, policy: RetentionPolicy) -> RetentionPolicy | None:
    """Draw the fields and return what they say; None, with the reason, where that is no policy."""
    best, last, age = st.columns(3)
    with best.container(border=True, height="stretch"):
        keep_best = _number("Keep the best", "How many of each run", policy.keep_best, 3, f"best:{project}")
        metric = st.text_input(
            "By the metric",
            policy.metric,
            max_chars=250,
            disabled=keep_best is None,
            key=f"metric:{project}",
            help="As it was given with the file. Where its name says loss or error, the lowest is the best; "
            "a file without it stays.",
        )
    with last.container(border=True, height="stretch"):
        keep_last = _number("Keep the last", "How many of each run", policy.keep_last, 1, f"last:{project}")
    with age.container(border=True, height="stretch"):
        days = _number("Only what is old", "Older than (days)", policy.older_than_days, 30, f"old:{project}")
    is_empty = keep_best is None and keep_last is None and days is None
    is_active = st.toggle(
        "Apply it once a day",
        value=policy.is_active,
        disabled=is_empty,
        key=f"active:{project}",
        help="Without it, files go only when somebody deletes them here.",
    )
    given = {"keep_best": keep_best, "keep_last": keep_last, "older_than_days": days}
    try:
        wanted = RetentionPolicy(**given, metric=metric.strip(), is_active=is_active and not is_empty)
    except ValidationError:
        parts.field_error("A metric has a name of letters, digits and . _ / - only.")
        return None
    st.markdown(f":material/info: {fmt.plain(sentence(wanted))}")
    return wanted


def _number(question: str, label: str, value: int | None, usual: int, key: str) -> int | None:
    """Ask whether a rule holds, and with which number; None when it does not."""
    is_on = st.toggle(question, value=value is not None, key=f"is_{key}")
    number = st.number_input(
        label, 0, _MOST, usual if value is None else value, disabled=not is_on, key=f"number_{key}"
    )
    return int(number) if is_on else None


def _save(project: str, policy: RetentionPolicy) -> None:
    _forget()
    try:
        retention_calls.set_policy(project, policy)
    except ApiError as error:
        st.session_state[_REFUSED] = f"Not saved: {error}"
        return
    parts.give_notice(f"The policy of {fmt.plain(project)} is saved.")


def _plan(project: str) -> None:
    _forget()
    try:
        st.session_state[_PLANNED] = _Planned(project, retention_calls.plan(project))
    except ApiError as error:
        st.session_state[_REFUSED] = f"No dry run: {error}"


def _show_plan(planned: _Planned) -> None:
    plan = planned.plan
    st.subheader("Dry run", anchor=False)
    figures = (
        ("Would be deleted", fmt.count(len(plan.deletes))),
        ("Space that is freed", fmt.size(plan.size_bytes)),
        ("Kept", fmt.count(plan.kept)),
    )
    for column, (label, value) in zip(parts.tiles(len(figures), "plan"), figures, strict=True):
        column.metric(label, value, border=True, height="stretch")
    if not plan.deletes:
        st.caption("The policy deletes nothing now.")
        return
    st.dataframe(
        plan_table(plan),
        hide_index=True,
        placeholder=fmt.MISSING,
        height="content" if len(plan.deletes) <= _ROWS_WITHOUT_SCROLLING else _TABLE_PX,
        column_config={
            "Run": st.column_config.LinkColumn(display_text=r"iid=(.{8})", width="small"),
            "Version": st.column_config.NumberColumn(format="%d", width="small"),
            "Size": st.column_config.TextColumn(alignment="right"),
        },
    )
    if st.button("Delete these …", icon=":material/delete:", type="primary"):
        _confirm(planned)


def plan_table(plan: RetentionPlan) -> pd.DataFrame:
    """Return a row for each file that would go."""
    return pd.DataFrame(
        {
            "Run": [f"/run?iid={file.run_id}" for file in plan.deletes],
            "File": [file.name for file in plan.deletes],
            "Version": pd.Series([file.version for file in plan.deletes], dtype="Int64"),
            "Size": [fmt.size(file.size_bytes) for file in plan.deletes],
            "Why": [file.why for file in plan.deletes],
        }
    )


@st.dialog("Delete these files?", icon=":material/delete:")
def _confirm(planned: _Planned) -> None:
    """Say how much goes for good, then have it deleted."""
    count, size = len(planned.plan.deletes), fmt.size(planned.plan.size_bytes)
    files = "One file" if count == 1 else f"{fmt.count(count)} files"
    st.markdown(f"{files} of project **{fmt.plain(planned.project)}**, {size}, for good.")
    st.caption("If anything has changed since the dry run, nothing is deleted.")
    if st.button("Delete them", type="primary", icon=":material/delete:", on_click=_apply, args=(planned,)):
        st.rerun()


def _apply(planned: _Planned) -> None:
    _forget()
    try:
        done = retention_calls.apply(planned.project, planned.plan.token)
    except ApiError as error:
        st.session_state[_REFUSED] = f"Nothing was deleted: {error}"
        return
    if done.left:
        st.session_state[_REFUSED] = "\n".join(["Some files are left:", *done.left])
    count = "One file is" if done.deleted == 1 else f"{fmt.count(done.deleted)} files are"
    parts.give_notice(f"{count} deleted, {fmt.size(done.size_bytes)}.", icon=":material/delete:")


def _forget() -> None:
    for key in (_PLANNED, _REFUSED):
        st.session_state.pop(key, None)
