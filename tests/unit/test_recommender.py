"""Which configuration is recommended, against brute force."""

from __future__ import annotations

from itertools import combinations
from math import inf
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from leaderboard.table import Table
from leaderboard.wording import round_up
from recommender import Recommender, recommend
from schema.leaderboard import FinishedRun
from schema.recommend import Goal, Limit, Limits, RecommendReply
from tests.finished_runs import FEW, RUNS, finished

# As they come, and many of few configurations: else hardly one has several runs.
ALIKE = st.lists(
    st.builds(
        finished,
        st.sampled_from([f"r{number}" for number in range(16)]),
        configuration=st.integers(0, 2),
        accuracy=FEW,
        energy_kwh=st.none() | FEW,
        energy_quality=st.sampled_from(["measured", "estimated", None]),
        co2_g=st.none() | FEW,
        duration_s=FEW,
    ),
    min_size=5,
    max_size=16,
    unique_by=lambda run: run.run_id,
)
MANY = ALIKE | RUNS
BUDGET = st.none() | st.sampled_from([0.1, 0.25, 0.375, 0.7, 2.0])
LIMITS = st.builds(
    lambda near, **others: Limits(target_accuracy=near[0], tolerance=near[1], **others),
    st.just((None, None))
    | st.tuples(st.sampled_from([0.0, 0.3, 0.5, 0.9]), st.sampled_from([None, 0.0, 0.2])),
    dataset=st.none() | st.sampled_from(["digits", "mnist", "", "never"]),
    simulated=st.none() | st.booleans(),
    max_co2_g=BUDGET,
    max_duration_s=BUDGET,
    max_energy_kwh=BUDGET,
)
Figures = dict[str, float | None]


def advise(*runs: FinishedRun, **limits: Any) -> RecommendReply:
    return recommend(Table.of(runs), Limits(**limits))


def middle(runs: list[FinishedRun], name: str) -> float | None:
    known = [value for run in runs if (value := getattr(run, name)) is not None]
    return median(known) if known else None


def grouped(runs: list[FinishedRun], found: RecommendReply) -> list[list[FinishedRun]]:
    groups: dict[int, list[FinishedRun]] = {}
    for run in sorted(runs):
        if run.simulated == found.simulated and run.dataset == found.dataset:
            groups.setdefault(run.configuration, []).append(run)
    return list(groups.values())


def figures(group: list[FinishedRun], limits: Limits) -> Figures:
    """What a configuration came to; its distance from the target under the name of the limit."""
    found: Figures = {name: middle(group, name) for name in ("accuracy", "co2_g", "energy_kwh", "duration_s")}
    if limits.target_accuracy is not None and found["accuracy"] is not None:
        found["tolerance"] = round(abs(found["accuracy"] - limits.target_accuracy), 12)
    return found


def asked(limits: Limits) -> dict[str, float]:
    given = {
        "tolerance": None if limits.target_accuracy is None else limits.near,
        "co2_g": limits.max_co2_g,
        "duration_s": limits.max_duration_s,
        "energy_kwh": limits.max_energy_kwh,
    }
    return {name: value for name, value in given.items() if value is not None}


def knows(found: Figures, limits: Limits) -> bool:
    needed = {*asked(limits), *(["co2_g"] if limits.goal is Goal.FEWEST_GRAMS else [])}
    return all(found[name] is not None for name in needed)


def fits(found: Figures, limits: dict[str, float]) -> bool:
    return all((value := found[name]) is not None and value <= most for name, most in limits.items())


def best_first(groups: list[list[FinishedRun]], limits: Limits) -> list[list[FinishedRun]]:
    def key(group: list[FinishedRun]) -> tuple[Any, ...]:
        found = figures(group, limits)
        costs = [
            inf if found[name] is None else found[name] for name in ("co2_g", "energy_kwh", "duration_s")
        ]
        accuracy = found["accuracy"]
        assert accuracy is not None
        nearest = min(group, key=lambda run: (abs(run.accuracy - accuracy), run.run_id))
        end = (-len(group), nearest.run_id)
        if limits.goal is Goal.FEWEST_GRAMS:
            return (costs[0], found["tolerance"], -accuracy, *costs[1:], *end)
        return (-accuracy, *costs, *end)

    return sorted(groups, key=key)


