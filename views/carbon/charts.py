"""The Plotly figures of the page Carbon. Times are the reader's, without their zone, as Plotly wants them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

import plotly.graph_objects as go

from schema import ForecastReply, HistoryReply, PlannedWindow, RunReply, SavedWeek, WindowReply
from views import format as fmt
from views.charts import LEGEND_BELOW, blank_figure
from views.look import RUN_COLORS, TOTAL_COLOR, run_color, short_id

_FORECAST_COLOR = RUN_COLORS[0]
_BAND_COLOR = "rgba(47, 125, 225, 0.16)"
_WINDOW_COLOR = "rgba(18, 144, 111, 0.20)"
_QUIET_COLOR = "#8a8f98"
# Clean is light and green, dirty dark and brown: the order is seen without colours, too.
_CLEAN_TO_DIRTY = ((0.0, "#c3ead2"), (0.4, "#e9c873"), (0.75, "#c4641f"), (1.0, "#6d2813"))
_COLOR_BAR = {"title": {"text": "g/kWh"}, "thickness": 12, "outlinewidth": 0}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FORECAST_PX, _ROW_PX, _AROUND_ROWS_PX = 350, 30, 96
# With less the scale of its colours could not be read.
_LEAST_HISTORY_PX = 240
_HOUR = timedelta(hours=1)
# With more days an hour cannot be seen.
_LONGEST_LINE = timedelta(days=5)
_DAY_MS = 86_400_000


def forecast_figure(forecast: ForecastReply, window: WindowReply | None, *, zone: tzinfo) -> str:
    """Draw what is expected with its interval, and the best window, as Plotly JSON."""
    figure = blank_figure(f"forecast:{forecast.zone}", "Forecast", "gCO₂e per kWh")
    edges = _edges(forecast)
    times = [_local(time, zone) for time in edges]
    if any(point.low is not None for point in forecast.points):
        _add_interval(figure, forecast, times)
    figure.add_trace(
        go.Scatter(
            x=times, y=_held([point.g_per_kwh for point in forecast.points]), name="expected", mode="lines",
            line={"color": _FORECAST_COLOR, "width": 2.2, "shape": "hv"}, hovertemplate="%{y:.0f} g/kWh",
        )
    )  # fmt: skip
    for planned in window.windows if window else ():
        _mark(figure, planned, zone)
    if window is not None:
        _name_window(figure, window, zone)
    _time_axis(figure, edges[-1] - edges[0])
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(height=_FORECAST_PX)
    return str(figure.to_json())


def windows_figure(runs: Sequence[RunReply], *, until: datetime, now: datetime, zone: tzinfo) -> str:
    """Draw when each run is planned to run and has to be done, a row each, as Plotly JSON.

    From now on ``until`` at least, and to the last deadline of the next days; a later one is an arrow there.
    """
    figure = blank_figure("planned", "Planned", "")
    plans = [run.carbon for run in runs if run.carbon]
    last = max([until, *(plan.end_at for plan in plans)])
    widest = max(last, now + _LONGEST_LINE)
    last = max([last, *(plan.deadline for plan in plans if plan.deadline <= widest)])
    # So that a mark at the end is whole.
    last += (last - now) / 50
    for run in runs:
        _add_windows(figure, run, zone)
    for run in runs:
        _add_deadline(figure, run, now, last, zone)
    _time_axis(figure, last - now)
    figure.update_xaxes(type="date", range=[_local(now, zone), _local(last, zone)])
    figure.update_yaxes(title=None, autorange="reversed", type="category", showgrid=False)
    figure.update_layout(
        height=_AROUND_ROWS_PX + _ROW_PX * len(runs),
        showlegend=False, barmode="overlay", bargap=0.4, hovermode="closest",
    )  # fmt: skip
    return str(figure.to_json())


def _add_windows(figure: go.Figure, run: RunReply, zone: tzinfo) -> None:
    windows = run.carbon.windows if run.carbon else ()
    color = run_color(run.run_id)
    figure.add_trace(
        go.Bar(
            orientation="h",
            y=[short_id(run.run_id)] * len(windows),
            base=[_local(window.start, zone) for window in windows],
            x=[(window.end - window.start) / timedelta(milliseconds=1) for window in windows],
            customdata=[[_span_text(window, zone), _where(run), window.g_per_kwh] for window in windows],
            # An edge: a run of minutes is not to vanish among days.
            marker={"color": color, "line": {"width": 3, "color": color}},
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}%{customdata[2]:.0f} g/kWh<extra></extra>",
        )
    )


def _add_deadline(figure: go.Figure, run: RunReply, now: datetime, last: datetime, zone: tzinfo) -> None:
    """Draw the room that a run has as a thin line, up to a stroke where it has to be done."""
    plan = run.carbon
    if plan is None:
        return
    is_later = plan.deadline > last
    end = {"symbol": "triangle-right", "size": 8} if is_later else {"symbol": "line-ns-open", "size": 14}
    begin = plan.windows[0].start if plan.windows else plan.start_at
    color = run_color(run.run_id)
    figure.add_trace(
        go.Scatter(
            # Not clipped at the edge, so that a mark there is whole: what has passed is left out here.
            x=[_local(max(now, time), zone) for time in (begin, min(plan.deadline, last))],
            y=[short_id(run.run_id)] * 2,
            mode="lines+markers",
            cliponaxis=False,
            line={"color": color, "width": 1.5, "dash": "dot"},
            marker={
                "symbol": ["circle", end["symbol"]],
                "size": [0, end["size"]],
                "color": color,
                "opacity": 1,
                "line": {"width": 2, "color": color},
            },
            customdata=[f"{plan.deadline.astimezone(zone):%a %d %b, %H:%M}"] * 2,
            hovertemplate="to be done by %{customdata}<extra></extra>",
        )
    )


def savings_figure(weeks: Sequence[SavedWeek]) -> str:
    """Draw what runs emitted each week beside what they would have at once, as Plotly JSON."""
    unit = fmt.co2_unit([week.run_now_co2_g for week in weeks] + [week.co2_g for week in weeks])
    figure = blank_figure("savings", "Emitted, by week", f"CO₂ ({unit.label})")
    for name, color, values in (
        ("run at once", _QUIET_COLOR, [week.run_now_co2_g for week in weeks]),
        ("as they ran", TOTAL_COLOR, [week.co2_g for week in weeks]),
    ):
        figure.add_trace(
            go.Bar(
                x=[week.week.partition("-")[2] for week in weeks],
                y=[value * unit.factor for value in values],
                name=name,
                marker={"color": color, "line": {"width": 0}},
                hovertemplate="%{y:.3~g} " + unit.label,
            )
        )  # fmt: skip
    figure.update_layout(barmode="group", bargap=0.35, bargroupgap=0.08, **LEGEND_BELOW)
    figure.update_xaxes(
        title={"text": "week (UTC)"},
        type="category",
        dtick=2,
        tickangle=0,
        unifiedhovertitle={"text": "week %{x}"},
    )
    figure.update_yaxes(rangemode="tozero")
    return str(figure.to_json())


def history_figure(history: HistoryReply) -> str:
    """Draw the mean of each hour of each month as coloured cells, as Plotly JSON.

    Cells are bars: the chart library is served without its heatmaps, which would double it.
    """
    months = [month for month in range(12) if any(value is not None for value in history.means[month])]
    cells = [
        (row, hour, value)
        for row, month in enumerate(months)
        for hour, value in enumerate(history.means[month])
        if value is not None
    ]
    figure = blank_figure(f"history:{history.zone}", "By month and hour", "")
    figure.add_trace(
        go.Bar(
            x=[hour for _, hour, _ in cells],
            base=[row for row, _, _ in cells],
            y=[0.94] * len(cells),
            customdata=[[_MONTHS[months[row]], f"{hour:02d} to {hour + 1:02d} h"] for row, hour, _ in cells],
            marker={"color": [value for *_, value in cells], "coloraxis": "coloraxis", "line": {"width": 0}},
            hovertemplate="%{customdata[0]}, %{customdata[1]}<br>%{marker.color:.0f} g/kWh<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        height=max(_AROUND_ROWS_PX + 22 * len(months), _LEAST_HISTORY_PX),
        hovermode="closest", bargap=0.05, barmode="overlay", showlegend=False,
        coloraxis={"colorscale": _CLEAN_TO_DIRTY, "colorbar": _COLOR_BAR},
    )  # fmt: skip
    figure.update_xaxes(
        title={"text": "hour of the day (UTC)"}, tickvals=list(range(0, 24, 3)), range=[-0.5, 23.5]
    )
    figure.update_yaxes(
        title=None, showgrid=False, range=[len(months), 0],
        tickvals=[row + 0.47 for row in range(len(months))], ticktext=[_MONTHS[month] for month in months],
    )  # fmt: skip
    return str(figure.to_json())


def _edges(forecast: ForecastReply) -> list[datetime]:
    starts = [point.start for point in forecast.points]
    return [*starts, starts[-1] + timedelta(seconds=forecast.step_s)]


def _held(values: Sequence[float]) -> list[float]:
    """Repeat the last value, which holds to the end of its step."""
    return [*values, values[-1]]


def _add_interval(figure: go.Figure, forecast: ForecastReply, times: Sequence[str]) -> None:
    """Draw the band; where it is not known, as in the slot in force, it has no width."""
    low = [point.g_per_kwh if point.low is None else point.low for point in forecast.points]
    high = [point.g_per_kwh if point.high is None else point.high for point in forecast.points]
    edge = {"x": times, "mode": "lines", "line": {"width": 0, "shape": "hv"}}
    figure.add_trace(
        go.Scatter(y=_held(low), name="from", showlegend=False, hovertemplate="%{y:.0f}", **edge)
    )
    figure.add_trace(
        go.Scatter(
            y=_held(high), name="8 in 10 lie here", hovertemplate="up to %{y:.0f}",
            fill="tonexty", fillcolor=_BAND_COLOR, **edge,
        )
    )  # fmt: skip


def _mark(figure: go.Figure, window: PlannedWindow, zone: tzinfo) -> None:
    figure.add_shape(
        type="rect", xref="x", yref="paper", y0=0, y1=1, layer="below",
        x0=_local(window.start, zone), x1=_local(window.end, zone),
        fillcolor=_WINDOW_COLOR, line={"width": 0},
    )  # fmt: skip


def _name_window(figure: go.Figure, window: WindowReply, zone: tzinfo) -> None:
    """Write what the window is for above it; at the end of the chart, to its left."""
    is_late = window.end_at > window.horizon_end - 12 * _HOUR
    figure.add_annotation(
        text=f"best {window.duration_h:g} h", showarrow=False, yref="paper", y=1, yanchor="top",
        x=_local(window.end_at if is_late else window.start_at, zone), xanchor="right" if is_late else "left",
        font={"color": TOTAL_COLOR, "size": 12},
    )  # fmt: skip


def _time_axis(figure: go.Figure, length: timedelta) -> None:
    """Label days, of a short span hours too; not turned, because a phone has no room for that."""
    hours = {"nticks": 5, "tickformat": "%H:%M\n%a %d"}
    ticks = {"dtick": _DAY_MS, "tickformat": "%a %d"} if length > 36 * _HOUR else hours
    figure.update_layout(margin={"b": 32 if length > 36 * _HOUR else 46})
    figure.update_xaxes(
        title=None,
        tickangle=0,
        showgrid=True,
        unifiedhovertitle={"text": "%{x|%a %d %b, %H:%M}"},
        **ticks,
    )


def _where(run: RunReply) -> str:
    return f"{run.carbon.zone}, " if run.carbon and run.carbon.zone else ""


def _span_text(window: PlannedWindow, zone: tzinfo) -> str:
    start, end = window.start.astimezone(zone), window.end.astimezone(zone)
    last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%a %d %b, %H:%M}"
    return f"{start:%a %d %b, %H:%M}–{last}"


def _local(time: datetime, zone: tzinfo) -> str:
    return time.astimezone(zone).replace(tzinfo=None).isoformat()
