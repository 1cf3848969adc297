"""The Run page: one run, live, from its hyperparameters to the newest line of its log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from errors import ApiRefused
from schema import AccountReply, Co2Source, EpochsReply, PowerReply, RunReply, Status, planned_queue
from views import format as fmt
from views import parts, source
from views.charts import run_figures
from views.live import page as live
from views.live_chart import live_charts
from views.look import SIMULATED, SIMULATED_COLOR, run_color, run_name, run_title, short_id, status_text
from views.predicted import summary as predicted_summary
from views.run import carbon, control, details, extras, failure, metrics, reproduce, suggestions, words
from views.run import energy as run_energy
from views.source import Listing, Snapshot
from views.submit import rerun

_LIVE_S = 1
# A run that has ended can be retried, deleted or computed again, also by somebody else.
_IDLE_S = 10
_CHOICE = "run:choice"
_RECENT_EPOCHS = 5


@dataclass(frozen=True)
class Shown:
    """What the page knows of a run."""

    run: Snapshot[RunReply]
    epochs: Snapshot[EpochsReply]
    account: Snapshot[AccountReply]
    power: Snapshot[PowerReply]

    @property
    def is_live(self) -> bool:
        """Tell whether the run may still change, or the API has to come back first."""
        is_silent = self.run.problem is not None or self.epochs.problem is not None
        return is_silent or self.run.value is None or not self.run.value.status.is_final


def show() -> None:
    """Show the page."""
    page = source.fetch("run:list", lambda: source.list_runs(Listing(), None))
    iid = _choose_run(page.value.reply.results if page.value else ())
    if iid is None:
        parts.silence_banner(page.problem)
        _nothing_to_show(is_silent=page.problem is not None)
        return
    try:
        shown = _fetch(iid)
    except ApiRefused as error:
        _not_found(iid, error)
        return
    rerun.note_drawing(iid)
    st.fragment(_live, run_every=_LIVE_S if shown.is_live else _IDLE_S)(iid, was_live=shown.is_live)
    if shown.run.value is not None:
        rerun.show_form_of(shown.run.value)


def _choose_run(runs: Sequence[RunReply]) -> str | None:
    """Draw the select box; the run it shows is the one in the URL, else the newest."""
    titles = {run.run_id: run_name(run) for run in runs}
    wanted = st.query_params.get("iid") or next(iter(titles), None)
    if wanted is None:
        st.title("Run")
        return None
    options = list(titles) if wanted in titles else [wanted, *titles]
    st.query_params["iid"] = wanted
    st.session_state[_CHOICE] = wanted
    st.selectbox(
        "Run",
        options,
        format_func=lambda iid: titles.get(iid, short_id(iid)),
        key=_CHOICE,
        on_change=lambda: st.query_params.update(iid=st.session_state[_CHOICE]),
        label_visibility="collapsed",
        icon=":material/monitoring:",
    )
    return wanted


def _nothing_to_show(*, is_silent: bool) -> None:
    if is_silent:
        st.button("Try again", icon=":material/refresh:")
        return
    st.info("No runs yet. Submit the first one; the defaults make a good start.", icon=":material/spa:")
    st.page_link(parts.page("submit"), label="Submit a run", icon=":material/add:")


def _not_found(iid: str, error: ApiRefused) -> None:
    """Say calmly that there is no such run, and lead back."""
    reason = str(error)
    if error.status == HTTPStatus.NOT_FOUND:
        reason = f"There is no run {iid[:64]} here. The link may be incomplete, or lead to another store."
    st.info(fmt.plain(reason), icon=":material/search_off:")
    st.page_link(parts.page("runs"), label="Back to all runs", icon=":material/arrow_back:")


def _fetch(iid: str) -> Shown:
    run = source.fetch("run", lambda: source.get_run(iid), of=iid)
    if run.value is None:
        return Shown(run, *(Snapshot(None, run.time, run.problem) for _ in range(3)))
    if run.value.is_external:
        # No epochs, no attempts, no meter of ours: what there is, are its metrics.
        return Shown(
            run,
            Snapshot(EpochsReply(epochs=[], attempts=[]), run.time),
            Snapshot(None, run.time),
            Snapshot(PowerReply(points=()), run.time),
        )
    version = source.version_of(run.value)
    return Shown(
        run,
        source.fetch("epochs", lambda: source.list_epochs(iid, version), of=iid),
        source.fetch("account", lambda: source.get_account(iid, version), of=iid),
        source.fetch("power", lambda: source.list_power(iid, version), of=iid),
    )


def _live(iid: str, *, was_live: bool) -> None:
    """Draw the run; every second while it trains or waits, seldom once it has ended."""
    rerun.lead_on(iid)
    if rerun.is_to_be_drawn(iid):
        st.rerun()
    begun = _obey(iid, is_live=was_live) if control.is_asked(iid) else None
    try:
        shown = _fetch(iid)
    except ApiRefused:
        # It was there a second ago: the whole page says what the API says now.
        st.rerun()
    problem = shown.run.problem or shown.epochs.problem
    run, is_other = shown.run.value, shown.is_live != was_live
    if (begun and problem) or (run is None and is_other):
        st.rerun()
    parts.silence_banner(problem)
    if run is None:
        return
    page, pill = begun or (parts.grey_area(shown.run), None)
    with page:
        parts.run_pill(run, pill or _head(run, shown.run, is_live=was_live))
        control.buttons(run)
        reproduce.show(run)
        if is_other:
            # For another rhythm, which takes the whole page: its pill, meanwhile, is true already.
            st.rerun()
        _body(iid, run, shown)


def _obey(iid: str, *, is_live: bool) -> tuple[DeltaGenerator, DeltaGenerator]:
    """Do what the last click asked for, below the head of the run as it was last seen.

    Returns the page and the pill that are drawn so far: to draw the whole page anew would take longer.
    """
    seen = source.last_seen("run", RunReply, of=iid)
    page = parts.grey_area(seen)
    with page:
        pill = _head(seen.value, seen, is_live=is_live) if seen.value else st.empty()
    control.obey(iid, pill)
    if seen.value is None:
        st.rerun()
    return page, pill


def _body(iid: str, run: RunReply, shown: Shown) -> None:
    epochs = shown.epochs.value or EpochsReply(epochs=[], attempts=[])
    _progress(run, epochs)
    live.link(run)
    _prediction(run, shown.account.value)
    failure.show(run, epochs)
    is_for_grid = run.status is Status.DEFERRED or run.is_postponed
    if is_for_grid:
        carbon.show(run)
    _tiles(run, epochs)
    words.tags(run)
    if run.is_external:
        metrics.show(run)
        return
    if epochs.epochs:
        # Their number too: while the API is silent they can be older than the run.
        version = f"{source.version_of(run)}:{len(epochs.epochs)}"
        figures = _figures(iid, version, epochs, is_simulated=run.simulated)
        live_charts(figures, key=f"charts:{iid}")
    if epochs.epochs and shown.account.value is not None:
        run_energy.show(run, epochs, shown.account.value, shown.power.value or PowerReply(points=()))
    if not is_for_grid:
        carbon.show(run)
    suggestions.show(run, epochs)
    extras.show(run)
    details.show(run, epochs)


@st.cache_data(ttl=60, max_entries=16, show_spinner=False)
def _figures(iid: str, version: str, _epochs: EpochsReply, *, is_simulated: bool) -> list[str]:  # noqa: ARG001 - version is a key of the cache
    """Draw the curves anew only when the run has changed."""
    return run_figures(iid, _epochs.epochs, is_simulated=is_simulated)


def _head(run: RunReply, seen: Snapshot[RunReply], *, is_live: bool) -> DeltaGenerator:
    """Draw the name of the run and what it is; return the place of its pill."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.html(
                f"<span style='display:inline-block;width:.8rem;height:.8rem;border-radius:50%;"
                f"background:{run_color(run.run_id)}' title='the colour of this run'></span>",
                width="content",
            )
            st.header(fmt.plain(run_title(run)), width="content", anchor=False)
            pill = st.empty()
            if run.simulated:
                parts.simulated_pill()
            if run.archived:
                parts.archived_pill()
        parts.freshness(seen.time, is_live=is_live, problem=seen.problem)
    return pill


