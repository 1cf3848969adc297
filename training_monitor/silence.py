"""What takes the place of a log that takes nothing any more."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)


class Silence:
    """Takes anything, keeps nothing, and says so once."""

    def __init__(self, reason: str, *, level: int = logging.WARNING) -> None:
        """Take why."""
        self._reason, self._level = reason, level
        self._has_said = False

    def add(self, *_ignored: Any) -> None:
        """Say why nothing is logged, unless that was said."""
        if not self._has_said:
            self._has_said = True
            log.log(self._level, "Not logged: %s", self._reason)
