"""The search box: what a query means, what is wrong with one, and which runs it finds in which order."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.matching import fits, match
from catalog.paging import Listing, Order, Place
from catalog.table import Table
from errors import InvalidInput
from schema import SortField, Status
from schema.listed import ListedRun
from schema.search import parse

DAY_S: Final = 1_767_225_600.0
"""The first second of 2026-01-01."""
RUN: Final = ListedRun(
    **{name: None for name in ListedRun._fields if name not in ("params", "tags")},  # type: ignore[arg-type]
    params={},
    tags=(),
)._replace(
    run_id="a",
    status=Status.DONE,
    project="default",
    queue="default",
    starred=False,
    simulated=False,
    external=False,
    epochs_done=1.0,
    attempt=1.0,
    failures=0.0,
    added=DAY_S,
)


def listed(run_id: str = "a", **changes: Any) -> ListedRun:
    return RUN._replace(run_id=run_id, **changes)


def found(query: str, *runs: ListedRun) -> list[str]:
    table = Table.of(runs)
    return table.ids(np.flatnonzero(match(table, parse(query))))


FEW: Final = st.sampled_from([0.0, 0.25, 0.5, 1.0])
RUNS: Final = st.lists(
    st.builds(
        listed,
        st.sampled_from(["a", "ab", "a-b", "A", "Ab", "0a", "0", "b"]),
        status=st.sampled_from([Status.DONE, Status.FAILED]),
        name=st.none() | st.sampled_from(["Net one", "é"]),
        network=st.none() | st.sampled_from(["resnet9", "resnet18", "lenet5"]),
        tags=st.sampled_from([(), ("paper",), ("paper", "group=x")]),
        params=st.sampled_from([{}, {"lr": 0.5}, {"lr": "0.5", "amp": True}, {"lr": None}, {"lr": "high"}]),
        starred=st.booleans(),
        simulated=st.booleans(),
        best_accuracy=st.none() | FEW,
        energy_kwh=st.none() | FEW,
        added=st.sampled_from([DAY_S - 1, DAY_S, DAY_S + 86_399, DAY_S + 86_400]),
        ended=st.none() | st.just(DAY_S),
    ),
    max_size=8,
    unique_by=lambda run: run.run_id,
)


def number(run: ListedRun, name: str = "lr") -> float:
    value = run.params.get(name)
    try:
        return math.nan if value is None or isinstance(value, bool) else float(value)
    except ValueError:
        return math.nan


Test = Callable[[ListedRun], bool]
# What each term means, written down a second time and without columns.
TERMS: Final[dict[str, Test]] = {
    "network:ResNet9": lambda run: run.network == "resnet9",
    "network=resnet*": lambda run: (run.network or "").startswith("resnet"),
    "network!=lenet5": lambda run: run.network != "lenet5",
    'name:"net one"': lambda run: run.name == "Net one",
    "name:É": lambda run: run.name == "é",
    "status:failed": lambda run: run.status is Status.FAILED,
    "tag:paper": lambda run: "paper" in run.tags,
    "tag:*": lambda run: bool(run.tags),
    "tag:group=x": lambda run: "group=x" in run.tags,
    "group:X": lambda run: run.group == "x",
    "group:*": lambda run: run.group is not None,
    "starred:yes": lambda run: run.starred,
    "simulated:NO": lambda run: not run.simulated,
    "id:a": lambda run: run.run_id.lower().startswith("a"),
    "accuracy>0.25": lambda run: run.best_accuracy is not None and run.best_accuracy > 0.25,
    "accuracy>=0.25": lambda run: run.best_accuracy is not None and run.best_accuracy >= 0.25,
    "best_accuracy<5e-1": lambda run: run.best_accuracy is not None and run.best_accuracy < 0.5,
    "accuracy<=0.25": lambda run: run.best_accuracy is not None and run.best_accuracy <= 0.25,
    "energy_kwh:0": lambda run: run.energy_kwh == 0,
    "energy_kwh!=0": lambda run: run.energy_kwh != 0,
    "lr:0.50": lambda run: number(run) == 0.5,
    "lr!=0.5": lambda run: number(run) != 0.5,
    "lr>0.25": lambda run: number(run) > 0.25,
    "params.lr:h*": lambda run: run.params.get("lr") == "high",
    "amp:true": lambda run: run.params.get("amp") is True,
    "added:2026-01-01": lambda run: DAY_S <= run.added < DAY_S + 86_400,
    "added>2026-01-01": lambda run: run.added >= DAY_S + 86_400,
    "added<=2026-01-01": lambda run: run.added < DAY_S + 86_400,
    "added<2026-01-01T00:00:00Z": lambda run: run.added < DAY_S,
    "ended:2026-01-01T00:00": lambda run: run.ended == DAY_S,
    "paper": lambda run: "paper" in run.tags,
    '"NET ONE"': lambda run: run.name == "Net one",
}
# Of no use to what is tried here, but a run has to have them for their names to be known.
KNOWN = listed("known", params={"lr": 1, "amp": 1})


@settings(deadline=None)
@given(
    runs=RUNS, chosen=st.lists(st.tuples(st.sampled_from(sorted(TERMS)), st.booleans()), max_size=4), at=FEW
)
def test_a_search_finds_what_brute_force_finds(
    runs: list[ListedRun], chosen: list[tuple[str, bool]], at: float
) -> None:
    everything = [*runs, KNOWN]
    query = " ".join(f"{'-' if is_negated else ''}{term}" for term, is_negated in chosen)
    wanted = sorted(
        run.run_id
        for run in everything
        if all(TERMS[term](run) is not is_negated for term, is_negated in chosen)
    )
    assert found(query, *everything) == wanted


@settings(deadline=None)
@given(before=RUNS, changed=RUNS, gone=st.sets(st.sampled_from(["a", "ab", "b", "none"])))
def test_a_table_that_changes_is_the_one_that_would_be_made_anew(
    before: list[ListedRun], changed: list[ListedRun], gone: set[str]
) -> None:
    table = Table.of(before)
    names = ("best_accuracy", "network", "tag", "params.lr", "starred", "text", "id")
    for name in names:
        table.column(name)  # which goes with the table from now on
    new = {run.run_id: run for run in (*before, *changed)}
    left = {run.run_id for run in changed} | (set(new) - gone)
    after, anew = (
        table.changed(changed, gone - {run.run_id for run in changed}),
        Table.of(run for run in new.values() if run.run_id in left),
    )
    assert after.run_ids.tolist() == anew.run_ids.tolist()
    for name in names:
        np.testing.assert_array_equal(after.column(name), anew.column(name))


def in_order(runs: Sequence[ListedRun], sort: SortField, order: Order) -> list[str]:
    """The order of the list of runs: real ones, then simulated; of each kind unknown and blank ones last."""
    is_reversed = order == "desc"
    if sort is SortField.TIME_ADDED:
        return [
            run.run_id for run in sorted(runs, key=lambda run: (run.added, run.run_id), reverse=is_reversed)
        ]
    listed_ids = []
    for simulated in (False, True):
        kind = [run for run in runs if run.simulated is simulated]
        blank = [run for run in kind if run.best_accuracy is None and run.energy_kwh is None]
        known = [run for run in kind if getattr(run, sort.value) is not None]
        unknown = [run for run in kind if run not in blank and run not in known]
        for part, key in (
            (known, lambda run: (getattr(run, sort.value), run.run_id)),
            (unknown, lambda run: run.run_id),
            (blank, lambda run: (run.added, run.run_id)),
        ):
            listed_ids += [run.run_id for run in sorted(part, key=key, reverse=is_reversed)]
    return listed_ids


@settings(deadline=None)
@given(
    runs=RUNS,
    sort=st.sampled_from([SortField.TIME_ADDED, SortField.BEST_ACCURACY, SortField.ENERGY_KWH]),
    order=st.sampled_from(["asc", "desc"]),
    size=st.integers(1, 3),
)
def test_a_walk_over_its_pages_gives_every_run_once_in_the_order_of_the_list(
    runs: list[ListedRun], sort: SortField, order: Order, size: int
) -> None:
    table, listing = Table.of(runs), Listing(sort, order, ("",))
    walked: list[str] = []
    place: Place | None = None
    while True:
        places, ranks = listing.arrange(table, np.arange(len(table)), place)
        walked += table.ids(places[:size])
        assert len(walked) <= len(runs), "a walk that does not end"
        if len(places) <= size:
            break
        place = listing.decode_cursor(listing.encode_cursor(ranks, size - 1))
    assert walked == in_order(runs, sort, order)


def test_a_cursor_is_good_for_its_own_search_only() -> None:
    table, listing = Table.of([listed("a"), listed("b")]), Listing(SortField.TIME_ADDED, "asc", ("x",))
    _, ranks = listing.arrange(table, np.arange(2), None)
    cursor = listing.encode_cursor(ranks, 0)
    assert listing.decode_cursor(cursor).run_id == "a"
    for other in (replace(listing, order="desc"), replace(listing, filters=("y",))):
        with pytest.raises(InvalidInput, match="does not belong"):
            other.decode_cursor(cursor)
    for nonsense in ("", "e30", "bnVsbA", "é", cursor[:-3]):
        with pytest.raises(InvalidInput, match="does not belong"):
            listing.decode_cursor(nonsense)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("network:a accuracy>", "At character 20, 'accuracy>': a value is missing"),
        ("accuracy>high", "At character 10, 'high': best_accuracy is compared with a number"),
        ("accuracy>nan", "At character 10, 'nan'"),
        ("lr>fast", "At character 4, 'fast': lr is compared with a number"),
        ("network>resnet9", "At character 8, '>': network has no order: write network:resnet9"),
        ("x status:faild", "At character 10, 'faild'.*did you mean failed"),
        ("starred:maybe", "At character 9, 'maybe': starred is yes or no"),
        ("added>yesterday", "At character 7, 'yesterday': added is compared with a day"),
        ("added:2026-02-30", "At character 7, '2026-02-30'"),
        ('tag:"a b', "At character 5.*closing"),
        ("a - b", "At character 4, '-': a word is missing behind -"),
        ("accuracy > 0.9", "At character 10, '>': a field is missing before it"),
        ("x" * 501, "500 characters at most"),
    ],
)
def test_what_does_not_read_is_refused_with_its_place(query: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=text) as refused:
        parse(query)
    assert [detail.field for detail in refused.value.details] == ["q"]


def test_a_field_that_nothing_has_is_refused_with_those_that_are_near() -> None:
    table = Table.of([listed(params={"learning_rate": 1})])
    with pytest.raises(InvalidInput, match=r"At character 5, 'acuracy': .* did you mean accuracy"):
        match(table, parse("foo acuracy>0.9"))
    with pytest.raises(InvalidInput, match=r"At character 2, 'learning_rat': .*learning_rate"):
        match(table, parse("-learning_rat:1"))
    assert not match(table, parse("params.other:1 batch_size:1"), params=["batch_size"]).any()


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_search_or_is_refused_as_one(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert match(Table.of([KNOWN]), parse(text)).shape == (1,)


@settings(deadline=None)
@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_stars_stand_for_any_characters(pattern: str, text: str) -> None:
    def slowly(pattern: str, text: str) -> bool:
        if not pattern or not text:
            return not text and not pattern.strip("*")
        if pattern[0] == "*":
            return slowly(pattern[1:], text) or slowly(pattern, text[1:])
        return pattern[0] == text[0] and slowly(pattern[1:], text[1:])

    assert fits(f"{pattern}*", text) == slowly(f"{pattern}*", text)
