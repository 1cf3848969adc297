"""Histograms of runs: of each name at most so many steps, spread evenly over all that came."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic_core import from_json

from errors import NotFound
from schema import BatchReply, HistogramSeries, HistogramsRequest
from schema.histograms import Histogram
from store.connection import Argument, Connection
from store.keys import Keys
from store.metrics import MAX_SESSIONS

MAX_NAMES: Final = 500
MAX_STEPS: Final = 300
# Packed, of a run. Those of 500 names and 64 bins, which few networks have, pass it after 150 to 300 steps.
MAX_BYTES: Final = 64 << 20
# Each of 256 bins has 10 kB as JSON, and 40 kB while it is written.
MAX_READ: Final = 1_500
# Step, time, values in no bin, bins; then the edges and the counts. It is stored: later versions read it too.
_HEAD: Final = struct.Struct("<qdqH")


class Histograms:
    """A list per name, whose entries are packed."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def record(self, run_id: str, batch: HistogramsRequest) -> BatchReply:
        """Take in a batch of a run that its own script reports.

        Atomic (record_histograms.lua). A batch whose number is not above the last one of its session is a
        no-op; they are counted apart from points and lines. Of a name with MAX_STEPS steps every second one
        goes, and of those to come as many, but the newest is always there. Raises InvalidInput where the run
        would have more than MAX_NAMES or MAX_BYTES; nothing is written then.
        """
        keys = [self._keys.of(part, run_id) for part in ("run", "histograms", "sources", "histogram_bytes")]
        numbers: list[Argument] = [batch.seq, MAX_NAMES, MAX_STEPS, MAX_SESSIONS, MAX_BYTES]
        entries: list[Argument] = []
        for histogram in batch.histograms:
            entries += [histogram.name, encode_histogram(histogram)]
        accepted, request = self._connection.run(
            "record_histograms", keys, [run_id, batch.session, *numbers, *entries]
        )
        return BatchReply(seq=batch.seq, accepted=accepted, request=request or None)

    def count(self, run_id: str) -> dict[str, int]:
        """Return how many came of each name, by name; what ``read`` returns changes only with it."""
        stored: dict[str, str] = self._connection.call("HGETALL", self._keys.of("histograms", run_id))
        return {name: int(from_json(stored[name])[0]) for name in sorted(stored)}

    def read(self, run_id: str, names: Sequence[str], *, after: int = 0) -> dict[str, HistogramSeries]:
        """Return the histograms of names by step: at most MAX_READ, of each name as many.

        Where there are more, they are spread evenly over those that are kept, the newest among them.
        after: only those that came behind that number. Raises NotFound when the run has none of a name.
        """
        most = MAX_READ // max(1, len(names))
        arguments: list[Argument] = [run_id, after, most, *names]
        replies = self._connection.run("read_histograms", [self._keys.of("histograms", run_id)], arguments)
        found = {}
        for name, (came, stride, flat) in zip(names, replies, strict=True):
            if not came:
                raise NotFound(
                    f"Run {run_id} has no histogram {name[:80]!r}. GET /api/histograms/{run_id} lists those "
                    "it has."
                )
            entries = [
                (number, decode_histogram(name, text.encode("utf-8", "surrogateescape")))
                for number, text in zip(flat[::2], flat[1::2], strict=True)
            ]
            found[name] = _to_series(sorted(entries, key=lambda entry: entry[1].step), stride)
        return found


def encode_histogram(histogram: Histogram) -> bytes:
    """Pack a histogram; equal bins and small counts take little."""
    head = _HEAD.pack(histogram.step, histogram.time, histogram.nonfinite, len(histogram.counts))
    edges = np.asarray(histogram.edges, "<f8").tobytes()
    return zlib.compress(head + edges + np.asarray(histogram.counts, "<i8").tobytes(), 6)


def decode_histogram(name: str, packed: bytes) -> Histogram:
    """Read what encode_histogram wrote."""
    plain = zlib.decompress(packed)
    step, time, nonfinite, bins = _HEAD.unpack_from(plain)
    edges = np.frombuffer(plain, "<f8", bins + 1, _HEAD.size)
    counts = np.frombuffer(plain, "<i8", bins, _HEAD.size + edges.nbytes)
    return Histogram.model_construct(
        name=name, step=step, time=time, edges=edges.tolist(), counts=counts.tolist(), nonfinite=nonfinite
    )


def _to_series(entries: Sequence[tuple[int, Histogram]], stride: int) -> HistogramSeries:
    return HistogramSeries(
        steps=[entry.step for _, entry in entries],
        times=[entry.time for _, entry in entries],
        edges=[entry.edges for _, entry in entries],
        counts=[entry.counts for _, entry in entries],
        nonfinite=[entry.nonfinite for _, entry in entries],
        numbers=[number for number, _ in entries],
        stride=stride,
    )
