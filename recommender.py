"""Which configuration to use: the best of the finished ones that keep to given limits."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeAlias, TypeVar

import numpy as np

from columns.ids import Column, Places
from leaderboard.configurations import Configurations
from leaderboard.pareto import Floats, Mask
from leaderboard.table import Table
from leaderboard.wording import (
    because,
    change_text,
    comparison_text,
    nothing_fits,
    nothing_known,
    nothing_there,
    round_up,
)
from schema.leaderboard import Choice
from schema.recommend import (
    Answer,
    Beaten,
    Candidate,
    Change,
    Goal,
    Limit,
    Limits,
    RecommendReply,
    Relaxation,
)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Scope: TypeAlias = tuple[bool, str | None, str | None]

_MOST_BEATEN: Final = 5
# So many different questions about one table are remembered, and the configurations of so many scopes.
_MOST_REPLIES: Final = 64
_MOST_SCOPES: Final = 8
_LISTED: Final = 200
# Subtracting makes noise: 0.98 is within 0.01 of 0.97.
_DECIMALS: Final = 12
_BUDGETS: Final[Mapping[Limit, str]] = {
    Limit.MAX_CO2_G: "co2_g",
    Limit.MAX_DURATION_S: "duration_s",
    Limit.MAX_ENERGY_KWH: "energy_kwh",
}


@dataclass
class _Kept:
    """What was worked out of one table."""

    version: int = 0
    replies: dict[Limits, RecommendReply] = field(default_factory=dict)
    scopes: dict[Scope, Configurations] = field(default_factory=dict)


class Recommender:
    """Answers questions about the finished runs of one store; keeps what it found until they change.

    Threads may share it. Two that ask the same at once may both work it out.
    """

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._kept = _Kept()

    def recommend(self, table: Table, limits: Limits) -> RecommendReply:
        """Return what ``recommend`` does."""
        kept = self._of(table)
        found = kept.replies.get(limits)
        if found is None:
            search = _Search(table, limits, kept.scopes)
            found = search.reply()
            with self._changing:
                _keep(kept.replies, limits, found, _MOST_REPLIES)
                _keep(kept.scopes, search.scope, search.configurations, _MOST_SCOPES)
        return found

    def find_configurations(self, table: Table, limits: Limits) -> tuple[RecommendReply, Configurations]:
        """Return what there is of a dataset and a device; without a device, of that of most runs."""
        found = self.recommend(table, limits)
        if limits.device is None and found.devices:
            limits = limits.model_copy(
                update={"dataset": found.dataset or "", "device": found.devices[0].value or ""}
            )
            found = self.recommend(table, limits)
        scope = (found.simulated, found.dataset, limits.device)
        known = self._of(table).scopes.get(scope)
        return found, known or _Search(table, limits).configurations

    def _of(self, table: Table) -> _Kept:
        with self._changing:
            if self._kept.version != table.version:
                self._kept = _Kept(table.version)
            return self._kept


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> None:
    if key not in kept and len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = value


def recommend(table: Table, limits: Limits) -> RecommendReply:
    """Return the configuration to use, without its hyper_params; or which limit to relax, and by how much.

    Near a target accuracy it is the one of the fewest grams, without one the most accurate. A configuration
    that does not know what is asked about is left out. Real runs and simulated ones never meet.
    """
    return _Search(table, limits).reply()


@dataclass(frozen=True)
class _Search:
    table: Table
    limits: Limits
    known: Mapping[Scope, Configurations] = field(default_factory=dict)
    """Of this table."""

    def reply(self) -> RecommendReply:
        """Answer with what was found."""
        found = self._ordered(self._fitting)
        relaxations = [] if len(found) else self._relaxations()
        return RecommendReply(
            dataset=self.dataset,
            device=self.limits.device or None,
            simulated=self.simulated,
            has_real=self.has_real,
            goal=self.limits.goal,
            target_accuracy=self.limits.target_accuracy,
            tolerance=None if self.limits.target_accuracy is None else self.limits.near,
            answer=self._answer(found) if len(found) else None,
            reason=self._reason(found),
            relaxations=tuple(relaxations),
            configurations=len(self.configurations),
            runs=len(self.configurations.places),
            fitting=len(found),
            unknown=int(np.count_nonzero(~self._knows)),
            is_mixed=self._is_mixed(self._fitting if len(found) else self._knows),
            datasets=self._choices("dataset", self._of_kind),
            devices=self._choices("device", self._of_dataset),
        )

    @cached_property
    def has_real(self) -> bool:
        """True when any run of the table is not simulated."""
        return not bool(self.table.columns["simulated"].all())

    @cached_property
    def simulated(self) -> bool:
        """Whether it is all about simulated runs."""
        if self.limits.simulated is not None:
            return self.limits.simulated
        return len(self.table) > 0 and not self.has_real

    @cached_property
    def dataset(self) -> str | None:
        """The one dataset that is looked at; where nothing is said, that of most runs."""
        if self.limits.dataset is not None:
            return self.limits.dataset or None
        choices = self._choices("dataset", self._of_kind)
        return choices[0].value if choices else None

    @cached_property
    def _of_kind(self) -> Places:
        return np.flatnonzero(self.table.columns["simulated"] == self.simulated)

    @cached_property
    def _of_dataset(self) -> Places:
        return self._keep(self._of_kind, "dataset", self.dataset)

    @property
    def scope(self) -> Scope:
        """What it is about."""
        return self.simulated, self.dataset, self.limits.device

    @cached_property
    def configurations(self) -> Configurations:
        """All that it is about. Dataset, device and what is simulated are the same for all runs of one."""
        known = self.known.get(self.scope)
        if known is not None:
            return known
        found = self._of_dataset
        if self.limits.device is not None:
            found = self._keep(found, "device", self.limits.device or None)
        return Configurations(self.table, found)

    def _keep(self, places: Places, name: str, value: str | None) -> Places:
        kept: Places = places[self.table.columns[name][places] == self.table.codes[name].find(value)]
        return kept

    @cached_property
    def _asked(self) -> dict[Limit, float]:
        """The limits that were given."""
        given = {limit: getattr(self.limits, limit.value) for limit in _BUDGETS}
        asked = {limit: value for limit, value in given.items() if value is not None}
        if self.limits.target_accuracy is not None:
            asked = {Limit.TOLERANCE: self.limits.near, **asked}
        return asked

    @cached_property
    def _distance(self) -> Floats:
        target = self.limits.target_accuracy or 0.0
        distance: Floats = np.abs(self.configurations.medians["accuracy"] - target)
        return np.asarray(np.round(distance, _DECIMALS), dtype=np.float64)

    def _values(self, limit: Limit) -> Floats:
        """Return what each configuration has of what a limit is about."""
        return self._distance if limit is Limit.TOLERANCE else self.configurations.medians[_BUDGETS[limit]]

    @cached_property
    def _knows(self) -> Mask:
        """Which configurations know all that is asked about."""
        needed = {_BUDGETS[limit] for limit in self._asked if limit in _BUDGETS}
        if self.limits.goal is Goal.FEWEST_GRAMS:
            needed.add("co2_g")
        knows = np.ones(len(self.configurations), dtype=bool)
        for name in needed:
            knows &= ~np.isnan(self.configurations.medians[name])
        return knows

    def _within(self, asked: Mapping[Limit, float]) -> Mask:
        """Tell which configurations know all, and keep to these limits."""
        kept = self._knows.copy()
        for limit, most in asked.items():
            kept &= self._values(limit) <= most
        return kept

    @cached_property
    def _fitting(self) -> Mask:
        return self._within(self._asked)

    def _ordered(self, mask: Mask, goal: Goal | None = None) -> Places:
        """Return the numbers of configurations, the best first; unknown figures come last."""
        found = np.flatnonzero(mask)
        figures = {name: column[found] for name, column in self.configurations.medians.items()}
        costs = [figures["co2_g"], figures["energy_kwh"], figures["duration_s"]]
        keys: list[Column] = [-figures["accuracy"], *costs]
        if (goal or self.limits.goal) is Goal.FEWEST_GRAMS:
            keys = [costs[0], self._distance[found], -figures["accuracy"], *costs[1:]]
        keys += [-self.configurations.runs[found], self.configurations.typical[found]]
        # What is sorted by first stands last.
        best_first: Places = found[np.lexsort(keys[::-1])]
        return best_first

    def _candidate(self, number: int) -> Candidate:
        return Candidate.model_validate(self.configurations.describe(number))

    def _answer(self, found: Places) -> Answer:
        best = self._candidate(int(found[0]))
        others = [self._candidate(int(number)) for number in found[1 : 1 + _MOST_BEATEN]]
        beats = [Beaten(candidate=other, reason=comparison_text(other, best)) for other in others]
        return Answer(candidate=best, beats=tuple(beats), more_for_less=self._more_for_less(int(found[0])))

    def _more_for_less(self, best: int) -> Candidate | None:
        """Return one beyond the tolerance that is better in both, where there is one."""
        target = self.limits.target_accuracy
        if target is None:
            return None
        budgets = dict(self._asked)
        del budgets[Limit.TOLERANCE]
        medians = self.configurations.medians
        mask = self._within(budgets) & ~self._fitting & (medians["accuracy"] > target)
        found = self._ordered(mask & (medians["co2_g"] <= medians["co2_g"][best]), Goal.HIGHEST_ACCURACY)
        return self._candidate(int(found[0])) if len(found) else None

    def _relaxations(self) -> list[Relaxation]:
        """Return what to relax: each limit that stands in the way alone; else the fewest of them together."""
        if not self._knows.any():
            return []
        singles: list[tuple[float, Relaxation]] = []
        for limit in self._asked:
            others = {other: most for other, most in self._asked.items() if other is not limit}
            mask = self._within(others)
            if mask.any():
                lowest = float(self._values(limit)[mask].min())
                singles.append((self._share(limit, lowest), self._relax({limit: lowest})))
        if singles:
            return [relaxation for _, relaxation in sorted(singles, key=lambda pair: pair[0])]
        return [self._relax(self._nearest())]

    def _nearest(self) -> dict[Limit, float]:
        """Return what the configuration needs that is over the fewest limits, and by the least in all."""
        over = {limit: self._values(limit) > most for limit, most in self._asked.items()}
        count = np.sum([mask.astype(int) for mask in over.values()], axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            excess = np.sum(
                [np.where(mask, self._shares(limit), 0.0) for limit, mask in over.items()], axis=0
            )
        ordered = self._ordered(self._knows)
        best = int(ordered[np.lexsort((excess[ordered], count[ordered]))[0]])
        return {limit: float(self._values(limit)[best]) for limit, mask in over.items() if mask[best]}

    def _shares(self, limit: Limit) -> Floats:
        """Return how far configurations are over a limit: accuracy as it is, budgets in parts of them."""
        over = self._values(limit) - self._asked[limit]
        return over if limit is Limit.TOLERANCE else over / self._asked[limit]

    def _share(self, limit: Limit, value: float) -> float:
        over = value - self._asked[limit]
        return over if limit is Limit.TOLERANCE else over / self._asked[limit]

    def _relax(self, lowest: Mapping[Limit, float]) -> Relaxation:
        needed = {limit: round_up(value) for limit, value in lowest.items()}
        best = self._candidate(int(self._ordered(self._within(self._asked | needed))[0]))
        changes = tuple(
            Change(
                limit=limit, asked=self._asked[limit], needed=most, by=_difference(most, self._asked[limit])
            )
            for limit, most in needed.items()
        )
        return Relaxation(changes=changes, candidate=best, reason=change_text(changes, best))

    def _is_mixed(self, mask: Mask) -> bool:
        measured, otherwise = self.configurations.is_measured[mask], self.configurations.is_otherwise[mask]
        return bool(measured.any() and otherwise.any())

    def _reason(self, found: Places) -> str:
        total, known = len(self.configurations), int(np.count_nonzero(self._knows))
        if not total:
            return nothing_there(self.dataset, self.limits.device, simulated=self.simulated)
        if not known:
            return nothing_known(total, self._asked, self.limits.goal)
        if not len(found):
            text = nothing_fits(known, self.limits.target_accuracy, self._asked)
        else:
            best = self._candidate(int(found[0]))
            text = because(best, len(found), self.limits.target_accuracy, self._asked)
        left_out = total - known
        if left_out:
            text += f" Left out: {_count(left_out)} not knowing what is asked about."
        return text

    def _choices(self, name: str, places: Places) -> tuple[Choice, ...]:
        counts = np.bincount(self.table.columns[name][places])
        known: Sequence[str | None] = self.table.codes[name].values
        found = [(known[code], int(counts[code])) for code in np.flatnonzero(counts).tolist()]
        ordered = sorted(found, key=lambda pair: (-pair[1], pair[0] is None, pair[0] or ""))
        return tuple(Choice(value=value, runs=runs) for value, runs in ordered[:_LISTED])


def _difference(more: float, less: float) -> float:
    """Subtract without the noise of it."""
    return float(f"{more - less:.12g}")


def _count(configurations: int) -> str:
    return "1 configuration" if configurations == 1 else f"{configurations} configurations"
