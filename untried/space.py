"""The space around what was run: which hyperparameters vary, within which bounds, and points of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
from pydantic import JsonValue

from leaderboard.pareto import Floats

Params: TypeAlias = Mapping[str, JsonValue]

# A seed is luck, and the others are not the reader's to choose.
_NOT_CHOSEN: Final = ("trainer", "seed", "simulated")
# How many there are is a fact of the machines.
_AS_RUN: Final = ("gpus",)
# So much of the range that was run is added on both sides of it.
_BEYOND: Final = 0.25
_LOG_FROM: Final = 10
_STEP: Final = 0.15
_DIGITS: Final = 3


@dataclass(frozen=True)
class Dimension:
    """A hyperparameter that varied: a number on an even or a logarithmic scale, or one of some values."""

    name: str
    choices: tuple[JsonValue, ...] = ()
    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    is_whole: bool = False
    least: float = -math.inf
    most: float = math.inf

    def encode(self, value: JsonValue) -> list[float]:
        """Return numbers for a model: 0 to 1 is what was run; a column for each of some values."""
        if self.choices:
            return [float(_same(value, choice)) for choice in self.choices]
        return [(self._scaled(_number(value)) - self._low) / (self._high - self._low)]

    def draw(self, chance: np.random.Generator) -> JsonValue:
        """Return any value."""
        if self.choices:
            return self.choices[int(chance.integers(len(self.choices)))]
        return self._decode(float(chance.uniform(-_BEYOND, 1 + _BEYOND)))

    def vary(self, value: JsonValue, chance: np.random.Generator) -> JsonValue:
        """Return a value near another one."""
        if self.choices:
            return self.draw(chance)
        place = self.encode(value)[0] + float(chance.normal(0, _STEP))
        return self._decode(min(1 + _BEYOND, max(-_BEYOND, place)))

    @cached_property
    def _low(self) -> float:
        return self._scaled(self.low)

    @cached_property
    def _high(self) -> float:
        return self._scaled(self.high)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.is_log else value

    def _decode(self, place: float) -> JsonValue:
        scaled = self._low + place * (self._high - self._low)
        value = math.exp(scaled) if self.is_log else scaled
        value = min(self.most, max(self.least, value))
        return round(value) if self.is_whole else float(f"{value:.{_DIGITS}g}")


@dataclass(frozen=True)
class Space:
    """What varied among some configurations of one trainer."""

    dimensions: tuple[Dimension, ...]

    @classmethod
    def around(cls, schema: Params, rows: Sequence[Params]) -> Space:
        """Return the space of a trainer's JSON schema around what was run."""
        found = []
        for name, prop in _properties(schema).items():
            values = [row[name] for row in rows if name in row]
            if name in _NOT_CHOSEN or all(_same(value, values[0]) for value in values[1:]):
                continue
            found.append(_dimension(name, prop, values))
        return cls(tuple(found))

    def encode(self, rows: Sequence[Params]) -> Floats:
        """Return a row of numbers for each."""
        cells = [[cell for each in self.dimensions for cell in each.encode(row[each.name])] for row in rows]
        return np.array(cells, dtype=np.float64)

    def points(self, best: Sequence[Params], count: int) -> Iterator[dict[str, JsonValue]]:
        """Yield so many points: half of them anywhere, half near the best ones. Always the same ones.

        What does not vary is as in the first of the best.
        """
        chance = np.random.default_rng(0)
        for number in range(count):
            if number % 2:
                model = best[number // 2 % len(best)]
                changed = chance.random(len(self.dimensions)) < 2 / len(self.dimensions)
                changed[int(chance.integers(len(self.dimensions)))] = True
                values = {
                    each.name: each.vary(model[each.name], chance) if is_changed else model[each.name]
                    for each, is_changed in zip(self.dimensions, changed.tolist(), strict=True)
                }
            else:
                values = {each.name: each.draw(chance) for each in self.dimensions}
            yield {**best[0], **values}


def complete(schema: Params, params: Params) -> dict[str, JsonValue]:
    """Return what a run was made of as the schema has it now: new fields as by default, old ones gone."""
    return {
        name: params.get(name, prop.get("const", prop.get("default")))
        for name, prop in _properties(schema).items()
    }


def key_of(params: Params) -> str:
    """Return what is the same for what differs in its seed alone."""
    return json.dumps({name: value for name, value in params.items() if name != "seed"}, sort_keys=True)


def _dimension(name: str, prop: Params, values: Sequence[JsonValue]) -> Dimension:
    kinds = _kinds(prop)
    numbers = [_number(value) for value in values if _is_number(value)]
    if len(numbers) < len(values) or name in _AS_RUN or not kinds & {"number", "integer"}:
        known = {json.dumps(value, sort_keys=True): value for value in values}
        return Dimension(name, tuple(known[text] for text in sorted(known)))
    low, high = min(numbers), max(numbers)
    bounds = [part for part in (prop, *_parts(prop)) if "minimum" in part or "maximum" in part]
    return Dimension(
        name,
        low=low,
        high=high,
        is_log=low > 0 and high >= _LOG_FROM * low,
        is_whole="number" not in kinds,
        least=max((_number(part["minimum"]) for part in bounds if "minimum" in part), default=-math.inf),
        most=min((_number(part["maximum"]) for part in bounds if "maximum" in part), default=math.inf),
    )


def _properties(schema: Params) -> dict[str, Params]:
    found = schema.get("properties")
    listed = found.items() if isinstance(found, dict) else ()
    return {name: prop for name, prop in listed if isinstance(prop, dict)}


def _kinds(prop: Params) -> set[str]:
    return {str(part["type"]) for part in (prop, *_parts(prop)) if "type" in part and "const" not in part}


def _parts(prop: Params) -> list[dict[str, JsonValue]]:
    parts = prop.get("anyOf")
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: JsonValue) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _same(one: JsonValue, other: JsonValue) -> bool:
    # True is 1 to Python, and not to who chooses.
    return one == other and isinstance(one, bool) == isinstance(other, bool)
