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
class Place:
    """Behind a run (score, id), or before the first one, in an index: 0 of real runs, 1 of simulated ones."""

    index: int = 0
    after: tuple[str, str] | None = None


@dataclass(frozen=True)
class Listing:
    """Which list is walked; a cursor is good for the list that gave it only."""

    sort: SortField
    order: Order
    status: Status | None

    @property
    def is_ranked(self) -> bool:
        """True when simulated runs come after all real ones, in an index of their own."""
        return self.sort is not SortField.TIME_ADDED

    def encode_cursor(self, place: Place) -> str:
        """Write a place."""
        text = json.dumps([*self._name(), place.index, *(place.after or ())], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def decode_cursor(self, cursor: str) -> Place:
        """Read a place. Raises InvalidInput on anything this list did not give out."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            sort, order, status, index, *after = json.loads(
                base64.b64decode(padded, altchars=b"-_", validate=True)
            )
            if [sort, order, status] != self._name() or type(index) is not int:
                raise ValueError("a cursor of another list")
            if not 0 <= index <= self.is_ranked:
                raise ValueError("an index this list has not")
            return Place(index, _checked(*after) if after else None)
        except (ValueError, TypeError, RecursionError, binascii.Error) as error:
            raise InvalidInput(
                "The cursor does not belong to this list. Start again without one, and keep sort, order and "
                "status the same from page to page.",
                details=[FieldError("cursor", "does not belong to this list")],
            ) from error

    def _name(self) -> list[str]:
        return [self.sort.value, self.order, self.status.value if self.status else ""]


def _checked(score: str, run_id: str) -> tuple[str, str]:
    if not re.fullmatch(RUN_ID_PATTERN, run_id) or math.isnan(float(score)):
        raise ValueError("not the place of a run")
    return repr(float(score)), run_id
