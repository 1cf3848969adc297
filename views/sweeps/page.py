"""The Sweeps page: all sweeps, one of them with its figures and trials, and a form to start one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import streamlit as st

from client.sweeps import SweepAction
from errors import ApiError, ApiRefused
from schema.sweeps import Pruner, Sweep, SweepFigures, SweepsReply, SweepState, Trial, TrialState
from views import format as fmt
from views import may, parts, source
from views.live_chart import live_charts
from views.sweeps import form
from views.sweeps.charts import optuna_figure
from views.sweeps.words import (
    OBJECTIVE_NAMES,
    STATE_COLORS,
    STATE_ICONS,
    about,
    limits_used,
    params_text,
    trials_text,
    values_text,
)

_LIVE_S: Final = 2.0
_MOST_TRIALS: Final = 500
_TABLE: Final = "sweeps:table"
_ROWS_WITHOUT_SCROLLING: Final = 30


def show() -> None:
    """Show the page: one sweep where the URL has its id, the form where it asks for it, else the list."""
    if sweep_id := st.query_params.get("id"):
        _show_one(sweep_id)
    elif "new" in st.query_params:
        form.show(on_started=_open)
    else:
        _show_list()


def _open(sweep_id: str) -> None:
    st.query_params.clear()
    st.query_params["id"] = sweep_id
    st.rerun()


def _show_list() -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Sweeps", width="content")
        if st.button("Start a sweep", type="primary", icon=":material/add:"):
            st.query_params["new"] = "yes"
            st.rerun()
    st.caption(
        "Many runs over a search space, chosen one after the other; the best of them, and what it cost."
    )
    found = source.fetch("sweeps", lambda: source.api().list_sweeps(limit=200))
    parts.silence_banner(found.problem)
    if found.value is None:
        st.button("Try again", icon=":material/refresh:")
        return
    if not found.value.sweeps:
        st.info(
            "No sweep yet. Say what may differ, and it finds the best values within the grams that "
            "you allow.",
            icon=":material/tune:",
        )
    else:
        with parts.grey_area(found):
            is_live = any(not sweep.state.is_final for sweep in found.value.sweeps)
            st.fragment(_list_table, run_every=_LIVE_S if is_live else None)()


def _list_table() -> None:
    found = source.fetch("sweeps", lambda: source.api().list_sweeps(limit=200))
    sweeps = (found.value or SweepsReply(sweeps=())).sweeps
    rows = [_row(sweep) for sweep in sweeps]
    chosen: Any = st.dataframe(
        rows,
        hide_index=True,
        column_config={
            "State": st.column_config.MultiselectColumn(
                options=[state.value for state in STATE_COLORS], color=list(STATE_COLORS.values()), width=96
            ),
            **_right("Best", "Trials", "CO₂ used", "Saved by pruning (estimate)"),
        },
        on_select="rerun",
        selection_mode="single-row",
        key=_TABLE,
        row_height=38,
    )
    if places := chosen["selection"]["rows"]:
        st.session_state.pop(_TABLE, None)
        parts.go_to("sweeps", {"id": sweeps[places[0]].sweep_id})
    st.caption("Select a row to open the sweep.")


def _right(*names: str) -> dict[str, Any]:
    """Show columns of figures that are written with their units as figures stand."""
    return {name: st.column_config.TextColumn(name, alignment="right") for name in names}


def _row(sweep: Sweep) -> dict[str, Any]:
    best = sweep.summary.best
    return {
        "Name": sweep.request.name,
        "State": [sweep.state.value],
        "Best": values_text(sweep, best[0]) if best else fmt.MISSING,
        "Trials": f"{sweep.summary.trials} of {sweep.request.limits.trials}",
        "CO₂ used": fmt.co2(sweep.summary.co2_g),
        "Saved by pruning (estimate)": fmt.co2(sweep.summary.saved_co2_g),
        "Started": parts.near_time(sweep.created_at),
    }


def _show_one(sweep_id: str) -> None:
    if st.button("All sweeps", icon=":material/arrow_back:", type="tertiary"):
        parts.go_to("sweeps")
    try:
        found = source.fetch("sweep", lambda: source.api().get_sweep(sweep_id), of=sweep_id)
    except ApiRefused as error:
        st.warning(fmt.plain_lines(str(error)), icon=":material/search_off:")
        return
    parts.silence_banner(found.problem)
    if found.value is None:
        st.button("Try again", icon=":material/refresh:")
        return
    is_live = not found.value.state.is_final
    st.fragment(_one, run_every=_LIVE_S if is_live else None)(sweep_id)


def _one(sweep_id: str) -> None:
    """Draw a sweep; the part that is drawn again while it runs."""
    try:
        found = source.fetch("sweep", lambda: source.api().get_sweep(sweep_id), of=sweep_id)
    except ApiRefused as error:
        st.warning(fmt.plain_lines(str(error)), icon=":material/search_off:")
        return
    sweep = found.value
    if sweep is None:
        return
    with parts.grey_area(found):
        _head(sweep)
        _tiles(sweep)
        _limits(sweep)
        _best(sweep)
        trials = source.fetch("trials", lambda: source.api().list_trials(sweep_id), of=sweep_id).value
        _figures(sweep)
        _trials(sweep, trials.trials if trials else ())


def _head(sweep: Sweep) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(fmt.plain(sweep.request.name), width="content")
        st.badge(sweep.state.value, icon=STATE_ICONS[sweep.state], color=STATE_COLORS[sweep.state])
        for action, label, icon in _offered(sweep.state):
            st.button(
                label,
                icon=icon,
                key=f"sweep:{action}",
                disabled=not may.can_submit(),
                on_click=_steer,
                args=(sweep.sweep_id, action),
            )
    st.caption(fmt.plain(about(sweep)))
    if sweep.state is SweepState.FAILED and sweep.reason:
        st.error(fmt.plain_lines(sweep.reason), icon=":material/error:")
    elif sweep.reason or sweep.summary.limit:
        st.caption(fmt.plain(sweep.reason or f"{sweep.summary.limit}; the last ones are under way"))


def _offered(state: SweepState) -> Sequence[tuple[SweepAction, str, str]]:
    stop: tuple[SweepAction, str, str] = ("stop", "Stop", ":material/stop_circle:")
    if state is SweepState.RUNNING:
        return (("pause", "Pause", ":material/pause_circle:"), stop)
    return (("resume", "Resume", ":material/play_circle:"), stop) if state is SweepState.PAUSED else ()


def _steer(sweep_id: str, action: SweepAction) -> None:
    try:
        source.api().steer_sweep(sweep_id, action)
    except ApiError as error:
        parts.give_notice(fmt.plain(str(error)), icon=":material/error:")


def _tiles(sweep: Sweep) -> None:
    used = sweep.summary
    best = values_text(sweep, used.best[0]) if used.best else fmt.MISSING
    figures = [
        ("Best" if len(sweep.request.goals) < 2 else f"First of {len(used.best)} on the front", best),
        ("Trials", f"{used.trials} of {sweep.request.limits.trials}"),
        ("CO₂ used", fmt.co2(used.co2_g)),
        ("Energy used", fmt.energy(used.energy_kwh)),
    ]
    if _is_pruned(sweep):
        figures.append(("Saved by pruning, estimate", fmt.co2(used.saved_co2_g)))
    for place, (label, text) in zip(parts.tiles(len(figures), "sweep"), figures, strict=True):
        place.metric(label, text, border=True, height="stretch")
    st.caption(trials_text(sweep))
    if used.unknown:
        st.caption(f":material/help: Of {used.unknown} trials a part of the energy or CO₂ is not known.")


def _limits(sweep: Sweep) -> None:
    until = sweep.ended_at or datetime.now(UTC)
    shown = limits_used(sweep, (until - sweep.created_at).total_seconds() / 3600)
    for place, used in zip(st.columns(len(shown)), shown, strict=True):
        place.progress(min(1.0, used.share), text=used.text)


def _best(sweep: Sweep) -> None:
    if not sweep.summary.best:
        return
    with st.container(border=True):
        for trial in sweep.summary.best[:3]:
            with st.container(horizontal=True, vertical_alignment="center"):
                text = f"**Trial {trial.number}** {values_text(sweep, trial)} · {params_text(trial)}"
                st.markdown(text, width="stretch")
                target = {"iid": trial.run_id}
                st.page_link(parts.page("run"), label="Open the run", query_params=target)
                again = {"from": trial.run_id}
                st.page_link(parts.page("submit"), label="Submit this", query_params=again)


def _figures(sweep: Sweep) -> None:
    complete = sweep.summary.counts.get(TrialState.COMPLETE, 0)
    try:
        found = _get_figures(sweep.sweep_id, f"{complete}:{sweep.state}")
    except ApiError as error:
        # What has ended is not drawn again by itself.
        st.caption(f"The figures cannot be drawn now: {fmt.plain(str(error))}")
        st.button("Draw them", icon=":material/refresh:", key="sweep:draw")
        return
    goals = sweep.request.goals
    drawn = [
        optuna_figure(text, f"{sweep.sweep_id}:{goal}", f"History: {OBJECTIVE_NAMES[goal]}")
        for goal, text in zip(goals, found.history, strict=False)
    ]
    if found.front is not None:
        drawn.insert(0, optuna_figure(found.front, f"{sweep.sweep_id}:front", "Pareto front"))
    if found.importances is not None:
        title = f"What mattered: {OBJECTIVE_NAMES[goals[0]]}"
        drawn.append(optuna_figure(found.importances, f"{sweep.sweep_id}:importances", title))
    opened = live_charts(drawn, key="sweep:figures") if drawn else None
    for reason in dict.fromkeys(found.missing.values()):
        st.caption(fmt.plain(reason))
    if opened is not None:
        parts.go_to("run", {"iid": opened})


@st.cache_data(ttl=60, max_entries=16, show_spinner=False)
def _get_figures(sweep_id: str, version: str) -> SweepFigures:  # noqa: ARG001 - version is a key of the cache
    return source.api().get_sweep_figures(sweep_id)


def _trials(sweep: Sweep, trials: Sequence[Trial]) -> None:
    if not trials:
        st.info("No trial has begun yet. Each one is a run, trained by the next free worker.")
        return
    if len(trials) > _MOST_TRIALS:
        st.caption(f"The newest {fmt.count(_MOST_TRIALS)} of {fmt.count(len(trials))} trials.")
    rows = [_trial_row(sweep, trial) for trial in trials[::-1][:_MOST_TRIALS]]
    link = st.column_config.LinkColumn("Run", display_text=r"iid=(.{8})")
    right = _right("Result", *_numbers(trials), "CO₂", "Saved (estimate)")
    shown = [name for name in rows[0] if name != "Why" or any(row["Why"] for row in rows)]
    if not _is_pruned(sweep):
        shown.remove("Saved (estimate)")
    st.dataframe(
        rows,
        hide_index=True,
        column_order=shown,
        column_config={**right, "Run": link},
        height="content" if len(rows) <= _ROWS_WITHOUT_SCROLLING else "auto",
        key="sweep:trials",
    )
    if _is_pruned(sweep):
        st.caption(
            "Saved by pruning is an estimate: the epochs left out, each as much as one of the trial's own."
        )


def _is_pruned(sweep: Sweep) -> bool:
    return sweep.request.pruner is not Pruner.NONE


def _numbers(trials: Sequence[Trial]) -> Sequence[str]:
    """Return which hyperparameters are numbers in every trial."""
    return [
        name
        for name in trials[0].params
        if all(isinstance(trial.params.get(name), int | float) for trial in trials)
    ]


def _trial_row(sweep: Sweep, trial: Trial) -> dict[str, object]:
    return {
        "Trial": trial.number,
        "State": trial.state.value + (" · best" if trial.is_best else ""),
        "Result": values_text(sweep, trial),
        **{
            name: str(value) if not isinstance(value, float) else f"{value:.4g}"
            for name, value in trial.params.items()
        },
        "Epochs": trial.epochs_done,
        "CO₂": fmt.co2(trial.co2_g),
        "Saved (estimate)": fmt.co2(trial.saved_co2_g),
        "Run": f"/run?iid={trial.run_id}",
        "Why": trial.reason or "",
    }
