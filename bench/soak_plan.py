"""What a soak offers, and how its day is mapped to the clock."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final, Self

HOURS: Final = 24
# From here on nothing may grow: caches are full, every kind of thing has happened, the archive is at work.
WARM_UP_HOURS: Final = 6
METRICS: Final = ("loss", "accuracy", "learning_rate", "grad_norm")
# Runs that no script reports: their names carry the number of the submission.
MARK: Final = "soak:"


@dataclass(frozen=True)
class Plan:
    """A day of a data centre in so many seconds. Runs and points are real ones, only closer together."""

    seconds: float = 1_200.0
    script_runs: int = 2_500
    queue_runs: int = 2_400
    points: int = 1_000_000
    sweeps: int = 16
    script_s: float = 6.0
    archive_after_hours: float = 2.0
    archive_every_hours: float = 0.25
    exports: int = 4
    opened_runs: int = 400
    page_sessions: int = 48
    viewers: int = 10
    dashboards: int = 10
    simulated_workers: int = 16
    real_workers: int = 2
    sample_every_s: float = 3.0

    @property
    def hour_s(self) -> float:
        """How long an hour takes."""
        return self.seconds / HOURS

    @property
    def steps_per_script(self) -> int:
        """Steps that a script logs, each with all of METRICS, so that all come to at least ``points``."""
        return -(-self.points // (self.script_runs * len(METRICS)))

    @property
    def archive_after_days(self) -> float:
        """How long ago a run ended that is archived, by the real clock."""
        return self.archive_after_hours * self.hour_s / 86_400

    def to_text(self) -> str:
        """Return it for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what ``to_text`` wrote."""
        return cls(**json.loads(text))


QUICK: Final = Plan(
    seconds=48.0,
    script_runs=60,
    queue_runs=90,
    points=24_000,
    sweeps=2,
    script_s=2.0,
    exports=2,
    opened_runs=20,
    page_sessions=6,
    viewers=4,
    dashboards=4,
    simulated_workers=6,
    real_workers=1,
    sample_every_s=0.5,
)
