"""Arrays of any library, as NumPy's."""

from __future__ import annotations

from typing import Any, Final

from training_monitor.errors import MonitorError

EXTRA: Final = 'Pictures, histograms and checkpoints need an extra. Run: pip install "wattle[media]"'
# What NumPy has no type for, and a float32 holds.
_NARROW: Final = ("bfloat16", "float8")


def load_numpy() -> Any:
    """Return NumPy. Raises MonitorError where it is not installed."""
    try:
        import numpy
    except ModuleNotFoundError as error:
        raise MonitorError(EXTRA) from error
    return numpy


def to_array(values: Any) -> Any:
    """Return numbers as a NumPy array, which may share memory with what was given.

    values: an array or tensor of NumPy, torch, TensorFlow or JAX, on any device, or nested lists.
    Raises MonitorError for what is none.
    """
    numpy = load_numpy()
    try:
        if hasattr(values, "detach"):
            tensor = values.detach()
            if any(name in str(tensor.dtype) for name in _NARROW):
                tensor = tensor.float()
            return tensor.numpy(force=True)
        if hasattr(values, "numpy"):
            values = values.numpy()
        array = numpy.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise MonitorError(f"This is no array: {error}") from error
    if array.dtype.name.startswith(_NARROW):
        array = array.astype(numpy.float32)
    if array.dtype.kind not in "biuf":
        raise MonitorError(f"An array has to be of numbers, not of {array.dtype}.")
    return array
