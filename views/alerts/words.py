"""What the page Alerts calls things."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from schema import AlertRule, ChannelReply, Delivery, TestReply
from schema.alerts import (
    Co2Budget,
    Condition,
    DiskFull,
    GpuHot,
    GpuIdle,
    MemoryFull,
    MetricCrossed,
    RunStalled,
)
from views import format as fmt

KINDS: Final = {
    "run_failed": "A run fails",
    "run_finished": "A run is done",
    "run_stalled": "A run stalls",
    "metric": "A metric crosses a threshold",
    "nan": "A loss is no longer a number",
    "worker_lost": "A worker is lost",
    "gpu_idle": "A GPU with a run is idle",
    "gpu_hot": "A GPU is too hot",
    "memory": "Memory is nearly full",
    "disk": "A disk is nearly full",
    "co2_budget": "A CO₂ budget is reached",
}
ICONS: Final = {
    "run_failed": ":material/error:",
    "run_finished": ":material/check_circle:",
    "run_stalled": ":material/hourglass_disabled:",
    "metric": ":material/show_chart:",
    "nan": ":material/functions:",
    "worker_lost": ":material/link_off:",
    "gpu_idle": ":material/bedtime:",
    "gpu_hot": ":material/thermostat:",
    "memory": ":material/memory:",
    "disk": ":material/hard_drive:",
    "co2_budget": ":material/eco:",
}
# Each of these happens once.
ONCE: Final = ("run_failed", "run_finished")
OF_BUDGET: Final = {
    "month": "All runs of a month (UTC)",
    "day": "All runs of a day (UTC)",
    "project": "A project, all time",
    "run": "A single run",
}
OUTCOMES: Final = {"sent": "sent", "retrying": "tried again", "given_up": "given up", "failed": "failed"}


def describe(condition: Condition) -> str:
    """Say when a condition holds, as a sentence."""
    match condition:
        case RunStalled():
            return f"A run records no epoch for {fmt.duration(condition.for_s)}"
        case MetricCrossed():
            row = f", {condition.points} points in a row" if condition.points > 1 else ""
            return f"{fmt.plain(condition.metric)} is {condition.relation} {condition.threshold:g}{row}"
        case GpuIdle():
            span = fmt.duration(condition.for_s)
            return f"A GPU with a run computes less than {_whole_percent(condition.below)} for {span}"
        case GpuHot():
            return f"A GPU has {condition.above_c:g} °C or more for {fmt.duration(condition.for_s)}"
        case MemoryFull():
            whose = "of a GPU" if condition.of == "gpu" else "of a worker's host"
            share = _whole_percent(condition.above)
            return f"Memory {whose} is {share} full for {fmt.duration(condition.for_s)}"
        case DiskFull():
            share = _whole_percent(condition.above)
            return f"A worker's data disk is {share} full for {fmt.duration(condition.for_s)}"
        case Co2Budget():
            return f"{OF_BUDGET[condition.of]}: {fmt.co2(condition.budget_g)} of CO₂ reached"
        case _:
            return KINDS[condition.kind]


def _whole_percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"


def facts(rule: AlertRule) -> str:
    """Say which runs a rule is about, whom it tells, and how often."""
    parts = []
    if rule.project:
        parts.append(f"project {fmt.plain(rule.project)}")
    if rule.tag:
        parts.append(f"tag {fmt.plain(rule.tag)}")
    parts.append(f"tells {', '.join(rule.channels)}" if rule.channels else "on this page only")
    if rule.again_after_s and rule.condition.kind not in ONCE:
        parts.append(f"again after {fmt.duration(rule.again_after_s)} at the earliest")
    if rule.is_urgent:
        parts.append("also in quiet hours")
    return " · ".join(parts)


def channel_state(channel: ChannelReply, now: datetime) -> str:
    """Say what waits for a channel, and when it is tried again."""
    if channel.retry_at is not None and channel.failures:
        wait_s = max(0.0, (channel.retry_at - now).total_seconds())
        return f":orange[{_alerts(channel.waiting)} waiting, tried again in {fmt.duration(wait_s)}]"
    return f"{_alerts(channel.waiting)} waiting" if channel.waiting else "nothing waits"


def test_text(channel: str, reply: TestReply) -> tuple[str, str]:
    """Say how a test ended, with an icon."""
    match reply.outcome:
        case "sent":
            return f"The test has arrived at {channel}, as far as it says.", ":material/check_circle:"
        case "failed":
            return (
                f"The test did not reach {channel}: {reply.reason or 'no reason given'}",
                ":material/error:",
            )
        case _:
            return f"{channel} has not answered yet. How it ends is told below.", ":material/hourglass_top:"


def undelivered(rules: Sequence[AlertRule], channels: Sequence[ChannelReply]) -> list[str]:
    """Return the channels that rules name and the backend does not have."""
    known = {channel.name for channel in channels}
    return sorted({name for rule in rules if rule.is_enabled for name in rule.channels} - known)


def told(delivery: Delivery) -> str:
    """Say what a delivery was about."""
    if delivery.is_test:
        return "a test"
    total = delivery.alerts + delivery.left_out
    return delivery.title.removeprefix("[Wattle] ") if total == 1 else f"{fmt.count(total)} alerts"


def _alerts(count: int) -> str:
    return "1 alert" if count == 1 else f"{fmt.count(count)} alerts"
