"""What a project, or who has a token, may have waiting and running, and use in a day."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from schema.values import Record

QuotaName = Literal["waiting_runs", "running_runs", "gpu_hours", "energy_wh", "co2_g"]
Owner = Literal["project", "token"]
_Count = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
_Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False, strict=True)]


class QuotaLimits(Record):
    """The most there may be; null is no limit. Days are those of UTC."""

    waiting_runs: _Count | None = Field(None, description="runs that wait, are deferred or paused")
    running_runs: _Count | None = Field(None, description="runs at work; further ones wait for their turn")
    gpu_hours: _Amount | None = Field(
        None, description="training time × GPUs in a day; a run without a GPU counts as one"
    )
    energy_wh: _Amount | None = Field(None, description="measured or estimated energy in a day")
    co2_g: _Amount | None = Field(None, description="CO₂ in a day")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is limited."""
        return all(value is None for value in self.model_dump().values())


class QuotaUse(Record):
    """What counts towards the limits now, and what was used today (UTC)."""

    waiting_runs: int = 0
    running_runs: int = 0
    gpu_hours: float = 0.0
    energy_wh: float = 0.0
    co2_g: float = 0.0


class Hold(NamedTuple):
    """A quota that keeps a waiting run from being claimed: its owner has as many running as it may."""

    owner: Owner
    name: str
    most: int
    """How many may run."""
    running: tuple[str, ...] = ()
    """The ids of those that do; empty where they are too many to look at."""
    frees_at: datetime | None = None
    """When the first of them is expected to end; None where that is not known."""


class Quota(Record):
    """The quota of a project or a token."""

    owner: Owner
    name: str = Field(description="of the project, or the id of the token")
    limits: QuotaLimits
    used: QuotaUse


class QuotasReply(Record):
    """All quotas, by owner and name."""

    quotas: list[Quota]
