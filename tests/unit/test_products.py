"""Products of matrices, judged by their values and not by what the processor says on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from carbon_aware_trainer.errors import IntensityUnavailable
from carbon_aware_trainer.forecasting.products import product


class Flagged:
    """Something whose product is right, and whose BLAS met no number in a buffer of earlier."""

    def __matmul__(self, other: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        np.subtract(np.array([np.inf]), np.array([np.inf]))
        right: np.ndarray[Any, Any] = np.eye(2) @ other
        return right


def test_a_flag_of_the_processor_alone_is_no_fault() -> None:
    left: Any = Flagged()
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(product(left, np.ones((2, 3))), np.ones((2, 3)))


def test_what_is_no_number_is_refused() -> None:
    finite, broken = np.ones((2, 2), dtype=np.float32), np.array([[np.inf, 1], [1, 1]], dtype=np.float32)
    assert product(finite, finite).tolist() == [[2, 2], [2, 2]]
    for left, right in ((broken, finite), (finite, broken), (broken, finite - 1)):
        with pytest.raises(IntensityUnavailable, match="too large"):
            product(left, right)
