"""The part of the client that is about alerts."""

from __future__ import annotations

from client.connection import Connection, segment
from schema import (
    AlertRule,
    AlertsReply,
    ChannelsReply,
    DeliveriesReply,
    RuleRequest,
    RulesReply,
    TestReply,
)


class AlertCalls(Connection):
    """Rules, what they raised, channels and the log of deliveries."""

    def list_alerts(self, limit: int = 100) -> AlertsReply:
        """Return what alert rules raised, newest first."""
        return self._read(AlertsReply, self._send("GET", "/api/alerts", params={"limit": str(limit)}))

    def list_deliveries(self, limit: int = 100) -> DeliveriesReply:
        """Return what became of telling channels, newest first."""
        params = {"limit": str(limit)}
        return self._read(DeliveriesReply, self._send("GET", "/api/alerts/deliveries", params=params))

    def list_channels(self) -> ChannelsReply:
        """Return the channels for alerts, without their addresses."""
        return self._read(ChannelsReply, self._send("GET", "/api/alerts/channels"))

    def send_test(self, channel: str) -> TestReply:
        """Send a channel a test message and return how that ended, after 4 s at most."""
        path = f"/api/alerts/channels/{segment(channel)}/test"
        return self._read(TestReply, self._send("POST", path, json={}))

    def list_rules(self) -> RulesReply:
        """Return the alert rules, by name."""
        return self._read(RulesReply, self._send("GET", "/api/alerts/rules"))

    def add_rule(self, rule: RuleRequest) -> AlertRule:
        """Keep an alert rule for what happens from now on."""
        return self._read(
            AlertRule, self._send("POST", "/api/alerts/rules", json=rule.model_dump(mode="json"))
        )

    def change_rule(self, rule_id: str, rule: RuleRequest) -> AlertRule:
        """Replace an alert rule as a whole."""
        path = f"/api/alerts/rules/{segment(rule_id)}"
        return self._read(AlertRule, self._send("POST", path, json=rule.model_dump(mode="json")))

    def delete_rule(self, rule_id: str) -> AlertRule:
        """Forget an alert rule and return what it was."""
        headers = {"Content-Type": "application/json"}
        path = f"/api/alerts/rules/{segment(rule_id)}"
        return self._read(AlertRule, self._send("DELETE", path, headers=headers))
