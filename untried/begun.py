"""What is queued, running or failed already, and so is no longer untried."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from pydantic import JsonValue

from untried.space import Params, key_of

_RUNS_AT_ONCE: Final = 500
_DIGEST_BYTES: Final = 16


class Source(Protocol):
    """Where runs are looked up."""

    def list_begun(self) -> Sequence[str]:
        """Return the runs that are queued, running or failed."""

    def find_params(self, run_ids: Sequence[str]) -> Sequence[Mapping[str, JsonValue] | None]:
        """Return the hyper_params of each run, None where there is none of that id."""


class Begun:
    """The configurations that somebody has begun. Threads may share it.

    What a run of ours is made of never changes, so it is read once. A script may correct the parameters of
    its own, which are no trial of a trainer's.
    """

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._known: dict[str, bytes] = {}

    def digests(self, source: Source) -> frozenset[bytes]:
        """Return what ``digest_of`` gives for each; reads those alone that have come since the last time."""
        with self._reading:
            run_ids = source.list_begun()
            known = {run_id: self._known[run_id] for run_id in run_ids if run_id in self._known}
            known.update(_read(source, [run_id for run_id in run_ids if run_id not in known]))
            self._known = known
            return frozenset(known.values())


def digest_of(params: Params) -> bytes:
    """Return what is the same for what differs in its seed alone, in few bytes."""
    return hashlib.blake2b(key_of(params).encode(), digest_size=_DIGEST_BYTES).digest()


def _read(source: Source, run_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for start in range(0, len(run_ids), _RUNS_AT_ONCE):
        part = run_ids[start : start + _RUNS_AT_ONCE]
        for run_id, params in zip(part, source.find_params(part), strict=True):
            if params is not None:
                yield run_id, digest_of(params)
