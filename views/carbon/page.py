"""The Carbon page: how clean the grid is, when it will be cleaner, and what waiting for that has saved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from schema import ForecastReply, IntensityReply, WindowReply, ZonesReply
from views import format as fmt
from views import grid, parts
from views.asking import Questions
from views.carbon import history, runs
from views.carbon import zones as carbon_zones
from views.carbon.charts import forecast_figure
from views.grid import Answer
from views.live_chart import live_charts

_EVERY_S = 15
_HOURS = (0.5, 1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48)
_USUAL_HOURS = 4
_HORIZON_H = 96
REMEDY = (
    "Hourly values and a forecast come from a provider: set `WATTLE_CARBON_MODEL` to `electricitymaps`, "
    "`watttime` or `uk`, with `WATTLE_CARBON_API_KEY` where it needs a key, or to `cached` with "
    "`WATTLE_CARBON_FILE`; then restart the programs."
)


def show() -> None:
    """Show the page."""
    st.title("Carbon")
    questions, wanted = Questions(), _wanted()
    _begin(questions, wanted)
    zones = questions.answer("zones")
    if zones.value is None:
        parts.silence_banner(zones.problem)
        if zones.reason:
            st.warning(fmt.plain_lines(zones.reason), icon=":material/block:")
        st.button("Try again", icon=":material/refresh:")
        return
    zone, hours, is_in_pieces = _choose(zones.value, wanted)
    # None is the zone of the API, of which everything is being asked already.
    is_home = wanted is None and any(known.is_home and known.zone == zone for known in zones.value.zones)
    st.fragment(_live, run_every=_EVERY_S)(
        None if is_home else zone, hours, zone, questions, is_in_pieces=is_in_pieces
    )


def _begin(questions: Questions, zone: str | None) -> None:
    """Ask all that does not depend on the length of the work."""
    questions.begin("zones", grid.list_zones)
    questions.begin("now", lambda: grid.get_intensity(zone), of=zone)
    questions.begin("forecast", lambda: grid.get_forecast(zone, _HORIZON_H), of=zone)
    questions.begin("history", lambda: grid.get_history(zone), of=zone)
    questions.begin("planned", grid.list_planned)
    questions.begin("savings", grid.list_savings)


def _choose(zones: ZonesReply, wanted: str | None) -> tuple[str, float, bool]:
    """Draw zone, length of the work and whether it may be interrupted; each is in the URL."""
    names = {zone.zone: zone.name for zone in zones.known} | {zone.zone: zone.name for zone in zones.zones}
    in_use = [zone.zone for zone in zones.zones]
    # a link may name one that is in no list
    listed = list(dict.fromkeys([*in_use, *([wanted] if wanted else []), *names]))
    left, middle, right = st.columns([2, 3, 1.4], vertical_alignment="bottom")
    zone = left.selectbox(
        "Zone",
        listed,
        format_func=lambda code: f"{code} · {names[code]}" if names.get(code) else code,
        key="zone",
        bind="query-params",
        accept_new_options=True,
        help="Zones in use come first. Any other that the provider has may be typed.",
    )
    hours = middle.select_slider(
        "Length of the work (h)", _HOURS, value=_USUAL_HOURS, key="hours", bind="query-params"
    )
    is_in_pieces = right.toggle(
        "In pieces", key="pieces", bind="query-params", help="The work may be interrupted and go on later."
    )
    return str(zone or in_use[0]), float(hours), bool(is_in_pieces)


def _wanted() -> str | None:
    """Return the zone that was chosen, or that the URL names."""
    chosen = st.session_state.get("zone") or st.query_params.get("zone", "")
    return str(chosen).strip()[:64] or None


def _live(asked: str | None, hours: float, zone: str, first: Questions, *, is_in_pieces: bool) -> None:
    """Draw all that depends on the zone, and on the time."""
    questions = first.hand_over()
    _begin(questions, asked)
    of = (asked, hours, is_in_pieces)
    questions.begin("window", lambda: grid.get_window(asked, hours, interruptible=is_in_pieces), of=of)
    now, forecast = (questions.answer(name, about=zone) for name in ("now", "forecast"))
    window = questions.answer("window", about=(zone, hours, is_in_pieces))
    problem = now.problem or forecast.problem
    parts.silence_banner(problem)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(_origin(now.value), width="stretch")
        parts.freshness(now.time, is_live=True, problem=problem)
    with st.container(key="stale" if problem else "fresh"):
        if now.value is None and forecast.value is None:
            _nothing_known(now)
        else:
            _now_and_best(now, forecast, window)
        runs.show(questions, forecast.value)
        carbon_zones.show(questions, zone)
        if not now.is_mistaken:
            history.show(questions, zone)


def _nothing_known(now: Answer[IntensityReply]) -> None:
    """Say why, and what to do about it; nothing while the API is silent, which a banner says."""
    if now.is_mistaken:
        st.warning(fmt.plain_lines(now.reason), icon=":material/wrong_location:")
    elif now.reason:
        st.warning(fmt.plain_lines(now.reason), icon=":material/cloud_off:")
        st.caption(f"Runs that wait for clean electricity run at once meanwhile. {REMEDY}")


def _origin(now: IntensityReply | None) -> str:
    """Say whose figure it is, on which basis, since when, and how much of it is renewable."""
    if now is None:
        return ""
    since = "a yearly average"
    if now.at is not None:
        zone = parts.reader_zone()
        since = f"in force since {now.at.astimezone(zone):%a %H:%M}, {fmt.ago(now.at, datetime.now(UTC))}"
    words = [f"**{fmt.plain(now.zone)}**", fmt.plain(now.provider), now.basis, since]
    if now.is_estimated:
        words.append("estimated")
    if now.renewable_share is not None:
        words.append(f"{100 * now.renewable_share:.0f} % renewable")
    return " · ".join(words)


def _now_and_best(
    now: Answer[IntensityReply], forecast: Answer[ForecastReply], window: Answer[WindowReply]
) -> None:
    """Draw the figures of now and of the best window, and the forecast between them."""
    is_flat = now.value is not None and now.value.at is None
    best = None if is_flat else window.value
    tiles = parts.tiles(5 if best else 2, "carbon")
    _now_tile(tiles[0], now)
    if best is not None:
        _best_tiles(tiles[1:], best)
    if is_flat:
        st.info(
            f"This is one figure for the whole year, the same at every hour: there is no forecast, and no "
            f"better time to wait for. {REMEDY}",
            icon=":material/calendar_month:",
        )
        return
    if forecast.value is None:
        if forecast.reason:
            st.info(f"{fmt.plain(forecast.reason)} {REMEDY}", icon=":material/query_stats:")
        return
    if best is None and window.reason:
        st.info(fmt.plain(window.reason), icon=":material/schedule:")
    live_charts([forecast_figure(forecast.value, best, zone=parts.reader_zone())], key="forecast")
    st.caption(_method(forecast.value))


def _now_tile(tile: DeltaGenerator, now: Answer[IntensityReply]) -> None:
    found = now.value
    if found is None:
        tile.metric("Now", fmt.MISSING, border=True, height="stretch", help=fmt.plain(now.reason) or None)
        return
    share = found.lower_share
    rank = None if share is None or found.at is None else _rank(share)
    tile.metric(
        "Now",
        grams(found.g_per_kwh),
        delta=rank,
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
        help="gCO₂e per kWh, and where that stands among the recorded hours of this zone.",
    )


def _rank(lower_share: float) -> str:
    """Say how a value compares with those before it."""
    if lower_share < 0.5:
        return f"in the cleanest {max(100 * lower_share, 1):.0f}\u00a0%"
    return f"in the dirtiest {max(100 * (1 - lower_share), 1):.0f}\u00a0%"


def _best_tiles(tiles: Sequence[DeltaGenerator], best: WindowReply) -> None:
    wait_s = (best.start_at - datetime.now(UTC)).total_seconds()
    hours, saved_g = f"{best.duration_h:g} h", best.run_now_g_per_kwh - best.g_per_kwh
    start = "now" if wait_s <= 0 else parts.near_time(best.start_at)
    figures = (
        ("Best start", start, None if wait_s <= 0 else f"in {fmt.duration(wait_s)}", "Your own time zone."),
        (f"{hours} from now on", grams(best.run_now_g_per_kwh), None, "The mean if it started at once."),
        (f"{hours} in the best window", grams(best.g_per_kwh), _saving(best.saving), "The expected mean."),
        ("Saved per kWh", fmt.co2(saved_g), None, "Expected, against a start now."),
    )  # fmt: skip
    for column, (label, value, delta, note) in zip(tiles, figures, strict=True):
        column.metric(
            label, value, delta=delta, delta_color="inverse" if "%" in (delta or "") else "off",
            delta_arrow="auto" if "%" in (delta or "") else "off", help=note, border=True, height="stretch",
        )  # fmt: skip


def grams(g_per_kwh: float) -> str:
    """Write an intensity."""
    return f"{g_per_kwh:.0f}\u00a0g/kWh"


def _saving(share: float) -> str | None:
    return f"{-100 * share:+.0f} %" if abs(share) >= 0.005 else None


def _method(forecast: ForecastReply) -> str:
    has_interval = any(point.low is not None for point in forecast.points)
    interval = "eight in ten values lie in the band" if has_interval else "its provider gives no interval"
    return (
        f"Forecast: {fmt.plain(forecast.method)}, made at "
        f"{fmt.clock(forecast.made_at, parts.reader_zone())[:5]}; {interval}. Times are yours."
    )
