"""A run for each call of a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from training_monitor.monitor import TrainingMonitor

P = ParamSpec("P")
R = TypeVar("R")


def monitored(
    experiment_name: str | None = None, **options: Any
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make each call of a function a run that ends as the call does, with its arguments as parameters.

    experiment_name: else the function's name. options: those of TrainingMonitor. A parameter ``monitor``
    gets the run's monitor, unless the caller gives one.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind_partial(*args, **kwargs)
            given.apply_defaults()
            params = {name: value for name, value in given.arguments.items() if name != "monitor"}
            name = experiment_name or function.__name__
            with TrainingMonitor(name, params=params, **options) as monitor:
                if "monitor" in signature.parameters and given.arguments.get("monitor") is None:
                    kwargs["monitor"] = monitor
                return function(*args, **kwargs)

        return call

    return decorate