# On a busy machine an example may take long.
@settings(deadline=None)
@given(MANY, LIMITS)
def test_the_answer_is_the_best_of_those_that_keep_to_the_limits(
    runs: list[FinishedRun], limits: Limits
) -> None:
    found = recommend(Table.of(runs), limits)
    groups = grouped(runs, found)
    known = [group for group in groups if knows(figures(group, limits), limits)]
    fitting = best_first([group for group in known if fits(figures(group, limits), asked(limits))], limits)
    assert (found.configurations, found.fitting) == (len(groups), len(fitting))
    assert found.unknown == len(groups) - len(known)
    assert found.runs == sum(map(len, groups))
    if not fitting:
        assert found.answer is None
        return
    assert found.answer is not None
    chosen = [found.answer.candidate, *(beaten.candidate for beaten in found.answer.beats)]
    assert [candidate.runs for candidate in chosen] == [len(group) for group in fitting[:6]]
    for candidate, group in zip(chosen, fitting, strict=False):
        assert candidate.run_id in {run.run_id for run in group}
        for name in ("accuracy", "energy_kwh", "co2_g", "duration_s"):
            values = [value for run in group if (value := getattr(run, name)) is not None]
            spread = getattr(candidate, name)
            expected = (len(values), median(values), min(values), max(values)) if values else None
            assert (spread and (spread.n, spread.median, spread.low, spread.high)) == expected
    assert not found.relaxations


# On a busy machine an example may take long.
@settings(deadline=None)
@given(MANY, LIMITS)
def test_whoever_follows_the_advice_gets_what_it_promised(runs: list[FinishedRun], limits: Limits) -> None:
    found = recommend(Table.of(runs), limits)
    groups = [figures(group, limits) for group in grouped(runs, found)]
    is_hopeless = not any(knows(group, limits) for group in groups)
    assert bool(found.relaxations) == (found.answer is None and not is_hopeless)
    for relaxation in found.relaxations:
        changes = {change.limit.value: change.needed for change in relaxation.changes}
        assert all(change.needed > change.asked for change in relaxation.changes)
        again = recommend(Table.of(runs), limits.model_copy(update=changes))
        assert again.answer is not None
        assert again.answer.candidate == relaxation.candidate


# On a busy machine an example may take long.
@settings(deadline=None)
@given(MANY, LIMITS)
def test_the_advice_relaxes_the_fewest_limits_by_the_least(runs: list[FinishedRun], limits: Limits) -> None:
    found = recommend(Table.of(runs), limits)
    if not found.relaxations:
        return
    own = {
        Limit.TOLERANCE: "tolerance",
        Limit.MAX_CO2_G: "co2_g",
        Limit.MAX_DURATION_S: "duration_s",
        Limit.MAX_ENERGY_KWH: "energy_kwh",
    }
    groups = [figures(group, limits) for group in grouped(runs, found)]
    groups = [group for group in groups if knows(group, limits)]
    given_limits = asked(limits)
    for count in range(1, 5):
        enough = {
            names: [
                group
                for group in groups
                if fits(group, {name: most for name, most in given_limits.items() if name not in names})
            ]
            for names in combinations(given_limits, count)
        }
        enough = {names: fitting for names, fitting in enough.items() if fitting}
        if enough:
            break
    told = [tuple(own[change.limit] for change in relaxation.changes) for relaxation in found.relaxations]
    if count == 1:
        assert sorted(told) == sorted(enough)
        for relaxation, (name,) in zip(found.relaxations, told, strict=True):
            least = min(value for group in enough[(name,)] if (value := group[name]) is not None)
            assert relaxation.changes[0].needed == round_up(least)
    else:
        assert len(told) == 1
        assert told[0] in enough


# On a busy machine an example may take long.
@settings(deadline=None)
@given(MANY, LIMITS)
def test_real_and_simulated_runs_never_meet(runs: list[FinishedRun], limits: Limits) -> None:
    found = recommend(Table.of(runs), limits)
    answer = found.answer
    if limits.simulated is None:
        assert found.simulated == (bool(runs) and all(run.simulated for run in runs))
    if answer is not None:
        shown = [answer.candidate, *(beaten.candidate for beaten in answer.beats)]
        assert {candidate.simulated for candidate in shown} == {found.simulated}


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_rounding_up_goes_up_by_less_than_a_hundredth(value: float) -> None:
    rounded = round_up(value)
    assert value <= rounded
    assert rounded <= value * 1.0100001 or value < 1e-300
    assert round_up(rounded) == rounded


