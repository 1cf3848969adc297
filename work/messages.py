"""What a training child and its worker say to each other, as JSON over a pipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schema import EpochResult, LivePoint, LiveTile, Record, RunError, Scalar, SpanEnergy


class Described(Record):
    """Facts about how the run is run."""

    kind: Literal["described"] = "described"
    facts: dict[str, Scalar]


class Logged(Record):
    """A line for the run's log."""

    kind: Literal["logged"] = "logged"
    text: str


class EpochEnded(Record):
    """An epoch is complete; the span is on the clock of ``time.monotonic_ns``, which processes share.

    No span: an earlier attempt trained the epoch and did not live to record it.
    """

    kind: Literal["epoch"] = "epoch"
    result: EpochResult
    span_ns: tuple[int, int] | None


class SpanAsked(Record):
    """The child wants to know what was used between two moments, and waits for a SpanRead."""

    kind: Literal["span_asked"] = "span_asked"
    span_ns: tuple[int, int]


class Ended(Record):
    """The child's last word: it trained to the end, stopped on request, or failed."""

    kind: Literal["ended"] = "ended"
    outcome: Literal["done", "stopped", "failed"]
    reason: str | None = Field(
        None, description="why it was done before its last epoch, or stopped other than by the worker"
    )
    error: RunError | None = None
    has_saved_models: bool = Field(False, description="all of them, in this attempt and not an earlier one")


class Spent(Record):
    """What a span used belongs to the run, but to no epoch."""

    kind: Literal["spent"] = "spent"
    name: str
    span_ns: tuple[int, int]


class Shown(Record):
    """What those who watch the run are to see."""

    kind: Literal["shown"] = "shown"
    points: tuple[LivePoint, ...]
    tiles: tuple[LiveTile, ...]
    batch_size: int


class SpanRead(Record):
    """The worker's answer to a SpanAsked."""

    energy: SpanEnergy


Message = Annotated[
    Described | Logged | EpochEnded | SpanAsked | Spent | Shown | Ended, Field(discriminator="kind")
]
_message: TypeAdapter[Message] = TypeAdapter(Message)


def encode(message: Message) -> bytes:
    """Return one frame for the pipe."""
    return message.model_dump_json().encode()


def decode(frame: bytes) -> Message:
    """Read one frame back."""
    return _message.validate_json(frame)
