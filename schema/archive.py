"""Everything that is kept of a run, on its way between the store and the archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import AwareDatetime, Field, JsonValue

from schema.values import Record

# What the store keeps of a run by the field's name, as texts.
Fields = Mapping[str, str]


@dataclass(frozen=True)
class Bundle:
    """A run as the store keeps it, whole."""

    run_id: str
    record: Fields
    parts: Mapping[str, JsonValue]
    """By the name of a part, or histogram:<name>, its content as JSON; without those that are empty."""
    points: Mapping[str, bytes]
    """By the name of a metric its points, 24 bytes each."""
    fingerprint: str = field(default="", compare=False)
    """What all of it came to when it was read: another one once anything of it has changed."""
    read_at_s: float = field(default=0.0, compare=False)
    """When that was, by the store's clock."""

    @property
    def place(self) -> str:
        """Where the archive keeps it: what was read at another time, and differs, is kept beside it."""
        return f"{self.run_id}-{self.fingerprint[:16]}"


@dataclass(frozen=True)
class Belonging:
    """Something that a store has and that is no run, as it is kept there."""

    kind: str
    """views, rules, retention, quotas, sweeps, models or totals."""
    name: str
    """Its id or name: of its kind there is one of it."""
    content: Any


class ColdRuns(Protocol):
    """Where the store finds runs that were archived."""

    def find_records(self, places: Sequence[str]) -> Mapping[str, Fields]:
        """Return the records at those of the places that are there."""

    def find_parts(self, places: Sequence[str], part: str) -> Mapping[str, JsonValue]:
        """Return a part of the runs at those of the places that are there and have it."""


class ArchivingRuns(Protocol):
    """The part of the store that gives runs away and takes them back."""

    def lead(self, owner: str, *, ttl_s: float) -> bool:
        """Tell whether ``owner`` is the one to archive until then; False while another one is."""

    def list_due(self, ended_before_s: float) -> Iterator[str]:
        """Yield runs that ended before then and may go, oldest first."""

    def read(self, run_id: str) -> Bundle | None:
        """Return all that is kept of a run; None where there is none."""

    def move(self, bundle: Bundle) -> bool:
        """Take a run away; False where it has changed since it was read."""

    def list_places(self) -> frozenset[str]:
        """Return the places of all archived runs."""

    def read_facts(self) -> Fields:
        """Return what is noted of the rounds."""

    def note_facts(self, facts: Fields) -> None:
        """Note something of the rounds."""

    def note_round(self, facts: Fields, *, result: str) -> None:
        """Note that a round has ended, and count it by its result."""


class ArchiveRound(Record):
    """What one round of archiving did."""

    begun_at: AwareDatetime
    moved: int = Field(ge=0)
    left: int = Field(ge=0, description="runs that changed meanwhile, or could not be written: tried again")
    problem: str | None = Field(None, description="what ended it early")


class ArchiveRequest(Record):
    """Which runs are to be moved to the archive now."""

    older_than_days: float | None = Field(
        None,
        ge=0,
        le=36_500,
        strict=True,
        description="how long ago they ended; without it WATTLE_ARCHIVE_AFTER_DAYS",
    )


class ArchiveReply(Record):
    """What is in the archive, and when it is filled."""

    runs: int = Field(ge=0, description="archived runs")
    points: int = Field(ge=0, description="points of their metrics, of those that are still kept")
    bytes: int = Field(ge=0, description="of their records, as text, and of their points")
    after_days: float = Field(description="runs that ended so long ago are archived")
    next_at: AwareDatetime = Field(description="when the next round begins")
    last: ArchiveRound | None = Field(None, description="null before the first one")
    under_way: ArchiveRound | None = Field(None, description="the round that goes on now, as far as it is")
    memory_share: float | None = Field(None, description="of Redis' maxmemory; null where it has none")


class ImportedRuns(Record):
    """What became of the runs of an export."""

    added: int = Field(ge=0, description="runs that are here now")
    known: int = Field(ge=0, description="runs whose ids were here already; they stay as they were")
    others: Mapping[str, int] = Field(
        {},
        description="what else there is now: so many views, rules, retention, quotas, sweeps, models and "
        "totals; what was known by its name stays as it was",
    )
    missing_channels: tuple[str, ...] = Field(
        (), description="channels that rules of the file name and WATTLE_ALERT_CHANNELS does not"
    )
