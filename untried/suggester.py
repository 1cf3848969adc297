"""What to try next, worked out in a thread and kept until the runs change that it was learnt from."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import numpy as np
from pydantic import JsonValue

from columns.ids import Places
from errors import InvalidInput
from leaderboard.configurations import Configurations
from schema.next_try import LEAST_CONFIGURATIONS, NextReply, Trial
from schema.recommend import Candidate
from untried import wording
from untried.begun import Begun, digest_of
from untried.ranking import Known, Ranked, rank_untried
from untried.space import Params

# A fit takes the third power of it.
MOST_LEARNT: Final = 100
_WAIT_S: Final = 0.25
_MOST_KEPT: Final = 32


class Desk(Protocol):
    """What has to be known of runs and trainers."""

    def find_params(self, run_ids: Sequence[str]) -> Sequence[Mapping[str, JsonValue] | None]:
        """Return the hyper_params of each run."""

    def list_begun(self) -> Sequence[str]:
        """Return the runs that are queued, running or failed."""

    def find_schema(self, trainer: str) -> Mapping[str, JsonValue] | None:
        """Return the JSON schema of a trainer's hyper_params; None where it is not installed."""

    def validate(self, params: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return complete hyper_params. Raises InvalidInput."""

    def configuration_of(self, params: Mapping[str, JsonValue], *, device: str | None) -> int:
        """Return what finished runs of these hyper_params on a device have as their configuration."""


@dataclass(frozen=True)
class Scope:
    """The finished runs of one dataset on one kind of device."""

    dataset: str | None
    device: str | None
    simulated: bool
    configurations: Configurations

    @cached_property
    def known(self) -> Places:
        """The configurations that can be learnt from, the most accurate first."""
        medians = self.configurations.medians
        co2_g = np.nan_to_num(medians["co2_g"], nan=0.0)
        is_own = ~self.configurations.table.columns["is_external"][self.configurations.typical]
        found = np.flatnonzero((co2_g > 0) & is_own)
        keys = self.configurations.keys[found]
        return np.asarray(found[np.lexsort((keys, -medians["accuracy"][found]))], dtype=np.intp)

    def chosen(self) -> Places:
        """Return those to learn from: of too many half are the best, and half are any, always the same."""
        best, rest = self.known[: MOST_LEARNT // 2], self.known[MOST_LEARNT // 2 :]
        # A key is a digest, so that its order is none.
        others = rest[np.argsort(self.configurations.keys[rest])]
        return np.concatenate([best, others[: MOST_LEARNT - len(best)]])

    def fingerprint(self) -> bytes:
        """Return what is the same as long as the same would be learnt."""
        medians = self.configurations.medians
        columns = (self.configurations.keys, medians["accuracy"], medians["co2_g"])
        return hashlib.blake2b(b"".join(column.tobytes() for column in columns)).digest()

    def best(self, max_co2_g: float | None) -> Candidate | None:
        """Return the most accurate one of those that can be learnt from, within a budget."""
        co2_g = self.configurations.medians["co2_g"][self.known]
        allowed = self.known if max_co2_g is None else self.known[co2_g <= max_co2_g]
        return (
            Candidate.model_validate(self.configurations.describe(int(allowed[0]))) if len(allowed) else None
        )

    @property
    def is_mixed(self) -> bool:
        """True where the energy of some was measured, and that of others was not."""
        found = self.configurations
        return bool(found.is_measured[self.known].any() and found.is_otherwise[self.known].any())


class Suggester:
    """Says what to try next. Threads may share it; one thing at a time is worked out, in a thread."""

    def __init__(self, *, wait_s: float = _WAIT_S) -> None:
        self._wait_s = wait_s
        self._changing = threading.Lock()
        self._working = ThreadPoolExecutor(max_workers=1, thread_name_prefix="untried")
        self._kept: dict[tuple[object, ...], Future[Ranked]] = {}
        self._begun = Begun()

    def suggest(self, scope: Scope, max_co2_g: float | None, desk: Desk) -> NextReply:
        """Return the untried configuration of the best expected improvement per gram, or the reason for none.

        ``is_working`` after ``wait_s``: then the same question a little later has the answer.
        """
        if len(scope.known) < LEAST_CONFIGURATIONS:
            where = wording.where_text(scope.dataset, scope.device)
            return _reply(scope, max_co2_g, wording.too_few(len(scope.known), where))
        try:
            ranked = self._begin(scope, max_co2_g, desk).result(timeout=self._wait_s)
        except (NotYet, CancelledError):
            # Cancelled by many newer questions: whoever asks again is the newest.
            return _reply(scope, max_co2_g, wording.WORKING, is_working=True)
        if not ranked.trials:
            return _reply(scope, max_co2_g, wording.why_not(ranked, max_co2_g), ranked)
        trial = _first_untried(ranked.trials, scope, desk, self._begun.digests(desk))
        reason = wording.all_begun(ranked) if trial is None else wording.why(trial, ranked)
        return _reply(scope, max_co2_g, reason, ranked, trial)

    def _begin(self, scope: Scope, max_co2_g: float | None, desk: Desk) -> Future[Ranked]:
        key = (scope.dataset, scope.device, scope.simulated, max_co2_g, scope.fingerprint())
        with self._changing:
            found = self._kept.get(key)
        if found is not None:
            return found
        known, schema = _read(scope, desk)
        with self._changing:
            # Somebody else may have asked the same meanwhile.
            if key not in self._kept:
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.pop(next(iter(self._kept))).cancel()
                self._kept[key] = self._working.submit(rank_untried, known, schema, max_co2_g=max_co2_g)
            return self._kept[key]


def _read(scope: Scope, desk: Desk) -> tuple[list[Known], Params]:
    """Return what to learn from: of the trainer that most of the runs have."""
    found = scope.configurations
    chosen = scope.chosen()
    stored = desk.find_params(found.table.ids(found.typical[chosen]))
    pairs = [
        (number, params) for number, params in zip(chosen.tolist(), stored, strict=True) if params is not None
    ]
    trainers = Counter(str(params.get("trainer")) for _, params in pairs)
    name = min(trainers, key=lambda each: (-trainers[each], each), default="")
    accuracy, co2_g = found.medians["accuracy"], found.medians["co2_g"]
    known = [
        Known(params, float(accuracy[number]), float(co2_g[number]), int(found.runs[number]))
        for number, params in pairs
        if params.get("trainer") == name
    ]
    return known, desk.find_schema(name) or {}


def _first_untried(
    trials: Sequence[Trial], scope: Scope, desk: Desk, begun: frozenset[bytes]
) -> Trial | None:
    finished = set(scope.configurations.keys.tolist())
    for trial in trials:
        try:
            params = desk.validate(trial.hyper_params)
        except InvalidInput:
            # Two values that may not stand together.
            continue
        is_finished = desk.configuration_of(params, device=scope.device) in finished
        if digest_of(params) not in begun and not is_finished:
            return trial.model_copy(update={"hyper_params": params})
    return None


def _reply(
    scope: Scope,
    max_co2_g: float | None,
    reason: str,
    ranked: Ranked | None = None,
    trial: Trial | None = None,
    *,
    is_working: bool = False,
) -> NextReply:
    return NextReply(
        dataset=scope.dataset,
        device=scope.device,
        simulated=scope.simulated,
        is_working=is_working,
        trial=trial,
        best=scope.best(max_co2_g),
        reason=reason,
        configurations=len(scope.known),
        needed=LEAST_CONFIGURATIONS,
        learnt_from=ranked.learnt_from if ranked else 0,
        runs=ranked.runs if ranked else 0,
        held_out=ranked.held_out if ranked else None,
        is_mixed=scope.is_mixed,
    )
