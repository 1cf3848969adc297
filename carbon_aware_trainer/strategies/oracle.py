"""What a perfect forecast would emit: the bound that policies are measured against, never a policy itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def cheapest_slots(actual: Floats, length: int) -> Floats:
    """Return the sum of the ``length`` lowest of each row. actual: [n, slots]; result: [n]."""
    lowest: Floats = np.partition(actual, length - 1, axis=1)[:, :length].sum(axis=1)
    return lowest


def cheapest_window(actual: Floats, length: int) -> Floats:
    """Return the sum of the lowest ``length`` neighbours of each row. actual: [n, slots]; result: [n]."""
    total = np.concatenate([np.zeros((len(actual), 1)), np.cumsum(actual, axis=1)], axis=1)
    lowest: Floats = (total[:, length:] - total[:, :-length]).min(axis=1)
    return lowest
