"""Search spaces: whether a trainer can train all of one, and the points of a grid."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

from pydantic import JsonValue

from errors import FieldError, InvalidInput
from schema import Validate
from schema.sweeps import (
    MAX_TRIALS,
    Choices,
    Dimension,
    FloatRange,
    IntRange,
    Objective,
    ParamValue,
    Sampler,
    SweepRequest,
)

Point = dict[str, ParamValue]

# Held out of the training split where a sweep is about a validation part and its request names none.
DEFAULT_VALIDATION: Final = 0.1
_VALIDATION: Final = "validation_fraction"
# What trials have to share to be compared, and what only a trainer writes.
_SHARED: Final = ("trainer", "dataset", "image_folder", "demo", "simulated")
_WRITTEN_BY_TRAINER: Final = "simulated"
_MOST_REASONS: Final = 20
_SLACK: Final = 1e-9


def complete_request(request: SweepRequest, validate: Validate) -> SweepRequest:
    """Return a request with its defaults, objectives and validation part filled in.

    validate: hyper_params as somebody wrote them → complete ones. Raises InvalidInput, which names each field
    and the remedy, where not all of the space can be trained.
    """
    _refuse(itertools.chain(_misplaced(request), _unreached(request.space)))
    base = _complete_base(request, validate)
    _refuse(_untrainable(request.space, base, validate))
    limits = request.limits
    if request.sampler is Sampler.GRID:
        _refuse(_endless(request.space))
        size = grid_size(request.space)
        if "trials" not in limits.model_fields_set:
            limits = limits.model_copy(update={"trials": size})
    objectives = _objectives(request, base)
    return request.model_copy(update={"hyper_params": base, "objectives": objectives, "limits": limits})


def grid_size(space: Mapping[str, Dimension]) -> int:
    """Return how many points a grid has."""
    return math.prod(len(steps(dimension)) for dimension in space.values())


def list_grid(space: Mapping[str, Dimension]) -> Iterator[Point]:
    """Yield every point of a grid, the last hyperparameter changing first."""
    for values in itertools.product(*(steps(dimension) for dimension in space.values())):
        yield dict(zip(space, values, strict=True))


def shuffle_grid(request: SweepRequest) -> Sequence[Point]:
    """Return every point of a grid in the order in which they become trials, which the seed chose."""
    points = list(list_grid(request.space))
    random.Random(request.seed).shuffle(points)  # noqa: S311 - an order, not a secret
    return points


def steps(dimension: Dimension) -> Sequence[ParamValue]:
    """Return the values of a dimension of a grid; none where there are too many, or no end of them."""
    if isinstance(dimension, Choices):
        return dimension.choices
    if dimension.log or dimension.step is None:
        return (dimension.low,) if dimension.low == dimension.high else ()
    count = count_steps(dimension, dimension.step)
    if count > MAX_TRIALS:
        return ()
    return tuple(value_of_step(dimension, dimension.step, number) for number in range(count))


def count_steps(dimension: IntRange | FloatRange, step: float) -> int:
    """Return how many values a range has in steps, both ends included."""
    return math.floor((dimension.high - dimension.low) / step + _SLACK) + 1


def value_of_step(dimension: IntRange | FloatRange, step: float, number: int) -> ParamValue:
    """Return one of these values, from 0 on."""
    value = dimension.low + number * step
    # Without the noise of multiplying: 0.1 · 3 is 0.3.
    return round(value) if isinstance(dimension, IntRange) else float(f"{value:.12g}")


def _refuse(reasons: Iterator[FieldError]) -> None:
    """Raise InvalidInput where there are any."""
    details = list(itertools.islice(reasons, _MOST_REASONS))
    if details:
        listed = "; ".join(f"{field}: {message}" for field, message in details)
        raise InvalidInput(f"The sweep is not valid: {listed}", details=details)


def _misplaced(request: SweepRequest) -> Iterator[FieldError]:
    for name in request.space:
        if name in _SHARED:
            reason = "all trials of a sweep share it: set it in hyper_params"
        elif name in request.hyper_params:
            reason = "it is fixed in hyper_params too: leave it out of one of the two"
        else:
            continue
        yield FieldError(f"space.{name}", reason)


def _unreached(space: Mapping[str, Dimension]) -> Iterator[FieldError]:
    """Yield what ends between two steps: Optuna would lower it, and the ends are to be both included."""
    for name, dimension in space.items():
        if isinstance(dimension, Choices) or dimension.step is None:
            continue
        # As they are written: of floats, 0.3 would be no multiple of 0.1.
        low, high, step = (Fraction(str(value)) for value in (dimension.low, dimension.high, dimension.step))
        if over := (high - low) % step:
            around = sorted((high - over, high - over + step), key=lambda value: abs(value - high))
            near, other = (f"{float(value):.12g}" for value in around)
            reason = (
                f"{dimension.high:.12g} is not reached from {dimension.low:.12g} in steps of "
                f"{dimension.step:.12g}: set high to {near} or {other}, or choose another step"
            )
            yield FieldError(f"space.{name}.high", reason)


def _complete_base(request: SweepRequest, validate: Validate) -> dict[str, JsonValue]:
    """Return what all trials share, complete."""
    given = dict(request.hyper_params)
    if any(goal.needs_validation for goal in request.goals) and _VALIDATION not in {**given, **request.space}:
        given[_VALIDATION] = DEFAULT_VALIDATION
    point = first_point(request.space)
    try:
        complete = validate({**given, **point})
    except InvalidInput as error:
        is_unknown = any(detail.field == f"hyper_params.{_VALIDATION}" for detail in error.details)
        if _VALIDATION in request.hyper_params or not is_unknown or _VALIDATION not in given:
            raise _about_space(error, request.space) from error
        # A trainer that holds nothing out.
        return _complete_base(_without_validation(request), validate)
    return {
        name: value
        for name, value in complete.items()
        if name not in request.space and name != _WRITTEN_BY_TRAINER
    }


def _without_validation(request: SweepRequest) -> SweepRequest:
    if request.objectives is not None and any(goal.needs_validation for goal in request.objectives):
        message = "this trainer holds no validation part out: choose test_accuracy or test_loss"
        raise InvalidInput(f"objectives: {message}.", details=[FieldError("objectives", message)])
    rest = tuple(goal for goal in request.goals if not goal.needs_validation)
    return request.model_copy(update={"objectives": (Objective.TEST_ACCURACY, *rest)})


def _objectives(request: SweepRequest, base: Mapping[str, JsonValue]) -> tuple[Objective, ...]:
    goals = tuple(request.goals)
    if not any(goal.needs_validation for goal in goals) or _VALIDATION in request.space:
        return goals
    if _VALIDATION not in base:
        return tuple(_without_validation(request).goals)
    if base[_VALIDATION] == 0:
        message = (
            "the objective needs a validation part: set it to 0.1, or choose the objective test_accuracy"
        )
        field = f"hyper_params.{_VALIDATION}"
        raise InvalidInput(f"{field}: {message}.", details=[FieldError(field, message)])
    return goals


def _untrainable(
    space: Mapping[str, Dimension], base: Mapping[str, JsonValue], validate: Validate
) -> Iterator[FieldError]:
    """Yield why an end of a range, or a choice, cannot be trained."""
    first = first_point(space)
    for name, dimension in space.items():
        for value in _probes(dimension):
            try:
                validate({**base, **first, name: value})
            except InvalidInput as error:
                yield from (_about(name, value, dimension, detail) for detail in error.details)


def _about(name: str, value: ParamValue, dimension: Dimension, detail: FieldError) -> FieldError:
    """Say why a value of a dimension cannot be trained, and what to do."""
    about = detail.field.removeprefix("hyper_params.")
    message = detail.message if about == name else f"{about}: {detail.message}"
    remedy = ""
    if isinstance(dimension, FloatRange) and "integer" in message:
        remedy = '; use "type": "int"'
    elif about == name:
        kind = "choice" if isinstance(dimension, Choices) else "range"
        remedy = f"; correct the {kind}"
    return FieldError(f"space.{name}", f"{str(value)[:80]!r} cannot be trained: {message}{remedy}")


def _about_space(error: InvalidInput, space: Mapping[str, Dimension]) -> InvalidInput:
    """Say of what stands in the space that it stands there."""
    details = []
    for field, message in error.details:
        name = field.removeprefix("hyper_params.")
        if name in space:
            detail = FieldError(field, message)
            details.append(_about(name, _probes(space[name])[0], space[name], detail))
        else:
            details.append(FieldError(field, message))
    listed = "; ".join(f"{field}: {message}" for field, message in details)
    return InvalidInput(f"The sweep is not valid: {listed}", details=details)


def _endless(space: Mapping[str, Dimension]) -> Iterator[FieldError]:
    for name, dimension in space.items():
        if not steps(dimension):
            message = 'a grid needs few values: give it a step, or list them as "categorical" choices'
            yield FieldError(f"space.{name}", message)
    if (size := grid_size(space)) > MAX_TRIALS:
        yield FieldError(
            "space", f"the grid has {size:,} points, at most {MAX_TRIALS:,}: leave some values out"
        )


def first_point(space: Mapping[str, Dimension]) -> Point:
    """Return the point of a space by which a request is checked before any other."""
    return {name: _probes(dimension)[0] for name, dimension in space.items()}


def _probes(dimension: Dimension) -> Sequence[ParamValue]:
    return dimension.choices if isinstance(dimension, Choices) else (dimension.low, dimension.high)
