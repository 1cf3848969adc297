"""Networks of torch that several processes hold together: what one of them calls alone waits for ever."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from typing import Any, Final

# Where torch has what one process asks of the others.
_OF_OTHERS: Final = ("c10d", "_c10d_functional", "_c10d_functional_autograd", "_dtensor", "symm_mem")


def find_spread(model: Any) -> bool:
    """Whether a network says that its parameters are in several processes: FSDP, DTensor, ZeRO."""
    kinds = itertools.chain.from_iterable(type(part).__mro__ for part in model.modules())
    if any("FSDP" in kind.__name__ or "FullySharded" in kind.__name__ for kind in kinds):
        return True
    return any(map(_is_shared, itertools.chain(model.parameters(), model.buffers())))


def _is_shared(tensor: Any) -> bool:
    kinds = (type(tensor), type(getattr(tensor, "data", None)))
    return hasattr(tensor, "ds_id") or any(
        each.__name__ == "DTensor" for kind in kinds for each in kind.__mro__
    )


@contextlib.contextmanager
def without_others(torch: Any) -> Iterator[None]:
    """Give a block in which what would wait for another process raises instead, before it has begun.

    A layer that exchanges its results shows nothing of it until it is called.
    """
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        yield
        return

    dispatch: Any = sys.modules["torch.utils._python_dispatch"]

    class Alone(dispatch.TorchDispatchMode):  # type: ignore[misc] # torch is not imported here
        def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function.namespace in _OF_OTHERS:
                raise RuntimeError("a layer waits for other processes, which would all have to call it")
            return function(*args, **(kwargs or {}))

    with Alone():
        yield
