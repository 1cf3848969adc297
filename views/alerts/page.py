"""The Alerts page: rules, what they raised, the channels and what became of telling them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import pandas as pd
import streamlit as st

from errors import ApiError
from schema import Alert, AlertRule, ChannelReply, ChannelsReply, Delivery, RuleRequest, RulesReply
from views import commands, may, parts, source
from views import format as fmt
from views.alerts import form, words
from views.alerts.words import ICONS, OUTCOMES

_EVERY_S: Final = 3
_ABREAST: Final = 3
_REFUSED: Final = "alerts:refused"
_TESTED: Final = "alerts:tested"
_TABLE_PX: Final = 420
# Three lines of text.
_LINES_PX: Final = 72
_DETAILS_PX: Final = 440
_OUTCOME_COLORS: Final = {"sent": "green", "tried again": "orange", "given up": "red", "failed": "red"}


def show() -> None:
    """Show the page."""
    rules = source.fetch("rules", source.list_rules)
    channels = source.fetch("channels", source.list_channels)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Alerts", width="content")
        if rules.value is not None and channels.value is not None:
            st.button(
                "New rule",
                type="primary",
                icon=":material/add_alert:",
                disabled=not may.can_administer(),
                on_click=form.open_form,
                args=(None,),
            )
    parts.silence_banner(rules.problem or channels.problem)
    if rules.value is None or channels.value is None:
        st.button("Try again", icon=":material/refresh:")
        return
    form.show([channel.name for channel in channels.value.channels])
    st.fragment(_live_channels, run_every=_EVERY_S)()
    raised, listed, log = st.tabs(["Raised", "Rules", "Deliveries"])
    with raised:
        st.fragment(_live_alerts, run_every=_EVERY_S)(has_rules=bool(rules.value.rules))
    with listed, st.container(key="stale-rules" if rules.problem else "fresh-rules"):
        _rules(rules.value, channels.value)
    with log:
        st.fragment(_live_deliveries, run_every=_EVERY_S)()


def _rules(rules: RulesReply, channels: ChannelsReply) -> None:
    """Draw the rules, each with what can be done with it."""
    if refused := st.session_state.get(_REFUSED):
        st.warning(fmt.plain_lines(refused), icon=":material/block:")
    if missing := words.undelivered(rules.rules, channels.channels):
        st.warning(
            f"Rules tell {', '.join(missing)}, and the backend has no such channel. Set it up in its "
            "environment, or change the rules.",
            icon=":material/link_off:",
        )
    if not rules.rules:
        st.caption("No rules yet.")
    for rule in rules.rules:
        with st.container(border=True, key=f"rule:{rule.rule_id}"):
            _rule(rule)


def _rule(rule: AlertRule) -> None:
    left, middle, right = st.columns([0.5, 7, 2.2], vertical_alignment="center")
    left.toggle(
        f"Rule {fmt.plain(rule.name)}",
        value=rule.is_enabled,
        key=f"on:{rule.rule_id}:{rule.is_enabled}",
        label_visibility="collapsed",
        disabled=not may.can_administer(),
        on_change=_switch,
        args=(rule,),
    )
    title = f"{ICONS[rule.condition.kind]} **{fmt.plain(rule.name)}**"
    sentence = words.describe(rule.condition)
    middle.markdown(title if sentence == fmt.plain(rule.name) else f"{title} · {sentence}")
    middle.caption(words.facts(rule))
    with right.container(horizontal=True, horizontal_alignment="right", gap="small"):
        st.button(
            "Edit",
            icon=":material/edit:",
            key=f"edit:{rule.rule_id}",
            disabled=not may.can_administer(),
            on_click=form.open_form,
            args=(rule,),
        )
        key = f"delete:{rule.rule_id}"
        if st.button("Delete", icon=":material/delete:", key=key, disabled=not may.can_administer()):
            _confirm_deletion(rule)


@st.dialog("Delete this rule?", icon=":material/delete:")
def _confirm_deletion(rule: AlertRule) -> None:
    """Say what goes and what stays, then delete it."""
    st.markdown(f"**{fmt.plain(rule.name)}**: {words.describe(rule.condition)}.")
    st.caption("What it raised stays in the list, and is still told.")
    if st.button("Delete it", type="primary", icon=":material/delete:", on_click=_delete, args=(rule,)):
        st.rerun()


def _delete(rule: AlertRule) -> None:
    st.session_state.pop(_REFUSED, None)
    try:
        commands.delete_rule(rule.rule_id)
    except ApiError as error:
        st.session_state[_REFUSED] = str(error)


def _switch(rule: AlertRule) -> None:
    st.session_state.pop(_REFUSED, None)
    wanted = {name: getattr(rule, name) for name in RuleRequest.model_fields}
    try:
        commands.put_rule(RuleRequest(**wanted | {"is_enabled": not rule.is_enabled}), rule.rule_id)
    except ApiError as error:
        st.session_state[_REFUSED] = str(error)


def _live_channels() -> None:
    """Draw the channels, and again every moment."""
    channels = source.fetch("channels", source.list_channels)
    if channels.value is None:
        return
    with parts.grey_area(channels):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.subheader("Channels", anchor=False, width="content")
            parts.freshness(channels.time, is_live=True, problem=channels.problem)
        _channels(channels.value)


def _live_alerts(*, has_rules: bool) -> None:
    """Draw what was raised, and again every moment."""
    alerts = source.fetch("alerts", source.list_alerts)
    if alerts.value is not None:
        with st.container(key="stale-raised" if alerts.problem else "fresh-raised"):
            _alerts(alerts.value.alerts, has_rules=has_rules)


def _live_deliveries() -> None:
    """Draw the log of deliveries, and again every moment."""
    deliveries = source.fetch("deliveries", source.list_deliveries)
    if deliveries.value is not None:
        with st.container(key="stale-log" if deliveries.problem else "fresh-log"):
            _deliveries(deliveries.value.deliveries)


def _channels(reply: ChannelsReply) -> None:
    if not reply.channels:
        st.info(
            "No channel is set up, so alerts are on this page only. Set `WATTLE_SLACK_WEBHOOK_URL`, "
            "`WATTLE_EMAIL_NOTIFICATIONS` with `WATTLE_SMTP_URL`, or `WATTLE_ALERT_CHANNELS` for the backend "
            "and restart it; docs/alerts.md says how.",
            icon=":material/notifications_off:",
        )
    if not reply.is_enabled:
        st.warning(
            "`WATTLE_ENABLE_NOTIFICATIONS` is off: nothing is sent.", icon=":material/notifications_off:"
        )
    elif reply.is_quiet:
        st.info(f"Quiet hours ({reply.quiet_hours}): only urgent rules are told.", icon=":material/bedtime:")
    for start in range(0, len(reply.channels), _ABREAST):
        for column, channel in zip(
            st.columns(_ABREAST), reply.channels[start : start + _ABREAST], strict=False
        ):
            with column.container(border=True, height="stretch", key=f"channel:{channel.name}"):
                _channel(channel)


def _channel(channel: ChannelReply) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"**{channel.name}**", width="content")
        st.button(
            "Test",
            icon=":material/send:",
            key=f"test:{channel.name}",
            disabled=not may.can_administer(),
            on_click=_test,
            args=(channel.name,),
        )
    # As code: a page would make a link of an address.
    st.caption(f"`{channel.address}` · {words.channel_state(channel, datetime.now(UTC))}")
    name, text, icon = st.session_state.get(_TESTED, (None, "", ""))
    if name == channel.name:
        st.caption(f"{icon} {fmt.plain(text)}")


def _test(name: str) -> None:
    try:
        text, icon = words.test_text(name, commands.send_test(name))
    except ApiError as error:
        text, icon = str(error), ":material/block:"
    st.session_state[_TESTED] = (name, text, icon)


def _alerts(alerts: Sequence[Alert], *, has_rules: bool) -> None:
    if not alerts and not has_rules:
        st.info(
            "No rules yet. **New rule** makes one: a good first one is *A run fails*, another "
            "*A worker is lost*.",
            icon=":material/notifications:",
        )
        return
    if not alerts:
        st.caption("Nothing was raised yet. What happened before a rule was there raises nothing.")
        return
    frame = pd.DataFrame(
        {
            "When": [alert.time for alert in alerts],
            "What": [alert.title for alert in alerts],
            "Rule": [alert.rule_name for alert in alerts],
            "Told": [", ".join(alert.channels) or fmt.MISSING for alert in alerts],
            "Run": [f"/run?iid={alert.run_id}" if alert.run_id else None for alert in alerts],
            "Details": [" ".join(alert.text.split()) for alert in alerts],
        }
    )
    text, link = st.column_config.TextColumn, st.column_config.LinkColumn(display_text="open", width=60)
    _table(
        frame,
        {"What": text(width=200), "Rule": text(width=120), "Told": text(width=90), "Run": link,
         "Details": text(width=_DETAILS_PX)},
        row_px=_LINES_PX,
    )  # fmt: skip


def _deliveries(deliveries: Sequence[Delivery]) -> None:
    if not deliveries:
        st.caption("Nothing was sent yet. A channel's **Test** sends a message.")
        return
    frame = pd.DataFrame(
        {
            "When": [delivery.time for delivery in deliveries],
            "Channel": [delivery.channel for delivery in deliveries],
            "Outcome": [[OUTCOMES[delivery.outcome]] for delivery in deliveries],
            "What": [words.told(delivery) for delivery in deliveries],
            "Try": [delivery.tries for delivery in deliveries],
            "Next try": [delivery.retry_at for delivery in deliveries],
            "Reason": [delivery.reason for delivery in deliveries],
        }
    )
    pills = st.column_config.MultiselectColumn(
        options=list(_OUTCOME_COLORS), color=list(_OUTCOME_COLORS.values()), width=90
    )
    next_try = st.column_config.DatetimeColumn(format="HH:mm:ss", width=90)
    _table(frame, {"Outcome": pills, "Next try": next_try, "Try": st.column_config.NumberColumn(width=50)})


def _table(frame: pd.DataFrame, columns: Mapping[str, Any], *, row_px: int | None = None) -> None:
    """Draw a table whose times are the reader's; in higher rows texts go on in a second line."""
    zone = parts.reader_zone()
    for name in ("When", "Next try"):
        if name in frame:
            frame[name] = pd.to_datetime(frame[name], utc=True).dt.tz_convert(zone)
    when = st.column_config.DatetimeColumn(format="DD MMM HH:mm:ss", width=130)
    height: int | Literal["content"] = "content" if len(frame) <= 10 else _TABLE_PX
    st.dataframe(
        frame,
        hide_index=True,
        placeholder=fmt.MISSING,
        column_config={"When": when, **columns},
        height=height,
        row_height=row_px,
    )
