"""Which configurations are no longer untried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from untried.begun import Begun, digest_of


class Desk:
    """Runs by their ids, and what was asked of them."""

    def __init__(self, **runs: Mapping[str, JsonValue]) -> None:
        self.runs = runs
        self.read: list[str] = []

    def list_begun(self) -> Sequence[str]:
        return [*self.runs, "deleted since"]

    def find_params(self, run_ids: Sequence[str]) -> Sequence[Mapping[str, JsonValue] | None]:
        self.read += run_ids
        return [self.runs.get(run_id) for run_id in run_ids]


def test_what_was_begun_is_read_once_and_forgotten_when_it_has_ended() -> None:
    desk, begun = Desk(a={"lr": 0.1, "seed": 1}, b={"lr": 0.2, "seed": 1}), Begun()
    first, second = digest_of({"lr": 0.1, "seed": 9}), digest_of({"seed": 3, "lr": 0.2})
    assert begun.digests(desk) == {first, second}
    desk.runs = {"b": desk.runs["b"], "c": {"lr": 0.3, "seed": 1}}
    desk.read.clear()
    assert begun.digests(desk) == {second, digest_of({"lr": 0.3, "seed": 1})}
    assert sorted(desk.read) == ["c", "deleted since"]


def test_more_runs_than_one_question_takes_are_all_read() -> None:
    desk = Desk(**{f"r{number}": {"lr": number} for number in range(1_201)})
    assert len(Begun().digests(desk)) == 1_201


def test_numbers_and_switches_that_python_takes_for_equal_are_different() -> None:
    assert len({digest_of({"x": value}) for value in (1, 1.0, True)}) == 3
