"""The part of the client that is about the files of runs."""

from __future__ import annotations

from client.connection import Connection, segment
from schema import ArtifactsReply, Kind


class ArtifactCalls(Connection):
    """Artifacts: files of runs, in versions."""

    def list_artifacts(
        self,
        iid: str,
        *,
        kind: Kind | None = None,
        name: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ArtifactsReply:
        """Return a page of the artifacts of a run, newest first."""
        query = {"kind": kind, "name": name, "limit": str(limit), "cursor": cursor}
        given = {key: value for key, value in query.items() if value is not None}
        path = f"/api/artifacts/{segment(iid)}"
        return self._read(ArtifactsReply, self._send("GET", path, params=given))

    def fetch_artifact(self, iid: str, name: str, version: int | None = None) -> bytes:
        """Return the bytes of an artifact, whole; without a version those of the newest."""
        params = {} if version is None else {"version": str(version)}
        return self._send("GET", self._artifact(iid, name), params=params).content

    def delete_artifact(self, iid: str, name: str, version: int) -> None:
        """Delete a version of an artifact for good."""
        headers = {"Content-Type": "application/json"}
        path = self._artifact(iid, name)
        self._send("DELETE", path, params={"version": str(version)}, headers=headers, expected=(204,))

    def _artifact(self, iid: str, name: str) -> str:
        return f"/api/artifacts/{segment(iid)}/" + "/".join(map(segment, name.split("/")))
