"""The part of the client that is about what is said of a run: its tags and notes."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import JsonValue

from client.connection import Connection, segment
from schema import Note, NotesReply, RunReply


class WordCalls(Connection):
    """Tags and notes of any run."""

    def set_tags(self, iid: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> RunReply:
        """Add and remove tags of a run; key=value takes the place of another tag of that key."""
        path = f"/api/experiments/{segment(iid)}/tags"
        body: dict[str, JsonValue] = {"add": list(add), "remove": list(remove)}
        return self._read(RunReply, self._send("POST", path, json=body))

    def list_notes(self, iid: str) -> NotesReply:
        """Return the notes of a run, oldest first."""
        return self._read(NotesReply, self._send("GET", f"/api/experiments/{segment(iid)}/notes"))

    def add_note(self, iid: str, text: str) -> Note:
        """Add a note to a run; a call that failed may have added it all the same."""
        path = f"/api/experiments/{segment(iid)}/notes"
        return self._read(Note, self._send("POST", path, json={"text": text}))

    def delete_note(self, iid: str, note_id: str) -> None:
        """Delete a note of a run for good."""
        headers = {"Content-Type": "application/json"}
        path = f"/api/experiments/{segment(iid)}/notes/{segment(note_id)}"
        self._send("DELETE", path, headers=headers, expected=(204,))
