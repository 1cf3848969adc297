"""The card of a model: what it is, what it learnt from, what it achieved and what it cost. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue

from schema import Metrics, ModelName, Record, Run
from schema.records import EnergyQuality
from schema.values import NonNegative
from trainers.datasets import Dataset

LICENCE_UNKNOWN = "not stated"
OPTIMISTIC = (
    "There was no validation part, so the epoch was chosen by its test accuracy: that figure is optimistic, "
    "for the same images chose the epoch and judge it."
)
NOT_YET_KNOWN = "not yet known: the worker completes the card once the run is recorded as done"


_SOURCES: Mapping[str, tuple[str, ...]] = {
    "embedded": ("sklearn.datasets.load_digits",),
    "generated": ("trainers.embedded.make_fake",),
}


class ImageFacts(Record):
    """What the network takes: float32 [N, channels, side, side], each value (byte - mean) / std."""

    channels: int
    side: int
    mean: tuple[float, ...] = Field(description="of the training images by channel, in steps of 0 to 255")
    std: tuple[float, ...] = Field(description="likewise")


class DatasetFacts(Record):
    """What the network learnt from."""

    name: str
    title: str
    train_images: int
    validation_images: int
    test_images: int
    split_rule: str
    md5: dict[str, str] = Field(description="of the files as they are published or read")
    sources: tuple[str, ...]
    licence: str
    licence_source: str | None = None


class FileFacts(Record):
    """How to tell that a file is whole."""

    size_bytes: int
    sha256: str


class Card(Record):
    """What a model is. Costs are those of the whole run; the worker adds them once it is recorded as done."""

    format: Literal[1] = 1
    run_id: str
    model: ModelName
    trainer: str
    network: str
    classes: int
    class_names: tuple[str, ...] = Field(description="in the order of the outputs; empty where not known")
    input: ImageFacts
    dataset: DatasetFacts
    hyper_params: dict[str, JsonValue]
    epoch: int
    chosen_on: Literal["validation", "test", "last epoch"]
    chosen_note: str | None = None
    metrics: Metrics
    files: dict[str, FileFacts]
    licence: str = Field(description="of the weights")
    created_at: AwareDatetime

    energy_kwh: NonNegative | None = None
    energy_quality: EnergyQuality | None = None
    energy_reason: str | None = Field(NOT_YET_KNOWN, description="why energy_kwh and co2_g are null")
    co2_g: NonNegative | None = None
    duration_s: NonNegative | None = None
    device: str | None = None
    precision: str | None = None
    parameters: int | None = None
    flops_per_image: int | None = None
    versions: dict[str, str | None] = Field(default_factory=dict)
    git_commit: str | None = None

    def complete(self, run: Run) -> Card:
        """Return the card with what the run cost, over all its attempts, and where it was trained."""
        facts = run.environment
        known = {name: facts.get(name) for name in ("device", "precision", "parameters", "flops_per_image")}
        versions = {name: facts.get(name) for name in ("wattle", "torch", "python")}
        costs = {
            "energy_kwh": run.energy_kwh,
            "energy_quality": run.energy_quality,
            "energy_reason": None if run.energy_kwh is not None else _why_unknown(run),
            "co2_g": run.co2_g,
            "duration_s": run.duration_s,
        }
        added = {**known, **costs, "versions": versions, "git_commit": facts.get("git_commit")}
        return Card.model_validate({**self.model_dump(), **added})


def _why_unknown(run: Run) -> str:
    if run.unknown_energy_epochs:
        return f"the energy of {run.unknown_energy_epochs} epochs is unknown; see the run's epochs for why"
    return "no epoch was recorded"


def describe_dataset(
    dataset: Dataset, *, train: int, validation: int, test: int, folder: str | None
) -> DatasetFacts:
    """Return what a card says of a dataset; the numbers are images, ``folder`` that of an image_folder."""
    rule = dataset.split_rule
    if validation:
        rule += (
            " The validation part was held out of the training images by the permutation of "
            "numpy.random.RandomState(0), whatever the seed."
        )
    checked: list[tuple[str, str | None]] = [(archive.path, archive.md5) for archive in dataset.archives]
    checked += [(file.path, file.md5) for file in dataset.files]
    return DatasetFacts(
        name=dataset.name,
        title=f"{dataset.title}: {folder}" if folder else dataset.title,
        train_images=train,
        validation_images=validation,
        test_images=test,
        split_rule=rule,
        md5={path: md5 for path, md5 in checked if md5 is not None},
        sources=_SOURCES.get(dataset.file_format, ())
        or tuple(url for archive in dataset.archives for url in archive.urls),
        licence=dataset.licence or LICENCE_UNKNOWN,
        licence_source=dataset.licence_source,
    )


def is_better(one: Metrics, other: Metrics) -> bool:
    """Return True when ``one`` is the better epoch; a tie is False, so that the earlier one stays the best.

    Decides by accuracy, then by loss: on the validation part where there is one, else on the test split.
    """
    return _rank(one) > _rank(other)


def _rank(metrics: Metrics) -> tuple[float, float]:
    if metrics.validation_accuracy is None:
        return metrics.test_accuracy, -metrics.test_loss
    loss = math.inf if metrics.validation_loss is None else metrics.validation_loss
    return metrics.validation_accuracy, -loss
