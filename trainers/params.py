"""The hyper_params of the built-in trainers: every field with its bounds, default and unit. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from schema import Record
from trainers.datasets import default_dataset

# The form offers them in this order.
DatasetName = Literal[
    "digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn", "image_folder", "fake"
]
NetworkName = Literal[
    "small_cnn",
    "lenet5",
    "resnet9",
    "resnet18",
    "resnet34",
    "resnet50",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "vgg11_bn",
    "densenet121",
]
OptimizerName = Literal["adam", "adamw", "sgd", "rmsprop"]
ScheduleName = Literal["constant", "cosine", "one_cycle", "step"]
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]
AugmentationName = Literal["none", "crop", "crop_flip", "crop_flip_cutout"]
CompileName = Literal["off", "default", "cuda_graphs"]

_WITHOUT_BATCH_NORM = ("small_cnn", "lenet5")


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


AnyCase = BeforeValidator(_lower)

# In place of a batch size: before it trains, the trainer tries a few.
AUTO: Final = "auto"
LARGEST_BATCH = 65_536


def _say_both_forms(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    """Answer a wrong batch size with one reason: a union gives one for each of its parts."""
    try:
        return validate(_lower(value))
    except ValidationError as error:
        raise ValueError(f'should be a whole number from 1 to {LARGEST_BATCH:,}, or "{AUTO}"') from error


BatchSize = Annotated[
    Annotated[int, Field(ge=1, le=LARGEST_BATCH)] | Literal["auto"], WrapValidator(_say_both_forms)
]


def _hide_fake(schema: dict[str, Any]) -> None:
    """Keep the dataset for tests out of the form; the API takes it."""
    schema["enum"] = [name for name in schema["enum"] if name != "fake"]


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
    max_energy_wh: float | None = Field(
        None,
        gt=0,
        le=1e9,
        allow_inf_nan=False,
        title="Energy budget",
        description="the run ends, done, before an epoch that would exceed it",
        json_schema_extra={"unit": "Wh"},
    )
    max_co2_g: float | None = Field(
        None,
        gt=0,
        le=1e9,
        allow_inf_nan=False,
        title="CO₂ budget",
        description="the run ends, done, before an epoch that would exceed it",
        json_schema_extra={"unit": "g"},
    )
    max_duration_s: float | None = Field(
        None,
        gt=0,
        le=1e9,
        allow_inf_nan=False,
        title="Time budget",
        description="of all attempts together; the run ends, done, before an epoch that would exceed it",
        json_schema_extra={"unit": "s"},
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
        "digits",
        title="Dataset",
        description="what is learnt; digits needs no files and no network",
        json_schema_extra=_hide_fake,
    )
    image_folder: str | None = Field(
        None,
        validate_default=True,
        max_length=255,
        pattern=r"^[^/\\]",
        title="Image folder",
        description="of the dataset image_folder: a folder of class folders in the datasets' folder",
    )
    image_side: int = Field(
        64,
        ge=8,
        le=512,
        title="Image side",
        description="of the dataset image_folder: to which its images are scaled",
        json_schema_extra={"unit": "pixels"},
    )
    network: Annotated[NetworkName, AnyCase] = Field(
        "small_cnn", title="Network", description="small_cnn has two convolutions, densenet121 has 120"
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        allow_inf_nan=False,
        title="Dropout",
        description="share of the features that are left out before the last layer while learning",
    )
    optimizer: Annotated[OptimizerName, AnyCase] = Field(
        "adam", title="Optimizer", description="how the weights follow the gradient"
    )
    learning_rate: float = Field(
        0.002,
        gt=0,
        le=10,
        allow_inf_nan=False,
        title="Learning rate",
        description="step size; the highest of the schedule",
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
        0.9, ge=0, lt=1, allow_inf_nan=False, title="Momentum", description="of sgd; the others ignore it"
    )
    nesterov: bool = Field(
        True, title="Nesterov", description="sgd looks ahead along its momentum; the others ignore it"
    )
    schedule: Annotated[ScheduleName, AnyCase] = Field(
        "constant",
        title="Schedule",
        description="of the learning rate: cosine falls to 0; one_cycle rises from 1/25 and falls to 0; "
        "step multiplies it every few epochs",
    )
    warmup_epochs: float = Field(
        0.0,
        ge=0,
        le=1000,
        allow_inf_nan=False,
        title="Warm-up",
        description="the learning rate first rises in a line; 0 is none, or 30 % of the run in one_cycle",
        json_schema_extra={"unit": "epochs"},
    )
    step_epochs: int = Field(
        10,
        ge=1,
        le=10_000,
        title="Step length",
        description="of the schedule step",
        json_schema_extra={"unit": "epochs"},
    )
    step_factor: float = Field(
        0.1,
        gt=0,
        le=1,
        allow_inf_nan=False,
        title="Step factor",
        description="what the schedule step multiplies the learning rate by",
    )
    batch_size: BatchSize = Field(
        64,
        title="Batch size",
        description="images per optimizer step; auto tries a few sizes for seconds, takes the one with the "
        "fewest joules per image, and scales the learning rate with it",
        json_schema_extra={"unit": "images"},
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        allow_inf_nan=False,
        title="Label smoothing",
        description="share of each label that is spread over all classes; the losses shown are without it",
    )
    augmentation: Annotated[AugmentationName, AnyCase] = Field(
        "none",
        title="Augmentation",
        description="random shifts, mirror images and holes; no flip where left and right differ",
    )
    precision: Annotated[PrecisionName, AnyCase] = Field(
        "auto",
        title="Precision",
        description="of the arithmetic, weights are fp32; auto is bf16 or fp16 on a GPU and fp32 on a CPU",
    )
    compile: Annotated[CompileName, AnyCase] = Field(
        "off",
        title="Compile",
        description="a GPU's kernels made for this network; takes up to a minute first",
    )
    gpus: int = Field(
        1,
        ge=1,
        le=64,
        title="Number of GPUs",
        description="of one machine, which share every batch; on a CPU, processes that share its threads",
    )
    deterministic: bool = Field(
        False,
        title="Deterministic",
        description="the same bits every time on a GPU too, slower; a CPU always is",
    )
    validation_fraction: float = Field(
        0.0,
        ge=0,
        le=0.5,
        allow_inf_nan=False,
        title="Validation part",
        description="share of the training split that is held out, the same images for every seed; 0 is none",
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=10_000,
        title="Early stopping",
        description="end after so many epochs without a lower validation loss; needs a validation part",
        json_schema_extra={"unit": "epochs"},
    )
    min_delta: float = Field(
        0.0,
        ge=0,
        le=100,
        allow_inf_nan=False,
        title="Least gain",
        description="by which the validation loss has to fall for early stopping to count it",
        json_schema_extra={"unit": "nats"},
    )
    target_accuracy: float | None = Field(
        None,
        gt=0,
        le=1,
        allow_inf_nan=False,
        title="Target accuracy",
        description="end once the validation part reaches it, a fraction; needs a validation part",
    )

    @field_validator("image_folder", mode="after")
    @classmethod
    def _check_folder(cls, folder: str | None, info: ValidationInfo) -> str | None:
        if folder is None and info.data.get("dataset") == "image_folder":
            raise ValueError("name a folder of images in the datasets' folder")
        if folder is not None and ".." in folder.replace("\\", "/").split("/"):
            raise ValueError("should stay in the datasets' folder")
        return folder

    @field_validator("batch_size")
    @classmethod
    def _check_batch(cls, batch_size: BatchSize, info: ValidationInfo) -> BatchSize:
        network = info.data.get("network")
        if batch_size == 1 and network not in (None, *_WITHOUT_BATCH_NORM):
            raise ValueError(f"{network} normalises over a batch and needs 2 images or more")
        return batch_size

    @field_validator("gpus")
    @classmethod
    def _check_gpus(cls, gpus: int, info: ValidationInfo) -> int:
        batch_size = info.data.get("batch_size")
        if gpus > 1 and batch_size == AUTO:
            raise ValueError("batch sizes are tried on one GPU: name a batch_size, or set gpus to 1")
        if isinstance(batch_size, int) and batch_size < gpus:
            raise ValueError(f"every GPU needs an image of each batch: batch_size is {batch_size}")
        if gpus > 1 and info.data.get("compile") not in (None, "off"):
            raise ValueError("compile is for one GPU: set one of the two back")
        return gpus

    @field_validator("patience", "target_accuracy")
    @classmethod
    def _check_validation_part(cls, value: float | None, info: ValidationInfo) -> float | None:
        # Test data never steers a training, so there is nothing else to look at.
        if value is not None and info.data.get("validation_fraction") == 0:
            raise ValueError("needs a validation part: set validation_fraction, such as 0.1")
        return value

    @property
    def images_per_step(self) -> int:
        """The batch size as a number. Raises ValueError while it is still to be tried."""
        if self.batch_size == AUTO:
            raise ValueError("batch_size is auto: it is a number once the trainer has tried some")
        return self.batch_size

    @classmethod
    def host_defaults(cls, *, datasets_dir: Path, preferred_dataset: str | None) -> dict[str, JsonValue]:
        """Return the dataset that a run without one uses here."""
        return {"dataset": default_dataset(datasets_dir, preferred_dataset)}
