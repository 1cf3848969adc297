"""Which process of a distributed training reports its run."""

from __future__ import annotations

import pytest

from training_monitor.ranks import find_rank


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, 0),
        ({"RANK": "0", "LOCAL_RANK": "0"}, 0),
        ({"RANK": "8", "LOCAL_RANK": "0"}, 8),
        ({"RANK": "0", "NODE_RANK": "1"}, 0),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, 1),
        ({"LOCAL_RANK": "0", "NODE_RANK": "2"}, 2),
        ({"NODE_RANK": "1"}, 1),
        ({"SLURM_PROCID": "3"}, 3),
        ({"SLURM_PROCID": "4", "LOCAL_RANK": "0"}, 4),
        ({"SLURM_PROCID": "0", "LOCAL_RANK": "1"}, 1),
        ({"SLURM_PROCID": "4", "RANK": "0"}, 0),
        ({"RANK": "none", "SLURM_PROCID": ""}, 0),
    ],
)
def test_the_rank_is_what_the_launcher_says(environment: dict[str, str], rank: int) -> None:
    assert find_rank(environment) == rank
