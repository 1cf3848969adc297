"""Which process of a distributed training this is: all run the same script, one reports it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

# As torchrun tells it: of all processes, whatever else is told.
_RANK: Final = "RANK"
# As Slurm, Lightning's launcher and IBM's JSM tell it. Within a job of Slurm, Lightning's children all have
# their parent's number, and the first of each node is 0 among its own: any that is not 0 counts.
_OTHERS: Final = ("SLURM_PROCID", "LOCAL_RANK", "JSM_NAMESPACE_RANK")
# Where a launcher starts one process on each node, and that one the others.
_NODE: Final = "NODE_RANK"


def find_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Return the rank, or of another node's first process that node's; 0 for a training of one."""

    def read(name: str) -> int:
        found = environment.get(name, "")
        return int(found) if found.isdecimal() else 0

    if environment.get(_RANK, "").isdecimal():
        return read(_RANK)
    return next((rank for name in _OTHERS if (rank := read(name))), 0) or read(_NODE)
