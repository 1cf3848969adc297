"""The saved models of a run, as the API shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schema.records import EpochResult
from schema.values import Finite, Fraction, Record

ModelName = Literal["best", "last"]


class Metrics(Record):
    """What the weights achieved in their epoch. Losses in nats per image."""

    train_loss: Finite = Field(description="mean over the epoch, while the weights changed")
    train_accuracy: Fraction
    validation_loss: Finite | None = Field(None, description="null without a validation part")
    validation_accuracy: Fraction | None = None
    test_loss: Finite
    test_accuracy: Fraction

    @classmethod
    def of(cls, result: EpochResult) -> Metrics:
        """Take the figures of an epoch."""
        return cls(**{name: getattr(result, name) for name in cls.model_fields})


class ModelFile(Record):
    """One file of a model."""

    file: str
    size_bytes: int
    sha256: str | None = Field(description="null for card.json, which names those of the others")
    link: str = Field(description="path of the download")
    download_name: str = Field(description="what the file is called once it has left its folder")


class ModelReply(Record):
    """A saved model."""

    name: ModelName
    epoch: int
    chosen_on: Literal["validation", "test", "last epoch"]
    chosen_note: str | None = Field(None, description="what to keep in mind about the choice")
    metrics: Metrics
    licence: str
    files: list[ModelFile]


class ModelsReply(Record):
    """The models of a run, the best one first."""

    models: list[ModelReply]
