"""The part of the client that is about the archive."""

from __future__ import annotations

from collections.abc import Iterator

from client.connection import Connection, segment
from schema import RunReply
from schema.archive import ArchiveReply, ArchiveRequest, ImportedRuns


class ArchiveCalls(Connection):
    """Runs that ended long ago."""

    def get_archive(self) -> ArchiveReply:
        """Return what is in the archive, and when more will be."""
        return self._read(ArchiveReply, self._send("GET", "/api/archive"))

    def archive_now(self, *, older_than_days: float | None = None) -> ArchiveReply:
        """Begin to move runs to the archive that ended so long ago; as many days as ever without a number."""
        request = ArchiveRequest(older_than_days=older_than_days)
        body = request.model_dump(mode="json", exclude_none=True)
        return self._read(ArchiveReply, self._send("POST", "/api/archive", json=body, expected=(202,)))

    def restore_run(self, iid: str) -> RunReply:
        """Bring a run back from the archive, so that it can be changed; else return it as it is."""
        return self._read(RunReply, self._send("POST", f"/api/runs/{segment(iid)}/restore", json={}))

    def import_runs(self, pieces: Iterator[bytes]) -> ImportedRuns:
        """Take in an export, whose bytes are sent as they come. It takes as long as it takes."""
        return self._read(ImportedRuns, self._upload("/api/import", pieces, "application/x-tar"))
