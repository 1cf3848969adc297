"""A provider for tests: its answers are given, and its clocks stand still until somebody waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from carbon_aware_trainer.providers import Cache, Patience, Provider, open_provider

# The night in which Central Europe skips an hour.
NOW = datetime(2026, 3, 29, 0, 40, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOKEN = "em-5ecret-t0ken"  # noqa: S105 of nobody
LOGIN = "someone:pa55word"


class Clock:
    """The time of day and a counter of seconds, moved by waiting."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at, self.start, self.waits = at, at, list[float]()

    def now(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return (self.at - self.start).total_seconds()

    def sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.pass_by(wait_s)

    def pass_by(self, wait_s: float) -> None:
        self.at += timedelta(seconds=wait_s)


class Answers:
    """Answers in turn, the last one for ever; what was asked is kept."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return httpx.Response(200, text=json.dumps(answer))

    @property
    def urls(self) -> list[str]:
        return [str(request.url) for request in self.asked]


def opened(
    model: str,
    answers: Callable[[httpx.Request], httpx.Response],
    *,
    clock: Clock | None = None,
    cache: Cache | None = None,
    patience: Patience | None = None,
    **options: Any,
) -> Provider:
    clock = clock or Clock()
    keys: Mapping[str, str] = {"electricitymaps": TOKEN, "watttime": LOGIN}
    return open_provider(
        model,
        api_key=options.pop("api_key", keys.get(model)),
        transport=httpx.MockTransport(answers),
        now=clock.now,
        clock=clock.seconds,
        sleep=clock.sleep,
        cache=cache,
        patience=patience,
        **options,
    )
