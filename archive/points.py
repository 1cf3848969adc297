"""Points of metrics as Parquet files: one for each run, in a folder or any place that fsspec knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from errors import ArchiveUnavailable, InvalidInput

# As the store keeps them: a step, a value and a Unix time.
_POINT: Final = np.dtype([("step", "<i8"), ("value", "<f8"), ("time", "<f8")])
_HALF: Final = ".half"
_PROBE: Final[Mapping[str, bytes]] = {"probe": bytes(_POINT.itemsize)}
_SCHEMA: Final = pa.schema(
    [("name", pa.string()), ("step", pa.int64()), ("value", pa.float64()), ("time", pa.float64())]
)


class PointFiles:
    """The files. Whatever fails is ArchiveUnavailable; a place that cannot be one is InvalidInput."""

    def __init__(self, url: str) -> None:
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (OSError, ImportError, ValueError) as error:
            raise InvalidInput(
                f"WATTLE_ARCHIVE_URL cannot be opened: {error}. Correct it, or install the "
                "package of its driver."
            ) from error

    @property
    def place(self) -> str:
        """Where they are."""
        return str(self._root)

    def probe(self) -> None:
        """Write a small file, read it back and delete it."""
        name = f"doctor-probe-{uuid4().hex[:12]}.parquet"
        try:
            self.write(name, _PROBE)
            if self.read(name) != _PROBE:
                raise ArchiveUnavailable(f"What is written to {self.place} is read back otherwise.")
        finally:
            self.delete(name)

    def name_for(self, run_id: str) -> str:
        """Return a name that no file of a run has."""
        return f"{run_id[:2]}/{run_id}-{uuid4().hex[:12]}.parquet"

    def write(self, name: str, points: Mapping[str, bytes]) -> None:
        """Write the points of a run to a file; nobody sees half of one."""
        place = f"{self._root}/{name}"
        with self._translated():
            self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(f"{place}{_HALF}", encode_points(points))
            self._files.mv(f"{place}{_HALF}", place)

    def read(self, name: str) -> dict[str, bytes]:
        """Return the points of a file by metric, in the order in which they came."""
        return decode_points(self.read_file(name))

    def read_file(self, name: str) -> bytes:
        """Return a file as it is."""
        with self._translated():
            self._files.invalidate_cache()
            content: bytes = self._files.cat_file(f"{self._root}/{name}")
            return content

    def delete(self, name: str) -> None:
        """Delete a file, or what there is of it."""
        with self._translated():
            self._files.invalidate_cache()
            for place in (f"{self._root}/{name}", f"{self._root}/{name}{_HALF}"):
                if self._files.exists(place):
                    self._files.rm_file(place)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ImportError, ValueError, pa.ArrowException) as error:
            raise ArchiveUnavailable(
                f"The points in the archive cannot be reached: {error}. See to the place of "
                "WATTLE_ARCHIVE_URL."
            ) from error


def encode_points(points: Mapping[str, bytes]) -> bytes:
    """Write points of metrics as one Parquet file."""
    arrays = {name: np.frombuffer(stored, _POINT) for name, stored in points.items()}
    whole = np.concatenate(list(arrays.values())) if arrays else np.empty(0, _POINT)
    lengths = [len(array) for array in arrays.values()]
    columns = {
        "name": pa.array(np.repeat(np.array(list(arrays), dtype=object), lengths), pa.string()),
        **{field: pa.array(whole[field]) for field in ("step", "value", "time")},
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, _SCHEMA), sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return] # pyarrow has no types


def decode_points(content: bytes) -> dict[str, bytes]:
    """Read what encode_points wrote."""
    table = pq.read_table(pa.BufferReader(content), schema=_SCHEMA)
    names = table["name"].to_numpy()
    whole = np.empty(len(names), _POINT)
    for field in ("step", "value", "time"):
        whole[field] = table[field].to_numpy()
    found: dict[str, bytes] = {}
    for name in dict.fromkeys(names.tolist()):
        found[name] = whole[names == name].tobytes()
    return found
