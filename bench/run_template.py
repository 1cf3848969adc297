"""What a run stores: that of a real one, and others like it with other figures."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import JsonValue

from redis_db import RedisDB
from schema import EpochResult, ExtraCost, Run, RunError, Scalar, Status
from tests.programs import Programs
from trainers import complete_hyper_params

EPOCHS = 20
# Shares of the runs: those that failed after their last epoch, and those of whose epochs one has no energy.
FAILED, WITHOUT_ENERGY = 0.1, 0.02
ERROR = RunError(
    kind="TrainingFailed", message="The loss is no longer a number. Try a learning rate ten times smaller."
)
_VARIED = ("train_loss", "test_loss", "duration_s", "span_s", "energy_kwh", "co2_g")
# Each a number of images over that of its split.
_ACCURACIES = {"train_accuracy": "train_images", "test_accuracy": "test_images"}


@dataclass(frozen=True)
class RunTemplate:
    """A real run of 20 epochs, and what it used besides them."""

    run: Run
    epochs: tuple[EpochResult, ...]
    extras: tuple[ExtraCost, ...]

    @classmethod
    def train(cls, redis_url: str, folder: Path) -> Self:
        """Let a real worker train the default run on digits, and read what it stored."""
        programs = Programs(redis_url=redis_url, data_dir=folder)
        hyper_params = complete_hyper_params(
            {"optimizer": "adam", "learning_rate": 0.001, "num_epochs": EPOCHS, "dataset": "digits"},
            datasets_dir=folder,
            default_dataset=None,
        )
        with RedisDB(redis_url) as db:
            run_id = db.queue.submit(hyper_params).run_id
            try:
                programs.start_worker("--burst").wait(120)
            finally:
                programs.stop()
            run = db.runs.get(run_id)
            if run.status is not Status.DONE or run.epochs_done != EPOCHS:
                raise SystemExit(f"The run to be copied is {run.status}.\n{programs.output()}")
            return cls(run, tuple(db.runs.list_epochs(run_id)), tuple(db.accounts.list_extras(run_id)))

    @property
    def facts(self) -> Mapping[str, Scalar]:
        """The environment that the worker described."""
        return self.run.environment

    def hyper_params(self, number: int) -> dict[str, JsonValue]:
        """Return those of the copy of that number."""
        chance = random.Random(number)  # noqa: S311 - figures, not secrets
        changes: dict[str, JsonValue] = {
            "seed": number,
            "learning_rate": float(f"{10 ** chance.uniform(-4, -2):.2g}"),
        }
        return {**self.run.hyper_params, **changes}

    def epochs_of(self, number: int) -> list[EpochResult]:
        """Return the epochs of the copy: as long figures as those of the real run, and others."""
        chance = random.Random(number)  # noqa: S311 - as above
        factor = chance.uniform(0.5, 2.0)
        without = chance.randrange(EPOCHS) if chance.random() < WITHOUT_ENERGY else None
        return [self._vary(epoch, factor, chance, is_known=epoch.epoch != without) for epoch in self.epochs]

    def extras_of(self, number: int) -> list[ExtraCost]:
        """Return what the copy of that number used besides its epochs."""
        factor = random.Random(~number).uniform(0.5, 2.0)  # noqa: S311 - as above
        return [extra.model_copy(update=_multiplied(extra, factor)) for extra in self.extras]

    def _vary(
        self, epoch: EpochResult, factor: float, chance: random.Random, *, is_known: bool
    ) -> EpochResult:
        values = _multiplied(epoch, factor)
        for name, split in _ACCURACIES.items():
            images = int(str(self.facts[split]))
            values[name] = round(images * getattr(epoch, name) * chance.uniform(0.9, 1)) / images
        if epoch.energy_by_source:
            values["energy_by_source"] = {name: kwh * factor for name, kwh in epoch.energy_by_source.items()}
        if epoch.ended_at:
            values["ended_at"] = epoch.ended_at + timedelta(seconds=chance.randrange(10**6))
        if not is_known:
            values |= dict.fromkeys(("energy_kwh", "energy_quality", "co2_g", "energy_by_source"))
            values["energy_reason"] = "No meter could be read."
        return epoch.model_copy(update=values)


def _multiplied(cost: EpochResult | ExtraCost, factor: float) -> dict[str, Any]:
    known = {name: getattr(cost, name, None) for name in _VARIED}
    return {name: value * factor for name, value in known.items() if value is not None}


def is_failed(number: int) -> bool:
    """True when the copy of that number ends as failed."""
    return number % round(1 / FAILED) == 0
