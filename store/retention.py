"""The retention policies of projects."""

from __future__ import annotations

from collections.abc import Mapping

from schema import RetentionPolicy
from store.connection import Connection
from store.keys import Keys


class Retention:
    """One policy to a project."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def get(self, project: str) -> RetentionPolicy:
        """Return the policy of a project; one that deletes nothing where nobody set one."""
        stored: str | None = self._connection.call("HGET", self._keys.of("retention"), project)
        return (
            RetentionPolicy()
            if stored is None
            else RetentionPolicy.model_validate_json(stored, extra="ignore")
        )

    def put(self, project: str, policy: RetentionPolicy) -> None:
        """Replace the policy of a project."""
        self._connection.call("HSET", self._keys.of("retention"), project, policy.model_dump_json())

    def list_active(self) -> Mapping[str, RetentionPolicy]:
        """Return the policies that are applied once a day, by project."""
        stored: Mapping[str, str] = self._connection.call("HGETALL", self._keys.of("retention"))
        read = {
            project: RetentionPolicy.model_validate_json(text, extra="ignore")
            for project, text in stored.items()
        }
        return {project: policy for project, policy in sorted(read.items()) if policy.is_active}
