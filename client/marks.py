"""The part of the client that is about stars, saved views, and runs that match a search."""

from __future__ import annotations

from pydantic import JsonValue

from client.connection import Connection, segment
from schema import Note, RunReply, Status
from schema.marks import SavedView, ViewRequest, ViewsReply
from schema.replies import SearchReply


class MarkCalls(Connection):
    """What people mark runs with, and the views they keep."""

    def search_runs(self, q: str, *, status: Status | None = None) -> SearchReply:
        """Return the ids of all runs that match a search, the newest first, at most 10,000."""
        params = {"q": q} | ({} if status is None else {"status": status.value})
        return self._read(SearchReply, self._send("GET", "/api/search", params=params))

    def set_star(self, iid: str, *, is_starred: bool) -> RunReply:
        """Give a run a star, or take it away."""
        body: dict[str, JsonValue] = {"starred": is_starred}
        return self._read(RunReply, self._send("POST", f"/api/runs/{segment(iid)}/star", json=body))

    def edit_note(self, iid: str, note_id: str, text: str) -> Note:
        """Replace the text of a note."""
        path = f"/api/experiments/{segment(iid)}/notes/{segment(note_id)}"
        return self._read(Note, self._send("POST", path, json={"text": text}))

    def list_views(self) -> ViewsReply:
        """Return the saved views of the list of runs, by name."""
        return self._read(ViewsReply, self._send("GET", "/api/views"))

    def save_view(self, view: ViewRequest) -> SavedView:
        """Keep a view. Refused with 409 where there is one of that name that it does not replace."""
        return self._read(
            SavedView, self._send("POST", "/api/views", json=view.model_dump(mode="json"), expected=(201,))
        )

    def delete_view(self, name: str) -> None:
        """Forget a view."""
        headers = {"Content-Type": "application/json"}
        self._send("DELETE", f"/api/views/{segment(name)}", headers=headers, expected=(204,))
