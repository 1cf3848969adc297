"""How GPUs stand."""

from __future__ import annotations

from pydantic import Field

from schema.values import Finite, Fraction, NonNegative, Record


class GpuState(Record):
    """How a worker's GPU stands; None where its driver does not say. Wattle changes none of it."""

    name: str
    memory_used_bytes: int | None = Field(None, ge=0)
    memory_total_bytes: int | None = Field(None, ge=0)
    utilisation: Fraction | None = Field(None, description="share of the last second in which it computed")
    power_w: NonNegative | None = None
    power_limit_w: NonNegative | None = Field(None, description="the limit that is enforced now")
    sm_clock_mhz: NonNegative | None = None
    temperature_c: Finite | None = None
    uuid: str | None = None
    index: int | None = Field(None, ge=0, description="N of cuda:N in its worker")
