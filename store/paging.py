"""The cursor of a sorted list: opaque to whoever sends it back."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass
from typing import Literal

from errors import FieldError, InvalidInput
from schema import RUN_ID_PATTERN, SortField, Status

Order = Literal["asc", "desc"]


@dataclass(frozen=True)
class Listing:
    """Which list is walked; a cursor is good for the list that gave it only."""

    sort: SortField
    order: Order
    status: Status | None

    def encode_cursor(self, score: str, run_id: str) -> str:
        """Write the place behind a run."""
        text = json.dumps([*self._name(), score, run_id], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def decode_cursor(self, cursor: str) -> tuple[str, str]:
        """Read score and run_id. Raises InvalidInput on anything this list did not give out."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            *name, score, run_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            if name != self._name() or not re.fullmatch(RUN_ID_PATTERN, run_id) or math.isnan(float(score)):
                raise ValueError("a cursor of another list")
        except (ValueError, TypeError, RecursionError, binascii.Error) as error:
            raise InvalidInput(
                "The cursor does not belong to this list. Start again without one, and keep sort, order and "
                "status the same from page to page.",
                details=[FieldError("cursor", "does not belong to this list")],
            ) from error
        return repr(float(score)), run_id

    def _name(self) -> list[str]:
        return [self.sort.value, self.order, self.status.value if self.status else ""]
