"""Which finished runs are ranked, and in which order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidInput
from leaderboard.ranking import Ranking, Wish
from leaderboard.rows import show
from leaderboard.seeds import SeedGroups
from leaderboard.table import Table
from schema.leaderboard import CostField, FinishedRun, LeaderboardReply, RankField
from tests.finished_runs import RUNS, finished

WISHES = st.builds(
    Wish,
    dataset=st.none() | st.sampled_from(["digits", "mnist", "", "never"]),
    network=st.none() | st.sampled_from(["lenet5", ""]),
    tag=st.none() | st.just("paper"),
    min_accuracy=st.none() | st.sampled_from([0.0, 0.5]),
    include_simulated=st.none() | st.booleans(),
    per=st.sampled_from(["all", "network"]),
    sort=st.sampled_from(RankField),
    order=st.sampled_from([None, "asc", "desc"]),
)


def ids(ranking: Ranking) -> list[str]:
    return ranking.table.ids(ranking.ranked)


def ranked(*runs: FinishedRun, **wish: object) -> list[str]:
    return ids(Ranking(Table.of(runs), Wish(**wish)))  # type: ignore[arg-type] # as a test says it


def answer(ranking: Ranking, *, limit: int = 100, cursor: str | None = None) -> LeaderboardReply:
    return show(ranking, SeedGroups(ranking.table), limit=limit, cursor=cursor)


def test_the_most_accuracy_for_a_kwh_comes_first() -> None:
    runs = [finished("a", energy_kwh=0.002), finished("b", energy_kwh=0.001), finished("c", energy_kwh=0.003)]
    assert ranked(*runs) == ["b", "a", "c"]


def test_a_run_of_unknown_energy_or_none_comes_last_in_both_orders() -> None:
    runs = [finished("a", energy_kwh=None), finished("b"), finished("c", energy_kwh=0.0)]
    assert ranked(*runs) == ["b", "a", "c"]
    assert ranked(*runs, order="asc") == ["b", "a", "c"]


@given(RUNS, WISHES)
def test_no_simulated_run_is_ranked_above_a_real_one(runs: list[FinishedRun], wish: Wish) -> None:
    ranking = Ranking(Table.of(runs), wish)
    kinds = ranking.table.values("simulated", ranking.ranked)
    assert kinds == sorted(kinds)


@given(RUNS, WISHES)
def test_values_follow_the_order_and_unknown_ones_come_last(runs: list[FinishedRun], wish: Wish) -> None:
    ranking = Ranking(Table.of(runs), wish)
    rows = [
        (ranking.table.values("simulated", np.array([place]))[0], ranking.sort_value(place), run_id)
        for place, run_id in zip(ranking.ranked.tolist(), ids(ranking), strict=True)
    ]
    for (kind, value, run_id), (next_kind, next_value, next_id) in pairwise(rows):
        if kind != next_kind:
            continue
        if value is None or value == next_value:
            assert next_value == value
            assert run_id < next_id
        elif next_value is not None:
            is_less = value < next_value  # type: ignore[operator] # both are of one column
            assert is_less == (wish.effective_order == "asc")


def test_runs_more_than_two_points_below_the_best_are_left_out_unless_they_are_asked_for() -> None:
    runs = [finished("a", accuracy=0.97), finished("b", accuracy=0.95), finished("c", accuracy=0.9499)]
    assert sorted(ranked(*runs)) == ["a", "b"]
    assert sorted(ranked(*runs, min_accuracy=0.0)) == ["a", "b", "c"]


def test_a_simulated_run_does_not_raise_what_real_ones_have_to_reach() -> None:
    runs = [finished("a", accuracy=0.9), finished("b", accuracy=0.99, simulated=True)]
    assert ranked(*runs, include_simulated=True) == ["a", "b"]


def test_simulated_runs_take_part_by_themselves_only_while_there_is_no_real_one() -> None:
    simulated = finished("s", simulated=True)
    assert ranked(simulated) == ["s"]
    assert ranked(simulated, finished("r")) == ["r"]
    assert ranked(simulated, finished("r"), include_simulated=True) == ["r", "s"]
    assert ranked(simulated, include_simulated=False) == []


def test_one_dataset_is_ranked_that_of_most_real_runs() -> None:
    runs = [finished("a", dataset="mnist"), finished("b"), finished("c"), finished("d", dataset=None)]
    made_up = [finished(f"s{number}", dataset="mnist", simulated=True) for number in range(9)]
    assert ranked(*runs, *made_up, include_simulated=True) == ["b", "c"]
    assert ranked(*runs, dataset="mnist") == ["a"]
    assert ranked(*runs, dataset="") == ["d"]
    assert ranked(*runs, dataset="never") == []


def test_filters_leave_runs_out() -> None:
    runs = [finished("a", device="H200", tags=("paper",)), finished("b", project="p"), finished("c")]
    assert ranked(*runs, device="H200") == ["a"]
    assert ranked(*runs, tag="paper") == ["a"]
    assert ranked(*runs, tag="pap") == []
    assert ranked(*runs, project="p") == ["b"]


def test_of_each_network_the_first_run_is_left_and_all_that_name_none() -> None:
    runs = [
        finished("a", network="lenet5", energy_kwh=0.002),
        finished("b", network="lenet5", energy_kwh=0.001),
        finished("c", network="resnet9"),
        finished("d", network=None),
        finished("e", network=None),
    ]
    assert ranked(*runs, per="network") == ["b", "c", "d", "e"]
    assert ranked(*runs, per="network", sort=RankField.ENERGY_KWH, order="desc") == ["a", "c", "d", "e"]


@given(RUNS, WISHES, st.integers(1, 7))
def test_pages_add_up_to_the_whole_ranking(runs: list[FinishedRun], wish: Wish, limit: int) -> None:
    ranking = Ranking(Table.of(runs), wish)
    walked, cursor = [], None
    for _ in range(len(runs) + 1):
        page = answer(ranking, limit=limit, cursor=cursor)
        walked += [(row.rank, row.run_id) for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
    assert walked == list(enumerate(ids(ranking), start=1))


def test_a_cursor_finds_its_place_when_its_run_is_gone_and_others_have_come() -> None:
    runs = [finished(name, energy_kwh=kwh) for name, kwh in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    table = Table.of(runs)
    cursor = answer(Ranking(table, Wish()), limit=2).cursor
    changed = table.changed([finished("0", energy_kwh=0.5), finished("d", energy_kwh=2.5)], gone=["b"])
    assert [row.run_id for row in answer(Ranking(changed, Wish()), cursor=cursor).rows] == ["d", "c"]


@pytest.mark.parametrize("cursor", ["x", "W10", "bnVsbA", "WyJhY2N1cmFjeSIsImRlc2MiLGZhbHNlLDEsImEiXQ"])
def test_a_cursor_of_another_ranking_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        answer(Ranking(Table.of([finished("a")]), Wish()), cursor=cursor)


@given(RUNS, st.sampled_from(CostField))
def test_a_limit_of_accuracy_takes_nobody_onto_a_front_or_off_it(
    runs: list[FinishedRun], cost: CostField
) -> None:
    table = Table.of(runs)
    everybody, some = (Ranking(table, Wish(dataset="digits", min_accuracy=at)) for at in (0.0, 0.5))
    front_of_all = set(table.ids(everybody.worthy[everybody.front(cost)]))
    assert set(table.ids(some.worthy[some.front(cost)])) == front_of_all & set(table.ids(some.worthy))


def test_a_simulated_run_outdoes_no_real_one() -> None:
    runs = [finished("a"), finished("s", accuracy=0.99, co2_g=0.1, simulated=True)]
    page = answer(Ranking(Table.of(runs), Wish(include_simulated=True, min_accuracy=0)))
    assert [point.run_id for point in page.fronts[0].points] == ["a"]
    assert CostField.CO2_G in page.rows[0].fronts


def test_a_front_tells_what_its_runs_cost_cheapest_first() -> None:
    runs = [finished("a", accuracy=0.9, co2_g=2.0), finished("b", accuracy=0.8, co2_g=1.0)]
    runs += [finished("c", accuracy=0.7, co2_g=1.5), finished("d", accuracy=0.99, co2_g=None)]
    front = answer(Ranking(Table.of(runs), Wish(min_accuracy=0.0))).fronts[0]
    assert [(point.run_id, point.accuracy, point.cost) for point in front.points] == [
        ("b", 0.8, 1.0),
        ("a", 0.9, 2.0),
    ]


def test_a_long_front_is_thinned_and_keeps_its_ends() -> None:
    runs = [finished(f"r{n:04}", accuracy=n / 2000, co2_g=float(n)) for n in range(1, 1001)]
    front = answer(Ranking(Table.of(runs), Wish(min_accuracy=0.0))).fronts[0]
    assert (front.total, len(front.points)) == (1000, 500)
    assert (front.points[0].run_id, front.points[-1].run_id) == ("r0001", "r1000")


def test_measured_and_other_energy_beside_each_other_is_told() -> None:
    mixed = [finished("a"), finished("b", energy_quality="estimated")]
    stated = [finished("a"), finished("b", energy_quality=None)]
    unknown = [finished("a"), finished("b", energy_kwh=None, energy_quality=None)]
    assert [Ranking(Table.of(runs), Wish()).is_mixed for runs in (mixed, stated, unknown)] == [
        True,
        True,
        False,
    ]


def test_runs_that_differ_in_their_seeds_show_median_and_range() -> None:
    runs = [
        finished("a", accuracy=0.98, energy_kwh=1.0, seed=1.0),
        finished("b", accuracy=0.90, energy_kwh=None, seed=2.0),
        finished("c", accuracy=0.97, energy_kwh=2.0, energy_quality="estimated", seed=3.0),
        finished("d", configuration=2),
    ]
    rows = {row.run_id: row for row in answer(Ranking(Table.of(runs), Wish(min_accuracy=0.0))).rows}
    assert rows["d"].seeds is None
    group = rows["a"].seeds
    assert group is not None
    assert group == rows["b"].seeds
    assert (group.runs, group.is_mixed) == (3, True)
    assert group.accuracy.model_dump() == {"n": 3, "median": 0.97, "low": 0.90, "high": 0.98}
    assert group.energy_kwh is not None
    assert group.energy_kwh.model_dump() == {"n": 2, "median": 1.5, "low": 1.0, "high": 2.0}


def test_runs_that_are_not_accurate_enough_still_count_for_their_configuration() -> None:
    runs = [finished("a", accuracy=0.98), finished("b", accuracy=0.5)]
    (row,) = answer(Ranking(Table.of(runs), Wish())).rows
    assert row.seeds is not None
    assert row.seeds.accuracy.low == 0.5


@given(RUNS, WISHES)
def test_every_answer_is_one_that_the_record_allows(runs: list[FinishedRun], wish: Wish) -> None:
    page = answer(Ranking(Table.of(runs), wish))
    assert LeaderboardReply.model_validate_json(page.model_dump_json()) == page


@given(st.lists(st.tuples(RUNS, st.lists(st.sampled_from(["r1", "r2", "r3", "zz"]))), max_size=4))
def test_a_table_that_changed_is_the_one_made_anew(steps: list[tuple[list[FinishedRun], list[str]]]) -> None:
    table, known = Table.of(), dict[str, FinishedRun]()
    for runs, gone in steps:
        table = table.changed(runs, gone)
        for run_id in gone:
            known.pop(run_id, None)
        known |= {run.run_id: run for run in runs}
    anew = Table.of(known.values())
    assert table.all_ids() == anew.all_ids() == sorted(known)
    places = np.arange(len(known))
    for name in table.columns:
        assert table.values(name, places) == anew.values(name, places), name
