"""The part of the client that is about the retention of weights."""

from __future__ import annotations

from client.connection import Connection, segment
from schema import RetentionPlan, RetentionPolicy, RetentionReply


class RetentionCalls(Connection):
    """A policy to a project."""

    def get_retention(self, project: str) -> RetentionPolicy:
        """Return the policy of a project."""
        return self._read(RetentionPolicy, self._send("GET", _path(project)))

    def set_retention(self, project: str, policy: RetentionPolicy) -> RetentionPolicy:
        """Replace the policy of a project."""
        body = policy.model_dump(mode="json")
        return self._read(RetentionPolicy, self._send("PUT", _path(project), json=body))

    def plan_retention(self, project: str) -> RetentionPlan:
        """Return what the policy would delete now; nothing is deleted."""
        return self._read(RetentionPlan, self._send("POST", f"{_path(project)}/plan", json={}))

    def apply_retention(self, project: str, token: str) -> RetentionReply:
        """Delete exactly what the plan of that token named. Refused with 409 when that has changed."""
        return self._read(
            RetentionReply, self._send("POST", f"{_path(project)}/apply", json={"token": token})
        )


def _path(project: str) -> str:
    return f"/api/projects/{segment(project)}/retention"
