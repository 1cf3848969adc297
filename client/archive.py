"""The part of the client that is about the archive."""

from __future__ import annotations

from collections.abc import Iterator

from client.connection import Connection, segment
from schema import RunReply
from schema.archive import ArchiveReply, ImportedRuns


class ArchiveCalls(Connection):
    """Runs that ended long ago."""

    def get_archive(self) -> ArchiveReply:
        """Return what is in the archive, and when more will be."""
        return self._read(ArchiveReply, self._send("GET", "/api/archive"))

    def restore_run(self, iid: str) -> RunReply:
        """Bring a run back from the archive, so that it can be changed; else return it as it is."""
        return self._read(RunReply, self._send("POST", f"/api/runs/{segment(iid)}/restore", json={}))

    def import_runs(self, pieces: Iterator[bytes]) -> ImportedRuns:
        """Take in an export, whose bytes are sent as they come. It takes as long as it takes."""
        return self._read(ImportedRuns, self._upload("/api/import", pieces, "application/x-tar"))
