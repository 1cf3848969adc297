"""What records are made of: the frozen, closed base and the kinds of numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ZONE_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z_-]{0,31}$"

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Zone = Annotated[str, StringConstraints(pattern=ZONE_PATTERN)]


class Record(BaseModel):
    """A frozen, closed record."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Marked(Record):
    """What people have marked."""

    starred: bool = Field(False, description="somebody gave it a star")
