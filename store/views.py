"""The views of the list of runs that people keep."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from errors import Conflict, NotFound
from schema.marks import MAX_VIEWS, SavedView
from store.connection import Argument, Connection
from store.keys import Keys

log = logging.getLogger(__name__)

_IS_THERE: Final = 0


class Views:
    """Saved views by their names, at most MAX_VIEWS."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def list(self) -> Sequence[SavedView]:
        """Return all views, by name; one of another version that this one cannot read is left out."""
        stored: dict[str, str] = self._connection.call("HGETALL", self._keys.of("views"))
        views = [view for name, text in stored.items() if (view := _decode(name, text)) is not None]
        return sorted(views, key=lambda view: (view.name.lower(), view.name))

    def put(self, view: SavedView, *, replace: bool) -> None:
        """Keep a view. (put_view.lua)

        Raises Conflict when there is one of that name that is not to be replaced, or there are too many.
        """
        arguments: list[Argument] = [view.name, view.model_dump_json(), MAX_VIEWS, int(replace)]
        kept = self._connection.run("put_view", [self._keys.of("views")], arguments)
        if kept == _IS_THERE:
            raise Conflict(f"There is a view {view.name!r} already. Take another name, or replace it.")
        if kept < 0:
            raise Conflict(f"There are {MAX_VIEWS} views, and no more are kept. Delete one first.")

    def delete(self, name: str) -> None:
        """Forget a view. Raises NotFound when there is none of that name."""
        if not self._connection.call("HDEL", self._keys.of("views"), name):
            raise NotFound(f"There is no view {name[:80]!r}. GET /api/views lists those there are.")


def _decode(name: str, text: str) -> SavedView | None:
    try:
        return SavedView.model_validate_json(text, extra="ignore")
    except ValidationError as error:
        log.warning("a view cannot be read view=%r error=%s", name, error)
        return None