SMALL = finished("small", configuration=1, network="small_cnn", accuracy=0.95, co2_g=0.1)
LARGE = finished("large", configuration=2, network="resnet9", accuracy=0.98, co2_g=0.4, duration_s=600.0)
HUGE = finished("huge", configuration=3, network="resnet18", accuracy=0.99, co2_g=2.0, duration_s=6_000.0)


def name_of(found: RecommendReply) -> str | None:
    return found.answer.candidate.run_id if found.answer else None


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, "huge"),
        ({"target_accuracy": 0.97}, "large"),
        ({"target_accuracy": 0.96, "tolerance": 0.02}, "small"),
        ({"max_co2_g": 0.4}, "large"),
        ({"max_co2_g": 0.39}, "small"),
        ({"max_duration_s": 600}, "large"),
        ({"max_energy_kwh": 0.001}, "huge"),
        ({"target_accuracy": 0.98, "tolerance": 0.01, "max_duration_s": 60}, None),
        ({"max_co2_g": 0.5, "max_duration_s": 60}, "small"),
    ],
    ids=str,
)
def test_each_limit_and_both_goals(limits: dict[str, float], expected: str | None) -> None:
    assert name_of(advise(SMALL, LARGE, HUGE, **limits)) == expected


def test_the_reason_names_the_goal_the_limits_and_the_figures() -> None:
    found = advise(SMALL, LARGE, HUGE, target_accuracy=0.98, tolerance=0.01, max_co2_g=3)
    assert found.reason == (
        "resnet9 takes the fewest grams of 2 configurations that keep to within 1 point of 98.00 %, at most "
        "3 g CO₂: 98.00 %, 0.4 g CO₂, 1 Wh (measured), 10 min. One run stands behind it; how far another "
        "seed comes out differently is not known."
    )
    assert found.answer is not None
    assert [beaten.reason for beaten in found.answer.beats] == [
        "1 point more accurate, for 1.6 g CO₂ more (+400 %)"
    ]


def test_an_impossible_budget_is_answered_with_what_to_allow() -> None:
    found = advise(SMALL, LARGE, HUGE, target_accuracy=0.98, max_co2_g=0.1)
    assert found.answer is None
    assert found.reason == ("None of 3 configurations keeps to within 1 point of 98.00 %, at most 0.1 g CO₂.")
    assert [relaxation.reason for relaxation in found.relaxations] == [
        (
            "Allow 3 points instead of 1 point (2 points more): then it is small_cnn, 95.00 %, 0.1 g CO₂, "
            "1 Wh (measured), 1 min."
        ),
        (
            "Allow 0.4 g CO₂ instead of 0.1 g CO₂ (0.3 g CO₂ more): then it is resnet9, 98.00 %, "
            "0.4 g CO₂, 1 Wh (measured), 10 min."
        ),
    ]


def test_where_no_single_limit_is_enough_several_are_relaxed_together() -> None:
    found = advise(LARGE, HUGE, max_co2_g=0.1, max_duration_s=60)
    (relaxation,) = found.relaxations
    assert [(change.limit, change.needed, change.by) for change in relaxation.changes] == [
        (Limit.MAX_CO2_G, 0.4, 0.3),
        (Limit.MAX_DURATION_S, 600.0, 540.0),
    ]
    assert relaxation.candidate.run_id == "large"


def test_two_limits_over_by_much_are_relaxed_rather_than_three_over_by_little() -> None:
    near = finished("near", configuration=1, co2_g=0.11, duration_s=61.0, energy_kwh=0.0011)
    far = finished("far", configuration=2, co2_g=1.0, duration_s=600.0, energy_kwh=0.001)
    (relaxation,) = advise(near, far, max_co2_g=0.1, max_duration_s=60, max_energy_kwh=0.001).relaxations
    assert relaxation.candidate.run_id == "far"
    assert [change.limit for change in relaxation.changes] == [Limit.MAX_CO2_G, Limit.MAX_DURATION_S]


def test_a_limit_in_words_is_not_below_what_is_needed() -> None:
    slow = finished("slow", duration_s=10_110.0)
    (relaxation,) = advise(slow, max_duration_s=60).relaxations
    # 10,200 s would be 2.83 h to the nearest.
    assert relaxation.changes[0].needed == 10_200.0
    assert relaxation.reason.startswith("Allow 2.84 h instead of 1 min")


