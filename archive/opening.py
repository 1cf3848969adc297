"""The archive as the settings name it."""

from __future__ import annotations

from archive.database import Database
from archive.points import PointFiles
from archive.vault import Archive
from settings import Settings


def open_archive(settings: Settings, *, layout: int) -> Archive:
    """Return the archive; nothing is opened or made before it is used. Raises InvalidInput on a wrong URL."""
    return Archive(
        Database(settings.effective_database_url), PointFiles(settings.effective_archive_url), layout=layout
    )
