"""What a worker writes about a run, as data: so that it can wait in memory or in a file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from redis_db import RedisDB
from schema import EpochResult, ExtraCost, Lease, PowerPoint, Record, RunError, Scalar, Status, UsagePoint


class EpochWrite(Record):
    """An epoch with its cost."""

    kind: Literal["epoch"] = "epoch"
    result: EpochResult


class ExtraWrite(Record):
    """What was used besides the epochs."""

    kind: Literal["extra"] = "extra"
    cost: ExtraCost


class FactsWrite(Record):
    """How the run is run."""

    kind: Literal["facts"] = "facts"
    facts: dict[str, Scalar]


class LinesWrite(Record):
    """Lines of the log: the one write that is not safe to repeat. After a lost reply they are there twice."""

    kind: Literal["lines"] = "lines"
    lines: tuple[str, ...]


class PowerWrite(Record):
    """Power over time."""

    kind: Literal["power"] = "power"
    points: tuple[PowerPoint, ...]
    interval_s: float


class UsageWrite(Record):
    """How busy host and training were over time."""

    kind: Literal["usage"] = "usage"
    points: tuple[UsagePoint, ...]
    interval_s: float


class ReleaseWrite(Record):
    """The attempt is over; the run goes back to the queue, or where it was asked to go."""

    kind: Literal["release"] = "release"
    reason: str


class FinishWrite(Record):
    """The training is over, well or not."""

    kind: Literal["finish"] = "finish"
    status: Literal[Status.DONE, Status.FAILED]
    reason: str | None = None
    error: RunError | None = None
    has_saved_models: bool = Field(False, description="their cards are to be completed")


Ending = ReleaseWrite | FinishWrite
Write = Annotated[
    EpochWrite | ExtraWrite | FactsWrite | LinesWrite | PowerWrite | UsageWrite | Ending,
    Field(discriminator="kind"),
]
_write: TypeAdapter[Write] = TypeAdapter(Write)


def encode(write: Write) -> str:
    """Return one line of a file."""
    return write.model_dump_json()


def decode(line: str) -> Write:
    """Read a line back. Raises ValidationError."""
    return _write.validate_json(line)


def make(write: Write, db: RedisDB, lease: Lease) -> float | None:
    """Make a write under the fence of ``lease``; of points over time, return the interval of the next ones.

    Safe to repeat, but for lines. Raises LeaseLost when the run belongs to another attempt by now.
    """
    match write:
        case EpochWrite(result=result):
            db.runs.record_epoch(lease, result)
        case ExtraWrite(cost=cost):
            db.runs.record_extra(lease, cost)
        case FactsWrite(facts=facts):
            db.runs.describe(lease, facts)
        case LinesWrite(lines=lines):
            db.log.append(lease, lines)
        case PowerWrite(points=points, interval_s=interval_s):
            return db.power.append(lease, points, interval_s=interval_s)
        case UsageWrite(points=points, interval_s=interval_s):
            return db.usage.append(lease, points, interval_s=interval_s)
        case ReleaseWrite(reason=reason):
            db.queue.release(lease, reason=reason)
        case FinishWrite(status=status, reason=reason, error=error):
            db.queue.finish(lease, status, reason=reason, error=error)
    return None
