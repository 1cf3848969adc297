"""Alerts: the rules, how they stand, what they raised, and what each channel has still to be told."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from errors import Conflict, NotFound
from schema import Alert, AlertRule, Batch, ChannelState, Delivery, Look, RuleState
from schema.alerts import MAX_RULES
from store.connection import Argument, Connection
from store.encoding import to_text, to_time
from store.keys import Keys

log = logging.getLogger(__name__)

KEPT_ALERTS: Final = 1_000
KEPT_DELIVERIES: Final = 1_000
# Of one channel and urgency; more are only counted.
MAX_WAITING: Final = 500
MAX_TOLD_AT_ONCE: Final = MAX_WAITING
# Alerts of a channel that nobody sends to any more go away by themselves.
KEPT_S: Final = 7 * 24 * 3600


class Alerts:
    """Everything about alerts that outlives a program."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self._unreadable: frozenset[str] = frozenset()

    def list_rules(self) -> Sequence[AlertRule]:
        """Return all rules, by name; one that another version wrote and this one cannot read is left out."""
        stored: dict[str, str] = self._connection.call("HGETALL", self._keys.of("alert_rules"))
        rules = [rule for rule in map(_decode_rule, stored.values()) if rule is not None]
        return sorted(rules, key=lambda rule: (rule.name.lower(), rule.rule_id))

    def get_rule(self, rule_id: str) -> AlertRule:
        """Return a rule. Raises NotFound when there is none of that id."""
        stored: str | None = self._connection.call("HGET", self._keys.of("alert_rules"), rule_id)
        rule = None if stored is None else _decode_rule(stored)
        if rule is None:
            raise _no_rule(rule_id)
        return rule

    def has_rules(self) -> bool:
        """Tell whether there is any rule."""
        count: int = self._connection.call("HLEN", self._keys.of("alert_rules"))
        return count > 0

    def put_rule(self, rule: AlertRule, *, is_new: bool) -> None:
        """Keep a rule. (put_rule.lua)

        Raises Conflict when there are MAX_RULES already, NotFound when one to be changed does not exist.
        """
        arguments: list[Argument] = [rule.rule_id, to_text(rule.model_dump_json()), MAX_RULES, int(is_new)]
        kept: int = self._connection.run("put_rule", [self._keys.of("alert_rules")], arguments)
        if kept < 0:
            raise Conflict(f"There are {MAX_RULES} rules already. Delete one that is not needed.")
        if kept == 0:
            raise _no_rule(rule.rule_id)

    def delete_rule(self, rule_id: str) -> None:
        """Forget a rule; what it raised is still told. Raises NotFound when there is none of that id."""
        gone: int = self._connection.call("HDEL", self._keys.of("alert_rules"), rule_id)
        if not gone:
            raise _no_rule(rule_id)

    def look(self) -> Look:
        """Return what the next round of the rules begins with.

        A state that another version wrote and this one cannot read is left out: its condition begins anew.
        """
        progress, states = self._connection.call_many(
            [("HGETALL", self._keys.of("alert_progress")), ("HGETALL", self._keys.of("alert_states"))]
        )
        readable: dict[str, RuleState] = {}
        unreadable: dict[str, ValidationError] = {}
        for field, text in states.items():
            try:
                readable[field] = RuleState.model_validate_json(text, extra="ignore")
            except ValidationError as error:
                unreadable[field] = error
        self._note_unreadable(unreadable)
        return Look.model_validate({"number": 0, **progress, "states": readable}, extra="ignore")

    def _note_unreadable(self, states: Mapping[str, ValidationError]) -> None:
        """Say in the log which states cannot be read; not again each second."""
        for field in states.keys() - self._unreadable:
            log.warning("an alert state is left out: it cannot be read: %s", field, exc_info=states[field])
        self._unreadable = frozenset(states)

    def commit(
        self, look: Look, cursor: str, changes: Mapping[str, RuleState | None], alerts: Iterable[Alert]
    ) -> bool:
        """Take over what a round found: each event is looked at once, and each alert raised once.

        Atomic (raise_alerts.lua). False, and nothing is changed, when another round was taken over since
        ``look``. A channel keeps MAX_WAITING alerts of each urgency; more are counted in its ``left_out``.
        """
        states: list[Argument] = []
        for field, state in changes.items():
            states += [field, "" if state is None else state.model_dump_json(exclude_defaults=True)]
        raised: list[Argument] = []
        for alert in alerts:
            sign = "+" if alert.is_urgent else ""
            names = " ".join(f"{sign}{channel}" for channel in dict.fromkeys(alert.channels))
            raised += [to_text(alert.model_dump_json(exclude_defaults=True)), names]
        is_taken: int = self._connection.run(
            "raise_alerts",
            [self._keys.of(name) for name in ("alert_progress", "alert_states", "alerts_raised")],
            [look.number, cursor, KEPT_ALERTS, MAX_WAITING, KEPT_S, len(states) // 2, *states, *raised],
        )
        return bool(is_taken)

    def list_raised(self, limit: int) -> Sequence[Alert]:
        """Return the newest alerts, newest first."""
        entries = self._connection.read_stream(self._keys.of("alerts_raised"), after=None, limit=limit)
        return [Alert.model_validate_json(fields["alert"], extra="ignore") for _, fields in reversed(entries)]

    def list_deliveries(self, limit: int) -> Sequence[Delivery]:
        """Return the newest deliveries, newest first."""
        entries = self._connection.read_stream(self._keys.of("alert_deliveries"), after=None, limit=limit)
        return [
            Delivery.model_validate_json(fields["delivery"], extra="ignore").model_copy(
                update={"delivery_id": entry_id}
            )
            for entry_id, fields in reversed(entries)
        ]

    def note_delivery(self, delivery: Delivery) -> None:
        """Add to the log what is no alert: a test."""
        text = to_text(delivery.model_dump_json(exclude_defaults=True))
        key = self._keys.of("alert_deliveries")
        self._connection.call("XADD", key, "MAXLEN", "~", KEPT_DELIVERIES, "*", "delivery", text)

    def describe_channels(self, names: Sequence[str]) -> dict[str, ChannelState]:
        """Return what waits for each of the channels, in one round trip."""
        fields = ("left_out", "failures", "retry_at")
        commands: list[Sequence[Argument]] = []
        for name in names:
            commands += [
                ("LLEN", self._keys.of("alert_urgent", name)),
                ("LLEN", self._keys.of("alert_waiting", name)),
                ("HMGET", self._keys.of("alert_channel", name), *fields),
            ]
        replies = self._connection.call_many(commands)
        return {
            name: ChannelState(
                name=name,
                waiting=replies[3 * place] + replies[3 * place + 1],
                left_out=int(replies[3 * place + 2][0] or 0),
                failures=int(replies[3 * place + 2][1] or 0),
                retry_at=_time(replies[3 * place + 2][2]),
            )
            for place, name in enumerate(names)
        }

    def take(
        self, channel: str, *, hold_s: float, burst: int, refill_s: float, is_quiet: bool
    ) -> Batch | None:
        """Hold a channel for one message of all that waits for it, the urgent ones first.

        Atomic (take_alerts.lua). None when there is nothing to tell now: nothing waits, another program has
        the channel, a failed try is not over long enough, or ``burst`` messages and one per ``refill_s`` are
        used up. is_quiet: only urgent ones. The hold ends by itself after ``hold_s``; then another program
        may tell the same again.
        """
        token = secrets.token_hex(8)
        quiet = int(is_quiet)
        reply = self._connection.run(
            "take_alerts",
            [self._keys.of(name, channel) for name in ("alert_channel", "alert_urgent", "alert_waiting")],
            [token, hold_s, MAX_TOLD_AT_ONCE, burst, refill_s, quiet, KEPT_S],
        )
        if reply is None:
            return None
        urgency, left_out, failures, *alerts = reply
        return Batch(
            channel=channel,
            token=token,
            is_urgent=urgency == "urgent",
            left_out=left_out,
            failures=failures,
            alerts=tuple(Alert.model_validate_json(text, extra="ignore") for text in alerts),
        )

    def settle(self, batch: Batch, delivery: Delivery, *, retry_in_s: float | None) -> bool:
        """Note how a try ended, and let go of the channel. (settle_alerts.lua)

        retry_in_s: when a failed try is repeated; None after a success, which removes the alerts, as giving
        them up does. False when the channel was no longer held: the log has it, and nothing else changes.
        """
        is_kept = delivery.outcome == "retrying"
        arguments: list[Argument] = [
            batch.token,
            0 if is_kept else len(batch.alerts),
            0 if is_kept else batch.left_out,
            "" if retry_in_s is None else retry_in_s,
            int(not is_kept),
            KEPT_DELIVERIES,
            to_text(delivery.model_dump_json(exclude_defaults=True)),
        ]
        source = "alert_urgent" if batch.is_urgent else "alert_waiting"
        keys = [self._keys.of(name, batch.channel) for name in ("alert_channel", source)]
        is_held: int = self._connection.run(
            "settle_alerts", [*keys, self._keys.of("alert_deliveries")], arguments
        )
        return bool(is_held)


def _decode_rule(text: str) -> AlertRule | None:
    try:
        return AlertRule.model_validate_json(text, extra="ignore")
    except ValidationError as error:
        log.warning("an alert rule is left out: it cannot be read: %s", error.errors()[0]["msg"])
        return None


def _no_rule(rule_id: str) -> NotFound:
    return NotFound(f"There is no alert rule {rule_id[:80]!r}. GET /api/alerts/rules lists those that exist.")


def _time(seconds: str | None) -> datetime | None:
    return None if seconds is None else to_time(seconds)
