"""Which layers a tensor was made by, as long as one call of the network is watched."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, Final

# On the tensor itself: a table of them all would keep every activation until the end.
_MARK: Final = "_wattle_sources"

Sources = frozenset[str]


class Marks:
    """The marks of one call; ``clear`` leaves none."""

    def __init__(self, lasting: Iterable[Any]) -> None:
        """Take the tensors that outlive the call, such as parameters: nothing is written on them."""
        self._lasting = {id(tensor): tensor for tensor in lasting}
        self._of_lasting: dict[int, Sources] = {}
        self._marked: list[weakref.ref[Any]] = []

    def put(self, tensor: Any, sources: Sources) -> None:
        """Say what a tensor was made by."""
        if id(tensor) in self._lasting:
            self._of_lasting[id(tensor)] = sources
            return
        if not hasattr(tensor, _MARK):
            self._marked.append(weakref.ref(tensor))
        setattr(tensor, _MARK, sources)

    def of(self, tensors: Iterable[Any]) -> Sources:
        """Return what some tensors were made by."""
        return frozenset().union(
            *(self._of_lasting.get(id(tensor)) or getattr(tensor, _MARK, ()) for tensor in tensors)
        )

    def clear(self) -> None:
        """Forget all, also of what the network has kept for itself."""
        for reference in self._marked:
            if (tensor := reference()) is not None and hasattr(tensor, _MARK):
                delattr(tensor, _MARK)
        self._marked.clear()
        self._of_lasting.clear()
