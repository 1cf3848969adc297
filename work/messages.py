"""What a training child and its worker say to each other, as JSON over a pipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from schema import EpochResult, Record, RunError, Scalar


class Described(Record):
    """Facts about how the run is run."""

    kind: Literal["described"] = "described"
    facts: dict[str, Scalar]


class Logged(Record):
    """A line for the run's log."""

    kind: Literal["logged"] = "logged"
    text: str


class EpochEnded(Record):
    """An epoch is complete; the span is on the clock of ``time.monotonic_ns``, which processes share."""

    kind: Literal["epoch"] = "epoch"
    result: EpochResult
    start_ns: int
    end_ns: int


class Ended(Record):
    """The child's last word: it trained to the end, stopped on request, or failed."""

    kind: Literal["ended"] = "ended"
    outcome: Literal["done", "stopped", "failed"]
    reason: str | None = None
    """Why a run that is done ended before its last epoch."""
    error: RunError | None = None
    reason: str | None = Field(None, description="why it stopped, where that is not the worker's own doing")


Message = Annotated[Described | Logged | EpochEnded | Ended, Field(discriminator="kind")]
_message: TypeAdapter[Message] = TypeAdapter(Message)


def encode(message: Message) -> bytes:
    """Return one frame for the pipe."""
    return message.model_dump_json().encode()


def decode(frame: bytes) -> Message:
    """Read one frame back."""
    return _message.validate_json(frame)
