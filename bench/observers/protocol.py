"""What an observer says: one JSON object per line.

First it says what it covers, or the reason why it can read nothing. Then it answers ``begin`` with ``{}`` and
``end`` with the joules since, by part (gpu, cpu, dram, ram). Standard library only: peers run in environments
of their own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Protocol, TextIO


class CannotRead(Exception):
    """There is nothing that this observer can read here; the text is its own reason."""


class Observer(Protocol):
    """Something that measures a span between two calls."""

    @property
    def covers(self) -> str:
        """Whose energy it is and how it comes about, for a person."""

    def begin(self) -> None:
        """Begin a span."""

    def end(self) -> Mapping[str, float]:
        """Return the joules of the span by part. Raises CannotRead when they are not known."""


def serve(
    open_observer: Callable[[], Observer], *, lines: TextIO = sys.stdin, answers: TextIO = sys.stdout
) -> None:
    """Open the observer, then answer every line until there is none."""
    try:
        observer = open_observer()
    except CannotRead as error:
        _say(answers, {"reason": str(error)})
        return
    _say(answers, {"covers": observer.covers})
    cpu_s = start_s = 0.0
    for line in lines:
        if line.strip() == "begin":
            cpu_s, start_s = time.process_time(), time.monotonic()
            observer.begin()
            _say(answers, {})
            continue
        try:
            answer: dict[str, object] = {"joules": dict(observer.end())}
        except CannotRead as error:
            answer = {"reason": str(error)}
        span_s = time.monotonic() - start_s
        answer |= {"span_s": span_s, "core_share": (time.process_time() - cpu_s) / span_s}
        _say(answers, answer)


def _say(answers: TextIO, answer: Mapping[str, object]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
