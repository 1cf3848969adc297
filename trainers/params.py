"""The hyper_params of the built-in trainers: every field with its bounds, default and unit. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, ValidationInfo, field_validator

from schema import Record
from trainers.datasets import default_dataset

# The form offers them in this order.
DatasetName = Literal["digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn"]
NetworkName = Literal["small_cnn", "resnet9"]
OptimizerName = Literal["adam", "adamw", "sgd", "rmsprop"]


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


AnyCase = BeforeValidator(_lower)


class HyperParams(Record):
    """What every trainer has. A trainer's own model derives from it; a bool or a string is never a number."""

    model_config = ConfigDict(strict=True)

    trainer: str = Field(min_length=1, max_length=64, title="Trainer", description="what trains the network")
    num_epochs: int = Field(
        20,
        ge=1,
        le=10_000,
        title="Epochs",
        description="passes over the training split",
        json_schema_extra={"unit": "epochs"},
    )
    seed: int = Field(
        0, ge=0, le=2**32 - 1, title="Seed", description="of the initial weights and of the order of images"
    )

    @classmethod
    def host_defaults(cls, *, datasets_dir: Path, preferred_dataset: str | None) -> dict[str, JsonValue]:  # noqa: ARG003 - for those that override it
        """Return the defaults that depend on this host's settings and files."""
        return {}


class CnnHyperParams(HyperParams):
    """A convolutional network that learns to classify images."""

    trainer: Annotated[Literal["cnn"], AnyCase] = Field(
        "cnn", title="Trainer", description="a convolutional network that classifies images"
    )
    dataset: Annotated[DatasetName, AnyCase] = Field(
        "digits", title="Dataset", description="what is learnt; digits needs no files and no network"
    )
    network: Annotated[NetworkName, AnyCase] = Field(
        "small_cnn", title="Network", description="small_cnn has two convolutions, resnet9 has eight"
    )
    optimizer: Annotated[OptimizerName, AnyCase] = Field(
        "adam", title="Optimizer", description="how the weights follow the gradient"
    )
    learning_rate: float = Field(
        0.002, gt=0, le=10, allow_inf_nan=False, title="Learning rate", description="step size, kept constant"
    )
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        title="Weight decay",
        description="pull of the weights to 0; decoupled in adamw, an L2 penalty in the others",
    )
    momentum: float = Field(
        0.9,
        ge=0,
        lt=1,
        allow_inf_nan=False,
        title="Momentum",
        description="of sgd (Nesterov); the others ignore it",
    )
    batch_size: int = Field(
        64,
        ge=1,
        le=65_536,
        title="Batch size",
        description="images per optimizer step",
        json_schema_extra={"unit": "images"},
    )
    validation_fraction: float = Field(
        0.0,
        ge=0,
        le=0.5,
        allow_inf_nan=False,
        title="Validation part",
        description="share of the training split that is held out, the same images for every seed; 0 is none",
    )

    @field_validator("batch_size")
    @classmethod
    def _check_batch(cls, batch_size: int, info: ValidationInfo) -> int:
        if batch_size < 2 and info.data.get("network") == "resnet9":
            raise ValueError("resnet9 normalises over a batch and needs 2 images or more")
        return batch_size

    @classmethod
    def host_defaults(cls, *, datasets_dir: Path, preferred_dataset: str | None) -> dict[str, JsonValue]:
        """Return the dataset that a run without one uses here."""
        return {"dataset": default_dataset(datasets_dir, preferred_dataset)}
