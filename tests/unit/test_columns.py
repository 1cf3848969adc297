"""What the tables of runs have in common."""

from __future__ import annotations

import pytest

from columns.codes import Coded, Codes


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
