"""Finished runs as a leaderboard reads them, and random tables of them."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from schema.leaderboard import FinishedRun

_RUN: Final = FinishedRun(
    run_id="a",
    name=None,
    network="resnet9",
    dataset="digits",
    device="cpu",
    project="default",
    tags=(),
    configuration=1,
    seed=0.0,
    accuracy=0.9,
    last_loss=0.5,
    energy_kwh=0.001,
    energy_quality="measured",
    co2_g=0.4,
    duration_s=60.0,
    parameters=1_000.0,
    epochs_done=5.0,
    ended_at_s=1_764_000_000.0,
    simulated=False,
    is_external=False,
)


def finished(run_id: str, **changes: Any) -> FinishedRun:
    """A run on digits of 90 %, 1 Wh and 0.4 g, unless something else is said."""
    return _RUN._replace(run_id=run_id, **changes)


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


# Few values of each, so that there are ties.
FEW: Final = st.sampled_from([0.0, 0.25, 0.5, 1.0])
RUNS: Final = st.lists(
    st.builds(
        finished,
        st.sampled_from([f"r{number}" for number in range(20)]),
        name=_maybe(st.sampled_from(["a", "é"])),
        network=_maybe(st.sampled_from(["lenet5", "resnet9", "Small"])),
        dataset=_maybe(st.sampled_from(["digits", "mnist"])),
        tags=st.sampled_from([(), ("paper",), ("paper", "x")]),
        configuration=st.integers(-1, 1),
        accuracy=FEW,
        last_loss=_maybe(FEW),
        energy_kwh=_maybe(FEW),
        energy_quality=st.sampled_from(["measured", "estimated", None]),
        co2_g=_maybe(FEW),
        duration_s=_maybe(FEW),
        parameters=_maybe(FEW),
        ended_at_s=_maybe(FEW),
        simulated=st.booleans(),
    ),
    max_size=20,
    unique_by=lambda run: run.run_id,
)