def _progress(run: RunReply, epochs: EpochsReply) -> None:
    now = datetime.now(UTC)
    text = f"Epoch {run.epochs_done} of {run.num_epochs}"
    if run.progress is None:
        text = f"Reported by its own script · begun {fmt.ago(run.time_added, now)}"
    is_to_end = run.status is Status.RUNNING and run.request is None
    if is_to_end and (left_s := remaining_s(run, epochs)) is not None:
        text += f" · about {fmt.duration(left_s)} left"
    if run.status is Status.WAITING:
        queue = fmt.plain(planned_queue(run.options, run.carbon))
        text = f"Queue **{queue}** · added {fmt.ago(run.time_added, now)}"
    if line := standing(run):
        text += f" · {fmt.plain(line)}"
    if run.progress is None:
        st.caption(text)
    else:
        st.progress(run.progress, text=text)


def standing(run: RunReply) -> str | None:
    """Say what else there is to say of where a run stands: nothing of one that trains as it should."""
    if run.status is Status.FAILED and run.error is not None:
        return None
    if run.status.is_final:
        return run.status_reason
    if (plan := run.carbon) and run.status is Status.DEFERRED and run.status_reason == plan.reason:
        return f"waits for clean electricity until {parts.near_time(plan.start_at)}"
    text = status_text(run)
    return None if text.startswith(f"{Status.RUNNING} ") else text


