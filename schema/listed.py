"""A run as far as a search needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from schema.records import Scalar, Status
from schema.search import GROUP_PREFIX


class Params(Mapping[str, Scalar]):
    """Hyperparameters by their names, which all runs with the same ones share: half of what a dict takes."""

    __slots__ = ("_places", "_values")

    def __init__(self, params: Mapping[str, Scalar]) -> None:
        self._places = _places_of(tuple(params))
        self._values = tuple(params.values())

    def __getitem__(self, name: str) -> Scalar:
        return self._values[self._places[name]]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._values)


@lru_cache(maxsize=1_000)
def _places_of(names: tuple[str, ...]) -> Mapping[str, int]:
    return {name: place for place, name in enumerate(names)}


class ListedRun(NamedTuple):
    """What a search looks at in a run, and what its results are sorted by; None is unknown."""

    run_id: str
    status: Status
    name: str | None
    network: str | None
    dataset: str | None
    project: str
    queue: str
    host: str | None
    worker: str | None
    device: str | None
    energy_quality: str | None
    error: str | None
    """The class of its failure."""
    tags: tuple[str, ...]
    params: Mapping[str, Scalar]
    """Its hyperparameters; those within others under names such as optimizer.lr."""
    starred: bool
    simulated: bool
    external: bool
    best_accuracy: float | None
    last_accuracy: float | None
    last_loss: float | None
    energy_kwh: float | None
    co2_g: float | None
    duration_s: float | None
    accuracy_per_kwh: float | None
    epochs_done: float
    attempt: float
    failures: float
    parameters: float | None
    added: float
    """In seconds since 1970, as the next two."""
    started: float | None
    ended: float | None

    @property
    def group(self) -> str | None:
        """The group it is in."""
        found = (tag for tag in self.tags if tag.startswith(GROUP_PREFIX))
        return next((tag.removeprefix(GROUP_PREFIX) for tag in found), None)

    @property
    def text(self) -> str:
        """All that words are looked for in, in small letters."""
        values = [self.run_id, self.name or "", self.queue, self.project, *self.tags]
        return "\n".join([*values, *(str(value) for value in self.params.values())]).lower()
