"""Alert rules, what they raised, the channels and a test of them, and the log of deliveries."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from api.body import reply
from api.state import alerting, db
from errors import FieldError, InvalidInput
from schema import (
    AlertRule,
    AlertsReply,
    ChannelReply,
    ChannelsReply,
    DeliveriesReply,
    NoBody,
    Record,
    RuleRequest,
    RulesReply,
    TestReply,
)

alerts = APIBlueprint("alerts", __name__, tag="Alerts")

# Less than a client waits for an answer.
TEST_TIMEOUT_S: Final = 4.0


class NewestQuery(Record):
    """How many."""

    limit: int = Field(100, ge=1, le=1000, description="the newest ones")


@alerts.get("/api/alerts")
@alerts.input(NewestQuery, location="query", arg_name="query")
@alerts.output(AlertsReply)
def list_alerts(query: NewestQuery) -> Response:
    """Answer what the rules raised, newest first."""
    return reply(AlertsReply(alerts=list(db().alerts.list_raised(query.limit))))


@alerts.get("/api/alerts/deliveries")
@alerts.input(NewestQuery, location="query", arg_name="query")
@alerts.output(DeliveriesReply)
def list_deliveries(query: NewestQuery) -> Response:
    """Answer what became of telling the channels, newest first."""
    return reply(DeliveriesReply(deliveries=list(db().alerts.list_deliveries(query.limit))))


@alerts.get("/api/alerts/channels")
@alerts.output(ChannelsReply)
def list_channels() -> Response:
    """Answer the channels of the backend's settings, without their addresses, and what waits for them."""
    own = alerting()
    states = db().alerts.describe_channels(own.channels.names)
    shown = [
        ChannelReply(**state.model_dump(), address=own.channels.get(name).address)
        for name, state in states.items()
    ]
    return reply(
        ChannelsReply(
            channels=shown, is_enabled=own.is_enabled, quiet_hours=own.quiet_hours, is_quiet=own.is_quiet()
        )
    )


@alerts.post("/api/alerts/channels/<name>/test")
@alerts.input(NoBody, arg_name="body")
@alerts.output(TestReply)
def check_channel(name: str, body: NoBody) -> Response:  # noqa: ARG001 - it is empty
    """Send a test message and answer how that ended, after 4 s at most. 409 while one is under way."""
    delivery = alerting().test(name, timeout_s=TEST_TIMEOUT_S)
    if delivery is None:
        return reply(TestReply(outcome="unanswered"))
    outcome = "sent" if delivery.outcome == "sent" else "failed"
    return reply(TestReply(outcome=outcome, reason=delivery.reason))


@alerts.get("/api/alerts/rules")
@alerts.output(RulesReply)
def list_rules() -> Response:
    """Answer all rules, by name."""
    return reply(RulesReply(rules=list(db().alerts.list_rules())))


@alerts.post("/api/alerts/rules")
@alerts.input(RuleRequest, arg_name="body")
@alerts.output(AlertRule, status_code=HTTPStatus.CREATED)
def add_rule(body: RuleRequest) -> Response:
    """Keep a rule. It raises an alert for what happens from now on. 409 when there are 200 already."""
    _check_channels(body.channels)
    rule = AlertRule(**dict(body), rule_id=uuid.uuid4().hex, active_since=db().now())
    db().alerts.put_rule(rule, is_new=True)
    return reply(rule, HTTPStatus.CREATED)


@alerts.get("/api/alerts/rules/<rule_id>")
@alerts.output(AlertRule)
def get_rule(rule_id: str) -> Response:
    """Answer a rule."""
    return reply(db().alerts.get_rule(rule_id))


@alerts.post("/api/alerts/rules/<rule_id>")
@alerts.input(RuleRequest, arg_name="body")
@alerts.output(AlertRule)
def change_rule(rule_id: str, body: RuleRequest) -> Response:
    """Replace a rule as a whole. With another condition, or enabled again, it begins anew."""
    old = db().alerts.get_rule(rule_id)
    _check_channels([name for name in body.channels if name not in old.channels])
    begins_anew = body.condition != old.condition or (body.is_enabled and not old.is_enabled)
    since = db().now() if begins_anew else old.active_since
    rule = AlertRule(**dict(body), rule_id=rule_id, active_since=since)
    db().alerts.put_rule(rule, is_new=False)
    return reply(rule)


@alerts.delete("/api/alerts/rules/<rule_id>")
@alerts.output(AlertRule)
def delete_rule(rule_id: str) -> Response:
    """Forget a rule and answer what it was; what it raised is still told."""
    rule = db().alerts.get_rule(rule_id)
    db().alerts.delete_rule(rule_id)
    return reply(rule)


def _check_channels(names: Sequence[str]) -> None:
    """Raise InvalidInput for a channel that the settings do not have."""
    known = alerting().channels.names
    unknown = [name for name in names if name not in known]
    if unknown:
        listed = ", ".join(known) or "none, see docs/alerts.md"
        reason = f"{unknown[0]!r} is no channel of the backend's settings; those are: {listed}"
        raise InvalidInput(f"The rule cannot be kept: {reason}.", details=[FieldError("channels", reason)])