def _prediction(run: RunReply, account: AccountReply | None) -> None:
    """Say what a running run will have taken in the end."""
    predicted = account.prediction if account else None
    if run.status is not Status.RUNNING or predicted is None:
        return
    if text := predicted_summary(predicted):
        ends = (
            f" · ends about {fmt.clock(predicted.ends_at, parts.reader_zone())}" if predicted.ends_at else ""
        )
        st.caption(text + ends, help=fmt.plain(predicted.basis))


def remaining_s(run: RunReply, epochs: EpochsReply) -> float | None:
    """Guess the time left from the newest epochs; None before the first one."""
    recent = [result.duration_s for result in epochs.epochs[-_RECENT_EPOCHS:]]
    if not recent or run.num_epochs is None:
        return None
    return (run.num_epochs - run.epochs_done) * sum(recent) / len(recent)


def _tiles(run: RunReply, epochs: EpochsReply) -> None:
    unknown = unknown_energy_note(run, epochs)
    marks = {"estimated": " :orange-badge[estimated]", "simulated": f" :{SIMULATED_COLOR}-badge[{SIMULATED}]"}
    energy = "Energy" + marks.get(run.energy_quality or "", "")
    # Of which split the figures of a script are, its names of metrics say.
    split = "" if run.is_external else "test "
    figures = (
        (f"Best {split}accuracy", fmt.percent(run.best_accuracy), None),
        (f"Last {split}accuracy", fmt.percent(run.last_accuracy), None),
        (f"Last {split}loss", fmt.loss(run.last_loss), None),
        (energy, fmt.energy(run.energy_kwh), unknown or energy_note(run) + lost_energy_note(epochs)),
        ("CO₂", fmt.co2(run.co2_g), unknown or co2_note(run, epochs) + lost_energy_note(epochs)),
        ("Duration", fmt.duration(run.duration_s), None),
    )
    for column, (label, value, note) in zip(parts.tiles(len(figures), "run"), figures, strict=True):
        column.metric(label, value, help=note, border=True, height="stretch")


