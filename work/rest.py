"""What an attempt used besides everything that has a name of its own: loading, starting, saving, waiting."""

from __future__ import annotations

from datetime import datetime

from schema import EpochResult, ExtraCost
from work.messages import Spent
from work.metering import Charging, SpanMeter, cost_of

NAME = "rest"


class Rest:
    """The whole attempt, by one reading of the same counter, less what is recorded by itself."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._named_kwh: float | None = 0.0
        self._named_s = 0.0

    def note_epoch(self, result: EpochResult) -> None:
        """Leave out an epoch; the part that an earlier attempt trained is not of this one."""
        self._note(result.energy_kwh, result.duration_s - (result.resumed_after_s or 0.0))

    def note_extra(self, cost: ExtraCost) -> None:
        """Leave out what else has been recorded."""
        self._note(cost.energy_kwh, cost.span_s)

    def cost(
        self,
        end_ns: int,
        meter: SpanMeter,
        charges: Charging,
        *,
        attempt: int,
        pue: float,
        started_at: datetime | None = None,
    ) -> ExtraCost | None:
        """Return what is left at the end; None where a part, and so the sum, is unknown.

        Charged with the mean of the attempt, from ``started_at`` on.
        """
        if self._named_kwh is None:
            return None
        spent = Spent(name=NAME, span_ns=(self._start_ns, end_ns))
        whole = cost_of(spent, meter, charges, attempt=attempt, pue=pue, started_at=started_at)
        # Its time is not training time: duration_s stays what the training took.
        left: dict[str, float] = {"span_s": max(0.0, whole.span_s - self._named_s), "duration_s": 0.0}
        if whole.energy_kwh is not None:
            # Steps of a counter that the parts share may make them more than the whole, by a hair.
            left["energy_kwh"] = max(0.0, whole.energy_kwh - self._named_kwh)
            if whole.intensity_g_per_kwh is not None:
                left["co2_g"] = left["energy_kwh"] * whole.intensity_g_per_kwh
        return whole.model_copy(update=left)

    def _note(self, energy_kwh: float | None, span_s: float) -> None:
        has_both = self._named_kwh is not None and energy_kwh is not None
        self._named_kwh = self._named_kwh + energy_kwh if has_both else None  # type: ignore[operator] # has both
        self._named_s += span_s
