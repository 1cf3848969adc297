"""Which indexes make up a sorted list, and its cursor, opaque to whoever sends it back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from errors import FieldError, InvalidInput
from schema import RUN_ID_PATTERN, SortField, Status
from store.keys import Keys

Order = Literal["asc", "desc"]
# The indexes that are walked as one, in the order of their scores.
Stage = list[str]
_RANKED: Final = ("by", "blank", "simulated_by", "simulated_blank")


def keys_of_status(keys: Keys, status: Status) -> Stage:
    """Return the indexes that together hold each run of a status once."""
    return [
        keys.of("by", SortField.TIME_ADDED, status),
        keys.of("blank", status),
        keys.of("simulated_blank", status),
    ]


@dataclass(frozen=True)
class Place:
    """Behind a run (score, id), or before the first one, in a stage of a list."""

    stage: int = 0
    after: tuple[str, str] | None = None


@dataclass(frozen=True)
class Listing:
    """Which list is walked; a cursor is good for the list that gave it only."""

    sort: SortField
    order: Order
    status: Status | None
    name: str | None = None
    """Only external runs of that name; such a list is by time_added alone."""

    def __post_init__(self) -> None:
        """Refuse an order that there is no index for."""
        if self.name is not None and self.is_ranked:
            raise InvalidInput(
                "Runs of one name are listed by time_added only.",
                details=[FieldError("sort", "is time_added")],
            )

    @property
    def is_ranked(self) -> bool:
        """True when simulated runs come after all real ones, and blank ones after those of their kind."""
        return self.sort is not SortField.TIME_ADDED

    def stages(self, keys: Keys) -> list[Stage]:
        """Return what is walked one after the other."""
        if self.name is not None:
            return [[keys.of("named", name_key(self.name))]]
        if not self.is_ranked:
            return [keys_of_status(keys, self.status) if self.status else [keys.of("by_time")]]
        statuses = [self.status] if self.status else list(Status)
        return [
            [keys.of(name, self.sort, status) for status in statuses]
            if name.endswith("by")
            else [keys.of(name, status) for status in statuses]
            for name in _RANKED
        ]

    def encode_cursor(self, place: Place) -> str:
        """Write a place."""
        text = json.dumps([*self._name(), place.stage, *(place.after or ())], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def decode_cursor(self, cursor: str) -> Place:
        """Read a place. Raises InvalidInput on anything this list did not give out."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            sort, order, status, stage, *after = json.loads(
                base64.b64decode(padded, altchars=b"-_", validate=True)
            )
            if [sort, order, status] != self._name() or type(stage) is not int:
                raise ValueError("a cursor of another list")
            if not 0 <= stage < (len(_RANKED) if self.is_ranked else 1):
                raise ValueError("a stage this list has not")
            return Place(stage, _checked(*after) if after else None)
        except (ValueError, TypeError, RecursionError, binascii.Error) as error:
            raise InvalidInput(
                "The cursor does not belong to this list. Start again without one, and keep sort, order and "
                "status the same from page to page.",
                details=[FieldError("cursor", "does not belong to this list")],
            ) from error

    def _name(self) -> list[str]:
        status = self.status.value if self.status else ""
        return [
            self.sort.value,
            self.order,
            status if self.name is None else f"{status} {name_key(self.name)}",
        ]


def name_key(name: str) -> str:
    """Return what the runs of a name are kept under; scripts compute it, too."""
    return hashlib.sha1(name.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _checked(score: str, run_id: str) -> tuple[str, str]:
    if not re.fullmatch(RUN_ID_PATTERN, run_id) or math.isnan(float(score)):
        raise ValueError("not the place of a run")
    return repr(float(score)), run_id
