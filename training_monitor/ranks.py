"""Which process of a distributed training this is: all run the same script, one reports it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

# As torchrun, Lightning's launcher, Slurm and IBM's JSM tell it; the first that is there counts.
_RANKS: Final = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
# Where a launcher starts one process on each node, and that one the others.
_NODE: Final = "NODE_RANK"


def find_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Return the rank, or of another node's first process that node's; 0 for a training of one."""
    rank = next((int(found) for name in _RANKS if (found := environment.get(name, "")).isdecimal()), 0)
    node = environment.get(_NODE, "")
    return rank or (int(node) if node.isdecimal() and "RANK" not in environment else 0)
