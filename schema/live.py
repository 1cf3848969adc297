"""The live mosaic: what a producer sends, and what a viewer sees of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, StringConstraints

from schema.records import RUN_ID_PATTERN
from schema.values import Finite, Fraction, NonNegative, Record

# The view that belongs to no run.
DEFAULT_VIEW: Final = "default"
MOSAIC_TILES: Final = 16
MAX_SAMPLES: Final = 128
MAX_SIDE: Final = 512
MAX_POINTS: Final = 1_024
# The largest whole number that Redis' scripts and the browser can tell from the next one.
MAX_ITERATION: Final = 2**53 - 1
# Base64 of 1 MiB, more than any PNG of 512 x 512 takes.
_MAX_IMAGE_CHARACTERS: Final = 1_400_000

NOT_FINITE: Final = ("NaN", "Infinity", "-Infinity")
Loss = Finite | Literal["NaN", "Infinity", "-Infinity"]


def _refuse_flags(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("is a truth value, not a number")
    return value


def _name(value: object) -> object:
    """Take a class number, or a sample's, as its name."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed")
    return text


Iteration = Annotated[
    int,
    BeforeValidator(_refuse_flags),
    Field(ge=0, le=MAX_ITERATION, strict=True, description="whole number"),
]
Label = Annotated[str, BeforeValidator(_name), StringConstraints(max_length=120), AfterValidator(_printable)]


class LiveSample(Record):
    """One image of a batch, and what the network made of it."""

    sample_id: Label
    prediction: Label
    ground_truth: Label
    confidence: Annotated[Fraction, BeforeValidator(_refuse_flags)]
    image_b64: str = Field(
        min_length=1,
        max_length=_MAX_IMAGE_CHARACTERS,
        description=f"PNG or JPEG of at most {MAX_SIDE} x {MAX_SIDE} pixels, in base64",
    )


class BatchUpdate(Record):
    """What a training loop sends after an iteration."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"iteration": 1, "loss": 2.3, "batch_size": 16, "delay_ms": 0, "samples": []}
        }
    )

    iteration: Iteration
    loss: Annotated[Loss, BeforeValidator(_refuse_flags)] = Field(
        description='a number; one that is none as the text "NaN", "Infinity" or "-Infinity"'
    )
    batch_size: Iteration | None = Field(None, description="images; else the number of samples")
    delay_ms: Annotated[NonNegative, BeforeValidator(_refuse_flags)] = Field(
        0.0, description="the producer's own delay, which is shown; nothing here waits for it"
    )
    samples: tuple[LiveSample, ...] = Field((), max_length=MAX_SAMPLES)
    run_id: str | None = Field(
        None, pattern=RUN_ID_PATTERN, description="whose live view; else that of the default run"
    )


class BatchUpdateReply(Record):
    """The answer to an update, also to one that was ignored as a duplicate or as too old."""

    status: Literal["ok"] = "ok"
    iteration: int
    loss: Loss
    tiles_ready: bool = Field(alias="tilesReady", description="this update completed a mosaic")

    model_config = ConfigDict(populate_by_name=True)


class ResetRequest(Record):
    """Which live view is to start anew."""

    run_id: str | None = Field(None, pattern=RUN_ID_PATTERN, description="else the default run")


class ResetReply(Record):
    """The live view is empty."""

    status: Literal["ok"] = "ok"


class TicketRequest(Record):
    """What the ticket is for."""

    run_id: str | None = Field(
        None, pattern=RUN_ID_PATTERN, description="the run to watch; else the default one"
    )


class TicketReply(Record):
    """A ticket that opens the live page inside another one, once."""

    ticket: str
    expires_at: AwareDatetime


class LiveTile(Record):
    """One sample as viewers get it: its picture has been decoded and written anew."""

    sample_id: str
    prediction: str
    ground_truth: str
    confidence: float
    image: str = Field(description="a data: URL")


class LivePoint(NamedTuple):
    """One point of the loss curve."""

    iteration: int
    loss: Loss


class LiveUpdate(Record):
    """What the store takes at once: points with rising iterations, and the tiles of the last one."""

    points: tuple[LivePoint, ...] = Field(max_length=MAX_POINTS)
    batch_size: int | None = None
    delay_ms: float = 0.0
    tiles: tuple[LiveTile, ...] = Field((), max_length=MOSAIC_TILES)


class LiveOutcome(NamedTuple):
    """What became of an update."""

    accepted: int
    """Points that were newer than the newest known one."""
    has_completed: bool
    """Whether it completed a mosaic."""


class Mosaic(Record):
    """Sixteen tiles that were shown at ``iteration``; a later mosaic has a higher number."""

    number: int
    iteration: int
    tiles: tuple[LiveTile, ...]


class LiveEntry(Record):
    """One stored update, as the readers of a live view get it."""

    entry_id: str
    at_s: float
    is_start: bool = Field(False, description="the view starts anew here")
    points: tuple[LivePoint, ...] = ()
    batch_size: int | None = None
    delay_ms: float = 0.0
    aggregated: int = 0
    is_ready: bool = False
    mosaic: int = 0
