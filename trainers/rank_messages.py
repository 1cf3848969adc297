"""What a training with several ranks says to the process that started it, as JSON over a socket.

Every rank joins and may fail; rank 0 says the rest. Bytes follow ``Saved`` and ``ModelSaved`` in a frame.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from schema import EpochResult, LivePoint, LiveTile, Record, Request, Scalar


class Joined(Record):
    """A rank is there; the answer is its ``Job``."""

    kind: Literal["joined"] = "joined"
    rank: int


class Stepped(Record):
    """So many optimiser steps are done."""

    kind: Literal["stepped"] = "stepped"
    step: int


class Described(Record):
    """Facts about how the run is run."""

    kind: Literal["described"] = "described"
    facts: dict[str, Scalar]


class Logged(Record):
    """A line for the run's log."""

    kind: Literal["logged"] = "logged"
    text: str


class EpochEnded(Record):
    """An epoch is complete."""

    kind: Literal["epoch"] = "epoch"
    result: EpochResult


class Saved(Record):
    """A checkpoint as JSON, to be kept; the answer is a ``Stored``."""

    kind: Literal["saved"] = "saved"
    step: int
    state: JsonValue


class ModelSaved(Record):
    """A model, to be kept; the answer is a ``Stored``."""

    kind: Literal["model_saved"] = "model_saved"
    name: str
    sizes: dict[str, int] = Field(description="file → bytes, in the order in which they follow")


class ModelsCleared(Record):
    """The models of an attempt before are to be deleted; the answer is a ``Stored``."""

    kind: Literal["models_cleared"] = "models_cleared"


class Shown(Record):
    """What those who watch are to see: losses of rank 0's images, and some of these."""

    kind: Literal["shown"] = "shown"
    points: tuple[LivePoint, ...]
    tiles: tuple[LiveTile, ...]
    batch_size: int


class Failed(Record):
    """A rank cannot go on."""

    kind: Literal["failed"] = "failed"
    rank: int
    error: str = Field(description="the name of its class")
    message: str
    traceback: str


class Ended(Record):
    """The training is over; why, if before its last epoch and not on request."""

    kind: Literal["ended"] = "ended"
    reason: str | None


class Job(Record):
    """What a rank is given. ``state``: the checkpoint's JSON, and its tensors follow; None to start anew."""

    hyper_params: str
    device: str
    threads: int
    datasets_dir: str
    run_id: str
    checkpoint_every_s: float | None = Field(description="None where checkpoints have no place")
    has_models: bool = Field(description="there is a place for models")
    model_licence: str | None
    step: int
    state: JsonValue


class Asked(Record):
    """Rank 0 is to stop after the next step, and all others with it."""

    kind: Literal["asked"] = "asked"
    request: Request


class Watched(Record):
    """Somebody watches, or nobody does any more."""

    kind: Literal["watched"] = "watched"
    is_watched: bool


class Stored(Record):
    """What rank 0 wanted kept or deleted is, or is not, and why."""

    kind: Literal["stored"] = "stored"
    error: str | None


Said = Annotated[
    Joined
    | Stepped
    | Described
    | Logged
    | EpochEnded
    | Saved
    | ModelSaved
    | ModelsCleared
    | Shown
    | Failed
    | Ended,
    Field(discriminator="kind"),
]
Answer = Annotated[Asked | Watched | Stored, Field(discriminator="kind")]
_said: TypeAdapter[Said] = TypeAdapter(Said)
_answer: TypeAdapter[Answer] = TypeAdapter(Answer)


def encode(message: Record) -> bytes:
    """Return one frame."""
    return message.model_dump_json().encode()


def decode_said(frame: bytes) -> Said:
    """Read a frame of a rank."""
    return _said.validate_json(frame)


def decode_answer(frame: bytes) -> Answer:
    """Read a frame to rank 0."""
    return _answer.validate_json(frame)
