"""Metric points as the loop writes them: one packed record a call, whose layout its names define once."""

from __future__ import annotations

import itertools
import json
import logging
import re
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from training_monitor.window import Window

log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9_./-]{1,250}")
# The server's default limit of names per run.
MOST_NAMES: Final = 2_000
# Calls that wait outside of the window, when that is full or another thread is writing.
MOST_ASIDE: Final = 20_000
# For a writer to end: it may wait for a value on a GPU, and then these wait for the next time.
_LONGEST_PAUSE_S: Final = 1.0
_MOST_STEP: Final = 2**63

# What asking a value for its number may raise: tensors of several elements have errors of their own.
_NO_NUMBER = (TypeError, ValueError, OverflowError, RuntimeError)

_DEFINITION = struct.Struct("<HI")  # 0, length of the JSON that follows
_NUMBER = struct.Struct("<H")
_MOST_NUMBERS: Final = 60_000

Names = tuple[str, ...]


class Shape:
    """The layout of a record of certain names."""

    def __init__(self, number: int, names: Names) -> None:
        self.number, self.names = number, names
        self.struct = struct.Struct(f"<Hqd{len(names)}d")  # number, step, unix time, values
        self.size = self.struct.size
        self.pack_into = self.struct.pack_into


def define(shapes: Iterable[Shape]) -> bytes:
    """Encode what a reader has to know before the first record of a shape."""
    definitions = (json.dumps([shape.number, *shape.names]).encode() for shape in shapes)
    return b"".join(_DEFINITION.pack(0, len(text)) + text for text in definitions)


class Row(NamedTuple):
    """A call that could not be written at once."""

    shape: Shape
    step: int
    time_s: float
    values: tuple[float, ...]

    def pack(self) -> bytes:
        """Return the record."""
        return self.shape.struct.pack(self.shape.number, self.step, self.time_s, *self.values)


class PointLog:
    """Takes points from any thread, at once, and for the next to read; a kill keeps all it has taken.

    ring: called when someone should come and empty the window.
    """

    def __init__(self, window: Window, *, ring: Callable[[], object]) -> None:
        self._window, self._ring = window, ring
        self._acquire, self._release = window.lock.acquire, window.lock.release
        self._memory = window.memory
        self._shapes: dict[Names, Shape] = {}
        """Those whose values are packed as they are given."""
        self._known: dict[Names, Shape] = {}
        self._names: set[str] = set()
        self._numbers = itertools.count(1)
        self._aside: deque[Row] = deque()
        self._warned: set[str] = set()
        self.lost_calls = 0

    def add(self, metrics: Mapping[str, Any], step: int, time_s: float) -> None:
        """Take a value of each metric. Never waits, never raises for a value; refused ones are named once.

        This is what a training loop pays: a record is packed into the window, without a system call.
        """
        shape = self._shapes.get(tuple(metrics))
        # After a call that went aside the next must not overtake it.
        if shape is None or not isinstance(step, int) or step < 0 or self._aside or not self._acquire(False):
            self._add_slowly(metrics, step, time_s)
            return
        window = self._window
        try:
            end = window.offset + shape.size
            if is_written := end <= window.limit:
                shape.pack_into(self._memory, window.offset, shape.number, step, time_s, *metrics.values())
                window.commit(end)
        except (struct.error, *_NO_NUMBER):
            is_written = False  # nothing counts that was not committed
        finally:
            self._release()
        if not is_written:
            self._add_slowly(metrics, step, time_s)

    def take_aside(self) -> bytes:
        """Return the records of the calls that found no room, and forget them.

        For who has just turned the window. Nothing where that has some of them by now: its half comes before
        those that are left.
        """
        if not self._aside or not self._acquire(timeout=_LONGEST_PAUSE_S):
            return b""
        try:
            count = len(self._aside) if self._window.offset == self._window.start else 0
            rows = [self._aside.popleft() for _ in range(count)]
        finally:
            self._release()
        # Their shapes may stand nowhere yet: there was no room for that either.
        return define({row.shape.number: row.shape for row in rows}.values()) + b"".join(
            row.pack() for row in rows
        )

    def definitions(self) -> bytes:
        """Return the definitions of all shapes so far."""
        return define(list(self._known.values()))

    def _add_slowly(self, metrics: Mapping[str, Any], step: Any, time_s: float) -> None:
        """Take what can be taken of a call that is not simple, and say what is refused."""
        whole = self._whole(step)
        if whole is None:
            self._warn(f"step {step!r}", f"the step {step!r} is not an integer from 0 to 2**63-1")
            return
        named = dict(self._named(metrics, ""))
        if named and (shape := self._known.get(tuple(named)) or self._learn(tuple(named))):
            self._write(Row(shape, whole, time_s, tuple(named[name] for name in shape.names)))
            if shape.names in self._known and not any(map(_has_gradient, metrics.values())):
                self._shapes[shape.names] = shape

    def _named(self, metrics: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, float]]:
        for key, value in metrics.items():
            name = f"{prefix}{key}"
            if isinstance(value, Mapping):
                yield from self._named(value, f"{name}/")
            elif not NAME.fullmatch(name):
                self._warn(name, f"the metric name {name[:260]!r} is refused: 1-250 of A-Z a-z 0-9 _ . / -")
            else:
                try:
                    if isinstance(value, str | bytes):
                        raise TypeError
                    # PyTorch warns of a number that is taken from a graph.
                    yield name, float(value.detach() if _has_gradient(value) else value)
                except _NO_NUMBER:
                    self._warn(name, f"the value of the metric {name!r} is not one number: {value!r:.80}")

    def _whole(self, step: Any) -> int | None:
        try:
            whole = int(step)
        except (TypeError, ValueError, OverflowError):
            return None
        return whole if whole == step and 0 <= whole < _MOST_STEP else None

    def _learn(self, names: Names) -> Shape | None:
        """Return the shape of those names, as many as the server takes; None without any."""
        room = MOST_NAMES - len(self._names)
        new = [name for name in dict.fromkeys(names) if name not in self._names]
        if len(new) > room:
            self._warn("names", f"a run has at most {MOST_NAMES} metric names; {new[room]!r} is refused")
        self._names.update(new[:room])
        known = tuple(name for name in names if name in self._names)
        if not known or known in self._known:
            return self._known.get(known)
        # No lock: a signal handler may log within this. At worst one set of names has two numbers.
        number = next(self._numbers)
        if number > _MOST_NUMBERS:
            self._warn("shapes", "metrics come in too many different companies; this one is lost")
            self.lost_calls += 1
            return None
        shape = Shape(number, known)
        if self._acquire(False):
            try:
                is_defined = self._window.put(define([shape]))
            finally:
                self._release()
            if is_defined:
                self._known[known] = shape
        return shape

    def _write(self, row: Row) -> None:
        """Write a record, or put it aside when there is no room or another thread is writing."""
        if self._acquire(False):
            try:
                while self._aside and self._put(self._aside[0]):
                    self._aside.popleft()
                is_written = not self._aside and self._put(row)
            finally:
                self._release()
            if is_written:
                return
        self._ring()
        if len(self._aside) >= MOST_ASIDE:
            self.lost_calls += 1
            return
        self._aside.append(row)

    def _put(self, row: Row) -> bool:
        """Write a record, with its shape if that stands nowhere yet; False without room. The lock is held."""
        shape, window = row.shape, self._window
        is_defined = self._known.get(shape.names) is shape
        data = row.pack() if is_defined else define([shape]) + row.pack()
        if window.offset + len(data) > window.limit and window.widen():
            self._ring()
        if not window.put(data):
            return False
        self._known.setdefault(shape.names, shape)
        return True

    def _warn(self, key: str, reason: str) -> None:
        if key not in self._warned and len(self._warned) < MOST_NAMES:
            self._warned.add(key)
            log.warning("Not logged: %s.", reason)