def unknown_energy_note(run: RunReply, epochs: EpochsReply) -> str | None:
    """Say why a run has no sum of energy: how many epochs lack theirs, and the last one's reason."""
    if run.is_external and run.energy_kwh is None:
        return "Its script reports no energy_kwh, or a value of it that is no number."
    if run.unknown_energy_epochs == 0:
        is_unknown = run.energy_kwh is None and bool(epochs.epochs)
        return "What was used besides the epochs is not known." if is_unknown else None
    unknown = f"{fmt.count(run.unknown_energy_epochs)} of {fmt.count(len(epochs.epochs))} epochs"
    if run.attempt > 1:
        unknown = f"{fmt.count(run.unknown_energy_epochs)} epochs, of all attempts,"
    reasons = [result.energy_reason for result in epochs.epochs if result.energy_kwh is None]
    return f"{unknown} have no known energy" + (
        f": {fmt.plain(reasons[-1])}." if reasons and reasons[-1] else "."
    )


def lost_energy_note(epochs: EpochsReply) -> str:
    """Name the attempts a part of whose energy is not in the sum, with the last one's reason; "" for none."""
    lost = [attempt for attempt in epochs.attempts if attempt.energy_reason]
    if not lost:
        return ""
    numbers = ", ".join(str(attempt.attempt) for attempt in lost)
    reason = fmt.plain(lost[-1].energy_reason or "")
    return f" A part is missing, of attempt{'s' * (len(lost) > 1)} {numbers}: {reason}"


def energy_note(run: RunReply) -> str:
    """Say where the figure for energy comes from, and what estimated means."""
    if run.is_external:
        return f"The sum of its metric energy_kwh, {run.energy_quality or 'of unknown quality'}."
    if run.energy_quality == "simulated":
        return "Made up: this run is a simulation, nothing was trained and nothing measured."
    origin = run.environment.get("energy_source") or "not known yet"
    note = f"Source: {fmt.plain(str(origin))}."
    if run.energy_quality == "estimated":
        note += " Estimated: load × rated power stands in for the counter of at least one of these sources."
    return note


def co2_note(run: RunReply, epochs: EpochsReply) -> str:
    """Say which carbon intensity turned energy into CO₂, what it replaced, and why there is no sum."""
    if run.is_external:
        return "The sum of its metric co2_g."
    if run.co2_source is None:
        origin = fmt.plain(str(run.environment.get("intensity_source") or "not known yet"))
        if others := run.environment.get("intensity_others"):
            origin += f". A part is charged with figures of {fmt.plain(str(others))}"
    else:
        origin = _origin(run.co2_source) + f", computed again {fmt.utc(run.co2_source.at)}"
    note = f"Energy × carbon intensity. Intensity: {origin}."
    if run.co2_revisions:
        old = run.co2_revisions[0]
        note += f" It replaced {fmt.co2(old.co2_g)} from {_origin(old.source)}, {fmt.utc(old.replaced_at)}."
    return note + _unknown_co2(run, epochs)


def _unknown_co2(run: RunReply, epochs: EpochsReply) -> str:
    """Say why there is no CO₂ where there is energy; "" where there is."""
    if run.co2_g is not None or run.energy_kwh is None:
        return ""
    lacking = [result for result in epochs.epochs if result.co2_g is None]
    if not lacking:
        return " That of what was used besides the epochs, or in superseded ones, is not known."
    reason = f": {fmt.plain(lacking[-1].co2_reason)}" if lacking[-1].co2_reason else "."
    return (
        f" That of {fmt.count(len(lacking))} of {fmt.count(len(epochs.epochs))} epochs is not known{reason}"
    )


def _origin(source: Co2Source) -> str:
    return fmt.plain(f"{source.provider}, {source.zone} ({source.basis})")
