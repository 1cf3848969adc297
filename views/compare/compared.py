"""The runs of a comparison with what is known of their metrics, and a reader's choices, kept in the URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import streamlit as st

from errors import ApiRefused
from schema import MetricSummary, RunReply
from views import source
from views.compare.charts import Line, lines_of
from views.compare.spread_charts import Look
from views.compare.tables import labels_of, rank_of
from views.run.system import PREFIX as SYSTEM

_IN_URL: Final = "query-params"


@dataclass(frozen=True)
class Compared:
    """The runs and what is known of their metrics; those of no run are ``missing``, with the reason."""

    runs: Sequence[RunReply]
    metrics: Mapping[str, Mapping[str, MetricSummary]]
    missing: Mapping[str, str]
    is_silent: bool = False

    @property
    def is_live(self) -> bool:
        """Whether something of it may still change, or the API has to come back first."""
        return self.is_silent or any(not run.status.is_final for run in self.runs)

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """The name of each run, no two alike."""
        return labels_of(self.runs)

    @cached_property
    def lines(self) -> Mapping[str, Line]:
        """How each run is drawn."""
        return lines_of([run.run_id for run in self.runs])

    @cached_property
    def look(self) -> Look:
        """How runs are drawn and called."""
        simulated = frozenset(run.run_id for run in self.runs if run.simulated)
        return Look(self.lines, self.labels, simulated)

    def list_names(self, *, has_system: bool = True) -> list[str]:
        """Return the metrics: what they are trained for first, of that what most have; machines last."""
        counts: dict[str, int] = {}
        for own in self.metrics.values():
            for name in own:
                counts[name] = counts.get(name, 0) + 1

        def rank(name: str) -> tuple[bool, int, int, str]:
            return name.startswith(SYSTEM), rank_of(name), -counts[name], name

        return sorted((name for name in counts if has_system or not name.startswith(SYSTEM)), key=rank)


def fetch(wanted: Sequence[str]) -> Compared:
    """Return the runs of these ids and their metrics."""
    runs, metrics, missing, is_silent = [], {}, {}, False
    for iid in wanted:
        try:
            run = source.fetch(f"compare:{iid}", partial(source.get_run, iid), of=iid)
            found = source.fetch(f"compare:metrics:{iid}", partial(source.list_compared, iid), of=iid)
        except ApiRefused as error:
            missing[iid] = str(error)
            continue
        is_silent = is_silent or run.problem is not None or found.problem is not None
        if run.value is not None:
            runs.append(run.value)
            metrics[run.value.run_id] = {metric.name: metric for metric in found.value or ()}
    return Compared(runs, metrics, missing, is_silent)


def choose_one(key: str, label: str, options: Sequence[str], otherwise: str, **more: Any) -> str:
    """Draw a box to choose from; the choice is in the URL unless it is ``otherwise``."""
    _forget_unknown(key, options)
    index = options.index(otherwise)
    return str(st.selectbox(label, options, index=index, key=key, bind=_IN_URL, **more))


def choose_tab(key: str, label: str, options: Sequence[str], **more: Any) -> str:
    """Draw buttons of which one is pressed, at first the first; the choice is in the URL."""
    found = st.segmented_control(
        label, options, default=options[0], required=True, key=key, bind=_IN_URL, **more
    )
    return str(found)


def choose_many(
    key: str, label: str, options: Sequence[str], otherwise: Sequence[str], **more: Any
) -> list[str]:
    """Draw a box to choose some; the choice is in the URL unless it is ``otherwise``."""
    _forget_unknown(key, options)
    return list(st.multiselect(label, options, default=list(otherwise), key=key, bind=_IN_URL, **more))


def choose_flag(key: str, label: str, **more: Any) -> bool:
    """Draw a switch, off at first; the choice is in the URL."""
    return bool(st.toggle(label, key=key, bind=_IN_URL, **more))


def _forget_unknown(key: str, options: Sequence[str]) -> None:
    """Forget a choice of other runs that these do not have."""
    kept = st.session_state.get(key)
    chosen = [kept] if isinstance(kept, str) else list(kept or ())
    if any(choice not in options for choice in chosen):
        del st.session_state[key]
