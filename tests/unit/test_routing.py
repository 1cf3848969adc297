"""Which worker may take which run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from errors import InvalidInput
from schema import Requires, can_take, requirement_queue
from store.encoding import decode_requirement, encode_requirement
from store.keys import Keys, check_queue
from tests.records import TORCH_WORKER

GPU_WORKER = TORCH_WORKER.model_copy(
    update={"gpus": 2, "gpu_memory_gib": 40.0, "zone": "DE", "queues": ("gpu", "default")}
)
REQUIREMENTS = st.builds(
    Requires,
    gpus=st.integers(0, 64),
    min_gpu_memory_gib=st.sampled_from([0.0, 1e-5, 0.1, 40.0, 40.5, 4095.999999999999, 4096.0]),
    zone=st.sampled_from([None, "DE", "US-CAL-CISO", "a_b", "gpus-2"]),
)


@pytest.mark.parametrize(
    ("requires", "name"),
    [
        (None, "default"),
        (Requires(), "default"),
        (Requires(gpus=2, min_gpu_memory_gib=40, zone="DE"), "default.gpus-2.mem-40.zone-de"),
        (Requires(min_gpu_memory_gib=0.5), "default.mem-0.5"),
    ],
)
def test_runs_that_need_something_wait_in_a_queue_that_says_what(
    requires: Requires | None, name: str
) -> None:
    assert requirement_queue("default", requires) == name


@given(REQUIREMENTS, REQUIREMENTS)
def test_other_requirements_have_another_queue_which_has_a_list(first: Requires, second: Requires) -> None:
    names = [requirement_queue("x" * 64, requires) for requires in (first, second)]
    assert (names[0] == names[1]) == (first == second)
    assert Keys().waiting(names[0], high=True) == f"queue:requests:{names[0]}:high"
    if first != Requires():
        assert decode_requirement(encode_requirement("x", first)) == ("x", first)
        with pytest.raises(InvalidInput, match="set options"):
            check_queue(requirement_queue("x", first))


@pytest.mark.parametrize(
    ("requires", "is_taken"),
    [
        (None, True),
        (Requires(gpus=2, min_gpu_memory_gib=40, zone="de"), True),
        (Requires(gpus=3), False),
        (Requires(min_gpu_memory_gib=40.5), False),
        (Requires(zone="FR"), False),
    ],
)
def test_a_worker_takes_what_it_has(requires: Requires | None, is_taken: bool) -> None:
    assert can_take(GPU_WORKER, "default", requires) == is_taken
    assert not can_take(GPU_WORKER, "other", requires)


@pytest.mark.parametrize("needs", [{"gpus": 1}, {"min_gpu_memory_gib": 0.1}, {"zone": "DE"}])
def test_a_worker_takes_nothing_that_needs_what_it_does_not_know_of_itself(needs: dict[str, object]) -> None:
    assert not can_take(TORCH_WORKER, "default", Requires.model_validate(needs))


@pytest.mark.parametrize(
    "needs", [{"gpus": -1}, {"gpus": 65}, {"min_gpu_memory_gib": float("nan")}, {"zone": "a.b"}, {"zone": ""}]
)
def test_needs_that_no_queue_could_be_named_after_are_refused(needs: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Requires.model_validate(needs)