def _has_gradient(value: Any) -> bool:
    return bool(getattr(value, "requires_grad", False))


class Column(NamedTuple):
    """Points of one metric, in the order in which they were logged."""

    name: str
    steps: list[int]
    values: list[float]
    times: list[float]


class PointReader:
    """Reads records; it must have seen all that came before in the same file."""

    def __init__(self) -> None:
        self._shapes: dict[int, Shape] = {}

    def read(self, data: bytes) -> dict[str, Column]:
        """Return the points by name. What is not whole ends it."""
        rows: dict[int, list[tuple[Any, ...]]] = {}
        offset, shapes = 0, self._shapes
        while offset + _NUMBER.size <= len(data):
            (number,) = _NUMBER.unpack_from(data, offset)
            shape = shapes.get(number)
            if shape is not None:
                if offset + shape.size > len(data):
                    break
                rows.setdefault(number, []).append(shape.struct.unpack_from(data, offset))
                offset += shape.size
            elif number == 0 and (length := self._define(data, offset)):
                offset += length
            else:
                break
        return _to_columns((shapes[number], found) for number, found in rows.items())

    def _define(self, data: bytes, offset: int) -> int:
        """Learn a definition and return its length; 0 when it is not whole."""
        if offset + _DEFINITION.size > len(data):
            return 0
        _, length = _DEFINITION.unpack_from(data, offset)
        text = data[offset + _DEFINITION.size : offset + _DEFINITION.size + length]
        if len(text) < length:
            return 0
        number, *names = json.loads(text)
        self._shapes[number] = Shape(number, tuple(names))
        return _DEFINITION.size + len(text)


def _to_columns(rows_of: Iterable[tuple[Shape, list[tuple[Any, ...]]]]) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for shape, rows in rows_of:
        _, steps, times, *values = map(list, zip(*rows, strict=True))
        for name, found in zip(shape.names, values, strict=True):
            if (known := columns.get(name)) is None:
                # Metrics of one call share the lists of its steps and times until one has more of them.
                columns[name] = Column(name, steps, found, times)
            else:
                columns[name] = _merge(known, Column(name, steps, found, times))
    return columns


def _merge(one: Column, other: Column) -> Column:
    """Return the points of two shapes of records in the order of their times."""
    points = zip(
        [*one.steps, *other.steps], [*one.values, *other.values], [*one.times, *other.times], strict=True
    )
    steps, values, times = map(list, zip(*sorted(points, key=lambda point: point[2]), strict=True))
    return Column(one.name, steps, values, times)
