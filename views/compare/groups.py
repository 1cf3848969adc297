"""Runs in groups, by what they say of themselves, and the middle and the spread of each group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schema import RunReply
from schema.configurations import SEED, configuration_of
from views.compare.tables import flat_params, list_params
from views.form import number_text
from views.look import SIMULATED, run_title

SEEDS: Final = "all but the seed"
_TAG: Final = "tag"
_PROJECT: Final = "project"
_NONE: Final = "not said"
_SEPARATOR: Final = ":"
_MOST_PARAMS_IN_NAME: Final = 3


@dataclass(frozen=True)
class Group:
    """Runs that have something in common; real and simulated ones are never in one group."""

    name: str
    run_ids: tuple[str, ...]


@dataclass(frozen=True)
class Spread:
    """The middle of some values and how far they are apart."""

    n: int
    median: float
    first_quartile: float
    third_quartile: float
    low: float
    high: float


def spread_of(values: Iterable[float]) -> Spread | None:
    """Return the spread of the finite ones among values; None without any.

    Quartiles are interpolated between the two nearest values. Source: Hyndman and Fan 1996, "Sample Quantiles
    in Statistical Packages", definition 7.
    """
    known = sorted(value for value in values if math.isfinite(value))
    if not known:
        return None
    first, middle, third = (_quantile(known, share) for share in (0.25, 0.5, 0.75))
    return Spread(len(known), middle, first, third, known[0], known[-1])


def list_groupings(runs: Sequence[RunReply]) -> list[str]:
    """Return what runs can be grouped by: their configuration, what they are tagged with, their params.

    A tag such as sweep:x7 makes a grouping of its own, by what stands behind its first part.
    """
    tags = {tag for run in runs for tag in run.options.tags}
    kinds = sorted({tag.partition(_SEPARATOR)[0] for tag in tags if _SEPARATOR in tag})
    names = [name for name in list_params(runs, are_all_wanted=True) if name != SEED]
    # What many look for comes first.
    names.sort(key=lambda name: ("network", "dataset").index(name) if name in ("network", "dataset") else 2)
    found = [SEEDS, *(f"{_TAG} {kind}{_SEPARATOR}" for kind in kinds), *([_TAG] if tags else [])]
    return list(dict.fromkeys([*found, *names, _PROJECT]))


def group_runs(runs: Sequence[RunReply], by: str) -> list[Group]:
    """Return the groups in the order of their first runs; a run is in the group of each of its tags."""
    names = _configuration_names(runs) if by == SEEDS else {run.run_id: _names(run, by) for run in runs}
    found: dict[str, list[str]] = {}
    for run in runs:
        mark = f" ({SIMULATED})" if run.simulated else ""
        for name in names[run.run_id]:
            found.setdefault(f"{name}{mark}", []).append(run.run_id)
    return [Group(name, tuple(run_ids)) for name, run_ids in found.items()]


def _names(run: RunReply, by: str) -> Sequence[str]:
    if by == _TAG:
        return run.options.tags or (f"no {_TAG}",)
    if by.startswith(f"{_TAG} "):
        kind = by.removeprefix(f"{_TAG} ")
        return [tag for tag in run.options.tags if tag.startswith(kind)] or [f"no {kind.rstrip(_SEPARATOR)}"]
    params = dict(flat_params(run.hyper_params))
    if by == _PROJECT and _PROJECT not in params:
        return [run.options.project]
    value = params.get(by)
    return [f"{by} {_NONE}" if value is None else number_text(value)]


def _configuration_names(runs: Sequence[RunReply]) -> Mapping[str, Sequence[str]]:
    """Name the configuration of each run by what it differs in from the others."""
    keys = {run.run_id: _configuration(run) for run in runs}
    differing = [name for name in list_params(runs) if name != SEED][:_MOST_PARAMS_IN_NAME]
    names: dict[int, str] = {}
    for run in runs:
        params = dict(flat_params(run.hyper_params))
        words = [f"{name} {number_text(params.get(name))}" for name in differing]
        name = ", ".join(words) or run_title(run)
        taken = {own for key, own in names.items() if key != keys[run.run_id]}
        numbered = [name, *(f"{name} · {number}" for number in range(2, len(runs) + 1))]
        names.setdefault(keys[run.run_id], next(own for own in numbered if own not in taken))
    return {run_id: [names[key]] for run_id, key in keys.items()}


def _configuration(run: RunReply) -> int:
    return configuration_of(
        run.hyper_params,
        run.environment,
        simulated=run.simulated,
        script=(run.name, run.options.project) if run.is_external else None,
    )


def _quantile(known: Sequence[float], share: float) -> float:
    place = share * (len(known) - 1)
    below = math.floor(place)
    low, high = known[below], known[min(below + 1, len(known) - 1)]
    return low if low == high else low + (high - low) * (place - below)
