"""What a provider wants done, step by step, and the two ways to do it: in this thread or in an event loop.

An adapter is a generator: it yields a request, a wait or a call that blocks and is sent the outcome. It does
no I/O itself, so one adapter serves both ways, and its tests need no network.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from carbon_aware_trainer.driving import adrive, drive
from carbon_aware_trainer.providers.wire import Answer, Question, Wire

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Block:
    """Call what may block, such as a read of a file; the outcome is what it returns."""

    call: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Join:
    """Wait for what another is fetching; the outcome is what it got, or its failure.

    Raises TimeoutError; WouldBlock when the leader is a task of the event loop that this very call holds up.
    """

    flight: Future[bytes]
    leader_thread: int
    timeout_s: float


class WouldBlock(Exception):
    """The one to wait for cannot go on while this thread waits."""


Step: TypeAlias = Question | Wait | Block | Join
# What is sent into it depends on the step; the functions below give each outcome its type.
Exchange: TypeAlias = Generator[Step, Any, T]


def ask(question: Question) -> Exchange[Answer]:
    """Send a request. Raises ProviderDown."""
    answer: Answer = yield question
    return answer


def block(call: Callable[[], T]) -> Exchange[T]:
    """Call what may block."""
    outcome: T = yield Block(call)
    return outcome


class ThreadRunner:
    """Takes steps in this thread."""

    def __init__(self, wire: Wire, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take the connection, and how to wait."""
        self._wire, self._sleep = wire, sleep

    def perform(self, step: Step) -> object:
        """Take one step and return its outcome."""
        match step:
            case Question():
                return self._wire.send(step)
            case Wait():
                self._sleep(step.wait_s)
                return None
            case Block():
                return step.call()
            case Join():
                if step.leader_thread == threading.get_ident():
                    raise WouldBlock
                return step.flight.result(step.timeout_s)

    def run(self, exchange: Exchange[T]) -> T:
        """Take every step and return the result."""
        return drive(exchange, self.perform)


class LoopRunner:
    """Takes steps in the running event loop, which never blocks."""

    def __init__(self, wire: Wire, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Take the connection, and how to wait."""
        self._wire, self._sleep = wire, sleep

    async def perform(self, step: Step) -> object:
        """Take one step and return its outcome."""
        match step:
            case Question():
                return await self._wire.asend(step)
            case Wait():
                await self._sleep(step.wait_s)
                return None
            case Block():
                return await asyncio.to_thread(step.call)
            case Join():
                # shielded: who gives up waiting must not end the flight of the others
                flight = asyncio.shield(asyncio.wrap_future(step.flight))
                return await asyncio.wait_for(flight, step.timeout_s)

    async def run(self, exchange: Exchange[T]) -> T:
        """Take every step and return the result."""
        return await adrive(exchange, self.perform)
