"""What the suggestion of a next trial has to know of the runs and trainers of this app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from api.rerunning import submittable
from api.state import db, settings
from errors import InvalidInput
from trainers import get_trainer, hyper_params_schema, validator


@dataclass(frozen=True)
class TrialDesk:
    """Reads from the store and the registry of trainers of the app that handles this request."""

    is_simulated: bool

    def find_params(self, run_ids: Sequence[str]) -> Sequence[Mapping[str, JsonValue] | None]:
        """Return the hyper_params of each run."""
        return db().finished.find_params(run_ids)

    def list_begun(self) -> Sequence[str]:
        """Return the runs that are queued, running or failed."""
        return db().finished.list_begun()

    def find_schema(self, trainer: str) -> Mapping[str, JsonValue] | None:
        """Return the JSON schema of a trainer's hyper_params; None where it is not installed any more."""
        try:
            spec = get_trainer(trainer)
        except InvalidInput:
            return None
        folder = settings().data_dir / "datasets"
        return hyper_params_schema(spec, datasets_dir=folder, default_dataset=settings().default_dataset)

    def validate(self, params: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return complete hyper_params. Raises InvalidInput."""
        return validator(settings())(submittable(params))

    def configuration_of(self, params: Mapping[str, JsonValue], *, device: str | None) -> int:
        """Return what finished runs of these hyper_params on a device have as their configuration."""
        return db().finished.configuration_of(params, device=device, simulated=self.is_simulated)
