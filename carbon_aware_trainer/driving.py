"""Taking the steps that a generator yields: in this thread, or in a task of an event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")


def drive(steps: Generator[S, Any, T], perform: Callable[[S], object]) -> T:
    """Perform every step in this thread and return the result of the generator.

    The generator is sent what a step gives, and is thrown what it raises, a cancellation too: it cleans up.
    """
    try:
        step = next(steps)
        while True:
            try:
                outcome = perform(step)
            except BaseException as failure:  # noqa: BLE001 handed on to whom it concerns
                step = steps.throw(failure)
            else:
                step = steps.send(outcome)
    except StopIteration as done:
        result: T = done.value
        return result


async def adrive(steps: Generator[S, Any, T], perform: Callable[[S], Awaitable[object]]) -> T:
    """Perform every step in this task and return the result of the generator; else as ``drive``."""
    try:
        step = next(steps)
        while True:
            try:
                outcome = await perform(step)
            except BaseException as failure:  # noqa: BLE001 handed on to whom it concerns
                step = steps.throw(failure)
            else:
                step = steps.send(outcome)
    except StopIteration as done:
        result: T = done.value
        return result