def test_more_accuracy_for_fewer_grams_is_told_though_it_is_not_near() -> None:
    better = finished("better", configuration=4, accuracy=0.995, co2_g=0.3)
    found = advise(SMALL, LARGE, better, target_accuracy=0.98)
    assert name_of(found) == "large"
    assert found.answer is not None
    assert found.answer.more_for_less is not None
    assert found.answer.more_for_less.run_id == "better"


def test_without_any_run_it_says_so() -> None:
    found = advise(max_co2_g=1)
    assert (found.answer, found.relaxations, found.simulated) == (None, (), False)
    assert found.reason == "No run has finished yet."
    assert advise(SMALL, device="H200").reason == "No run of digits on H200 has finished yet."


def test_one_run_is_an_answer_and_its_spread_is_called_unknown() -> None:
    found = advise(SMALL, max_co2_g=1)
    assert name_of(found) == "small"
    assert "One run stands behind it" in found.reason
    assert found.answer is not None
    assert found.answer.beats == ()


def test_the_run_in_the_middle_stands_for_its_configuration() -> None:
    runs = [finished(f"r{number}", accuracy=0.9 + number / 100, seed=float(number)) for number in (0, 1, 5)]
    found = advise(*runs)
    assert name_of(found) == "r1"
    assert "medians of 3 runs, from 90.00 % to 95.00 %" in found.reason


def test_what_does_not_know_its_grams_is_left_out_only_where_they_are_asked_about() -> None:
    unknown = finished("unknown", configuration=9, accuracy=0.999, co2_g=None)
    found = advise(SMALL, unknown, max_co2_g=1)
    assert (name_of(found), found.unknown) == ("small", 1)
    assert found.reason.endswith("Left out: 1 configuration not knowing what is asked about.")
    assert name_of(advise(SMALL, unknown)) == "unknown"
    alone = advise(unknown, target_accuracy=0.999)
    assert (alone.answer, alone.relaxations) == (None, ())
    assert "does not know its CO₂" in alone.reason


def test_of_equal_ones_the_cheaper_then_the_better_known_then_the_first_is_taken() -> None:
    cheaper = SMALL._replace(run_id="cheaper", configuration=5, co2_g=0.05)
    assert name_of(advise(SMALL, cheaper)) == "cheaper"
    twice = [SMALL._replace(run_id=run_id, configuration=6) for run_id in ("y", "z")]
    assert name_of(advise(SMALL, *twice)) == "y"
    equal = SMALL._replace(run_id="a", configuration=7)
    assert name_of(advise(SMALL, equal)) == "a"


def test_measured_energy_beside_other_is_marked() -> None:
    estimated = LARGE._replace(energy_quality="estimated")
    assert advise(SMALL, estimated).is_mixed
    assert not advise(SMALL, LARGE).is_mixed
    both = [SMALL, SMALL._replace(run_id="second", energy_quality="estimated")]
    found = advise(*both)
    assert found.answer is not None
    assert found.answer.candidate.is_mixed
    assert found.answer.candidate.energy_quality is None
    assert "(partly measured)" in found.reason


def test_the_device_is_kept_to() -> None:
    runs = [SMALL, LARGE._replace(device="H200")]
    assert name_of(advise(*runs, device="cpu")) == "small"
    assert {(choice.value, choice.runs) for choice in advise(*runs, device="cpu").devices} == {
        ("cpu", 1),
        ("H200", 1),
    }


def test_a_tolerance_without_a_target_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs a target_accuracy"):
        Limits(tolerance=0.1)


# On a busy machine an example may take long.
@settings(deadline=None, max_examples=30)
@given(MANY, st.lists(LIMITS, min_size=1, max_size=4))
def test_what_was_kept_is_the_answer_until_runs_change(runs: list[FinishedRun], asked: list[Limits]) -> None:
    kept, table = Recommender(), Table.of(runs)
    changed = table.changed([SMALL._replace(accuracy=1.0)], [run.run_id for run in runs[:1]])
    for now in (table, changed):
        for limits in [*asked, *asked]:
            assert kept.recommend(now, limits) == recommend(now, limits)


def test_no_run_and_one_run() -> None:
    assert advise().answer is None
    assert advise().reason == "No run has finished yet."
    alone = advise(SMALL)
    assert name_of(alone) == "small"
    assert alone.answer is not None
    assert not alone.answer.beats
