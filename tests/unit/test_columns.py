"""What the tables of runs have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns.codes import Coded, Codes
from columns.following import Following
from columns.ids import Merge, as_ids, as_texts, find
from schema.leaderboard import Changes

IDS = st.sets(st.text("abc", min_size=1, max_size=3))


class Row(NamedTuple):
    """A run and what is known of it."""

    run_id: str
    figure: int


@dataclass(frozen=True)
class Rows:
    """The plainest table."""

    figures: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.figures)

    def changed(self, runs: Iterable[Row], gone: Iterable[str] = ()) -> Rows:
        return Rows({**{key: self.figures[key] for key in self.figures.keys() - set(gone)}, **dict(runs)})


class Told:
    """A store that says what has changed; ``figures`` is what it has."""

    def __init__(self, **figures: int) -> None:
        self.figures = figures
        self.news: frozenset[str] | None = frozenset()
        self.read: list[str] = []

    def read_cursor(self) -> str:
        return "1-0"

    def list_ids(self) -> Iterable[str]:
        return [*self.figures, *self.figures]

    def find_many(self, run_ids: Sequence[str]) -> Sequence[Row]:
        self.read += sorted(run_ids)
        return [Row(run_id, self.figures[run_id]) for run_id in run_ids if run_id in self.figures]

    def list_changes(self, cursor: str) -> Changes | None:
        return None if self.news is None else Changes(cursor, self.news)


def test_a_value_that_many_runs_share_is_tried_once() -> None:
    tried: list[object] = []

    def is_wanted(value: object) -> bool:
        tried.append(value)
        return value == "resnet9"

    column = Coded.of(["resnet9", "lenet5", "resnet9", "resnet9"])
    assert column.meets(is_wanted).tolist() == [True, False, True, True]
    assert tried == ["resnet9", "lenet5"]


@pytest.mark.parametrize("values", [(1, True, 1.0), (0, False, 0.0), (None, "None"), ((), ((),))])
def test_values_that_read_differently_have_numbers_of_their_own(values: tuple[object, ...]) -> None:
    codes = Codes()
    numbers = [codes.add(value) for value in values]
    assert numbers == list(range(len(values)))
    assert [codes.find(value) for value in values] == numbers
    column = Coded.of(values, codes)
    assert [column.equals(value).sum() for value in values] == [1] * len(values)


def test_no_run_has_a_value_that_is_not_known() -> None:
    column = Coded.of(["a", "b"])
    assert not column.equals("c").any()
    assert not Coded.of([]).meets(lambda _: True).any()


@given(IDS, IDS, IDS)
def test_a_merge_replaces_adds_and_leaves_out(known: set[str], new: set[str], gone: set[str]) -> None:
    before, added = as_ids(sorted(known)), as_ids(sorted(new))
    merge = Merge.of(before, added, gone)
    expected = sorted((known - gone) | new)
    assert as_texts(merge.run_ids) == expected
    column = merge.column(np.array([1] * len(known)), np.array([2] * len(new)))
    assert column.tolist() == [2 if run_id in new else 1 for run_id in expected]
    assert as_texts(before[find(before, added)]) == sorted(known & new)


def test_who_follows_reads_all_once_and_then_what_has_changed() -> None:
    store = Told(a=1, b=2, c=3)
    following = Following(store, Rows, kind="runs")
    assert following.refresh().figures == {"a": 1, "b": 2, "c": 3}
    assert store.read == ["a", "b", "c"]
    del store.figures["a"]
    store.figures |= {"b": 20, "d": 4}
    store.news = frozenset("abd")
    assert following.refresh().figures == {"b": 20, "c": 3, "d": 4}
    assert store.read[3:] == ["a", "b", "d"]


def test_where_nobody_knows_what_has_changed_all_is_read_again() -> None:
    store = Told(a=1, b=2)
    following = Following(store, Rows, kind="runs")
    following.refresh()
    store.figures, store.news = {"b": 3}, None
    assert following.refresh().figures == {"b": 3}


def test_what_changes_without_an_event_is_read_again_in_its_time() -> None:
    store, now_s = Told(a=1, b=2), [0.0]
    following = Following(
        store, Rows, kind="runs", unannounced=lambda _: "a", every_s=1.0, clock=lambda: now_s[0]
    )
    seen = []
    for now_s[0] in (0.0, 1.0, 1.5, 2.0):
        seen.append(following.refresh().figures["a"])
        store.figures["a"] += 1
    assert seen == [1, 2, 2, 4]
