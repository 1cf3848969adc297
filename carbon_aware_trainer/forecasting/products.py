"""Products of matrices, judged by what comes out."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from carbon_aware_trainer.errors import IntensityUnavailable

Number = TypeVar("Number", np.float32, np.float64)


def product(left: npt.NDArray[Number], right: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Multiply matrices.

    NumPy takes its warning "invalid value encountered in matmul" from the processor, where BLAS raises it for
    what its buffers held before, too, whatever was multiplied (github.com/numpy/numpy/issues/24067): a fit
    that was right failed where warnings are errors. So the flag is not looked at, and the values are.
    Raises IntensityUnavailable when one of them is no number.
    """
    with np.errstate(invalid="ignore"):
        multiplied: npt.NDArray[Number] = left @ right
    if not np.isfinite(multiplied).all():
        raise IntensityUnavailable("No forecast can be computed: a recorded intensity is too large for it.")
    return multiplied
