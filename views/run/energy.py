"""What a run's energy and CO₂ come to, how sure they are, and how they compare with others."""

from __future__ import annotations

import streamlit as st

from schema import AccountReply, Baseline, EpochsReply, PowerReply, RunReply
from views import format as fmt
from views import parts
from views.charts import energy_figures
from views.equivalents import equivalent_tiles
from views.live_chart import live_charts


def show(run: RunReply, epochs: EpochsReply, account: AccountReply, power: PowerReply) -> None:
    """Draw the section."""
    if run.energy_kwh is None and not power.points:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Energy and CO₂", anchor=False, width="content")
        _quality_badge(run, account)
    if run.energy_kwh is not None:
        _figures(run, account)
        if account.baseline is not None:
            _baseline(run, account.baseline)
    figures, lacking = energy_figures(
        run.run_id,
        epochs.epochs,
        power.points,
        pue=account.pue or 1.0,
        zone=parts.reader_zone(),
        is_simulated=run.simulated,
    )
    if figures:
        live_charts(figures, key=f"energy:{run.run_id}")
    for sentence in lacking:
        st.caption(sentence)


def _quality_badge(run: RunReply, account: AccountReply) -> None:
    """Say how sure the energy is."""
    if run.simulated:
        parts.simulated_pill()
    elif run.energy_quality is not None and account.error_share is not None:
        bound = f"±{_share(account.error_share)}"
        is_measured = run.energy_quality == "measured"
        st.badge(
            f"{run.energy_quality} {bound}",
            icon=":material/bolt:" if is_measured else ":material/calculate:",
            color="green" if is_measured else "orange",
            help=fmt.plain(f"Bound of the error: {account.error_reason}."),
        )


def _figures(run: RunReply, account: AccountReply) -> None:
    per_energy, per_unit = accuracy_per_energy(run, account)
    figures = (
        ("Above idle", fmt.energy(account.above_idle_kwh), _idle_note(run, account)),
        (
            "CO₂ per correct prediction",
            fmt.co2(account.g_per_correct),
            _correct_note(account),
        ),
        (f"Accuracy per {per_unit}", per_energy, "Best test accuracy in % over the energy of the whole run."),
        *equivalent_tiles(account.equivalents),
    )
    for column, (label, value, note) in zip(parts.tiles(len(figures), "account"), figures, strict=True):
        column.metric(label, value, help=note, border=True, height="stretch")
    if account.codecarbon_energy_kwh is not None:
        st.caption(
            f"CodeCarbon, for the whole machine: **{fmt.energy(account.codecarbon_energy_kwh)}**; "
            f"ours, for this run: **{fmt.energy(run.energy_kwh)}**. The whole machine's includes loading and "
            "saving; ours counts epochs only (and trials, compiling, unfinished epochs)."
        )


def accuracy_per_energy(run: RunReply, account: AccountReply) -> tuple[str, str]:
    """Write the accuracy in % per unit of energy that fits the run, and that unit."""
    unit = fmt.energy_unit([run.energy_kwh])
    if account.accuracy_per_kwh is None:
        return fmt.MISSING, unit.label
    per_unit = 100 * account.accuracy_per_kwh / unit.factor
    text = fmt.count(round(per_unit)) if per_unit >= 1000 else fmt.significant(per_unit)
    return f"{text}\u00a0%", unit.label


def _idle_note(run: RunReply, account: AccountReply) -> str:
    if account.above_idle_kwh is None:
        return fmt.plain(f"Unknown: {account.above_idle_reason}.")
    total = fmt.energy(run.energy_kwh)
    return f"Of {total} in all, without the run's share of what the idle machine would have used."


def _correct_note(account: AccountReply) -> str:
    if account.test_images is None:
        return "CO₂ over correctly classified test images; how many there are is not recorded for this run."
    return f"CO₂ / (best test accuracy × {fmt.count(account.test_images)} test images)."


def _baseline(run: RunReply, baseline: Baseline) -> None:
    """Compare the run with the median of the others of its dataset."""
    others = "one other done run" if baseline.runs == 1 else f"{fmt.count(baseline.runs)} other done runs"
    dataset = fmt.plain(str(run.hyper_params.get("dataset")))
    kind = "simulated " if run.simulated else ""
    st.caption(f"Against the median of {others.replace('done', kind + 'done')} on **{dataset}**")
    accuracy, energy, co2 = parts.tiles(3, "baseline")
    points = None
    if run.best_accuracy is not None and baseline.accuracy is not None:
        points = f"{100 * (run.best_accuracy - baseline.accuracy):+.2f} points"
    accuracy.metric(
        "Best test accuracy",
        fmt.percent(run.best_accuracy),
        delta=points,
        border=True,
        help=f"Median: {fmt.percent(baseline.accuracy)}.",
    )
    for column, label, own, median, text in (
        (energy, "Energy", run.energy_kwh, baseline.energy_kwh, fmt.energy),
        (co2, "CO₂", run.co2_g, baseline.co2_g, fmt.co2),
    ):
        column.metric(
            label,
            text(own),
            delta=change_text(own, median),
            delta_color="inverse",
            border=True,
            help=f"Median: {text(median)}.",
        )


def change_text(own: float | None, median: float | None) -> str | None:
    """Write how a figure differs from the median; None when one is unknown or the median is 0."""
    if own is None or not median:
        return None
    ratio = own / median
    if ratio >= 1000:
        return f"{fmt.count(round(ratio))} × as much"
    return f"{fmt.significant(ratio)} × as much" if ratio >= 2 else f"{100 * (ratio - 1):+.0f} %"


def _share(share: float) -> str:
    return f"{100 * share:.2g}\u00a0%" if share < 0.1 else f"{100 * share:.0f}\u00a0%"
