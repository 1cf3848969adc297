"""Alerts: rules on runs and workers, and the channels that are told."""

from alerts.alerting import Alerting
from alerts.channels import Channels
from alerts.sending import can_send

__all__ = ["Alerting", "Channels", "can_send"]
