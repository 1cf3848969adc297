"""Asks a provider until it answers, within bounds, and says what a refusal means."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from carbon_aware_trainer.errors import AnswerRefused, IntensityUnavailable, KeyRefused, ProviderDown
from carbon_aware_trainer.providers.exchange import Exchange, Wait, ask
from carbon_aware_trainer.providers.patience import (
    TOO_MANY,
    Patience,
    budget_in_force,
    is_passing,
    retry_after_s,
)
from carbon_aware_trainer.providers.wire import Answer, Question

_KEY_STATUSES = (401, 403)
# A server that says to wait for a year is asked again tomorrow.
LONGEST_PAUSE_S = 24 * 3600.0


def utc_now() -> datetime:
    """Return the time, aware and in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer, and for how long nobody should ask again."""

    error: ProviderDown
    pause_s: float
    is_for_all: bool  # of this key's questions, as with too many requests; else of this question only


class Asker:
    """Asks one provider."""

    def __init__(
        self,
        provider: str,
        patience: Patience,
        *,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take who is asked, the bounds, and the clocks: of the day, and for waiting."""
        self.provider, self.patience, self.now, self.clock = provider, patience, now, clock

    def limit_s(self) -> float:
        """Return how long a question may take that is asked now."""
        budget = budget_in_force()
        return self.patience.total_s if budget is None else min(self.patience.total_s, budget.left_s)

    def spend(self, since_s: float) -> None:
        """Note that this thread or task waited since then."""
        budget = budget_in_force()
        if budget is not None:
            budget.spend(self.clock() - since_s)

    def ask(self, question: Question, end_s: float) -> Exchange[Answer | Failure]:
        """Return an answer that is final, or why there is none by ``end_s``."""
        attempt = 0
        while True:
            attempt += 1
            timeout_s = min(self.patience.attempt_s, end_s - self.clock())
            if timeout_s <= 0:  # who was not asked at all is not spared the next question
                pause_s = self.patience.pause_s if attempt > 1 else 0.0
                return Failure(self.too_slow(), pause_s, is_for_all=False)
            try:
                answer = yield from ask(replace(question, timeout_s=timeout_s))
            except ProviderDown as err:
                failure, wait_s = Failure(err, self.patience.pause_s, is_for_all=False), None
            else:
                if not is_passing(answer.status):
                    return answer
                wait_s = retry_after_s(answer.headers, now=self.now())
                failure = self._busy(answer.status, wait_s)
            wait_s = self.patience.wait_s(attempt) if wait_s is None else wait_s
            if attempt >= self.patience.attempts or wait_s >= end_s - self.clock():
                return failure
            yield Wait(wait_s)

    def too_slow(self) -> ProviderDown:
        """Say that the time is over."""
        budget = budget_in_force()
        total_s = self.patience.total_s if budget is None else min(self.patience.total_s, budget.total_s)
        return ProviderDown(f"{self.provider} did not answer within {total_s:.3g} s in all. Try again later.")

    def _busy(self, status: int, after_s: float | None) -> Failure:
        pause_s = self.patience.pause_s if after_s is None else min(after_s, LONGEST_PAUSE_S)
        when = f" It says to wait {after_s:.0f} s." if after_s else " Try again later."
        if status == TOO_MANY:
            text = f"{self.provider} gets too many requests with this key (429).{when}"
        else:
            text = f"{self.provider} has an error of its own ({status}).{when}"
        return Failure(ProviderDown(text), pause_s, is_for_all=status == TOO_MANY)


def refusal(provider: str, answer: Answer, known: Mapping[int, IntensityUnavailable]) -> IntensityUnavailable:
    """Return the error of an answer that is not 200; of its body nothing: a key may be repeated there."""
    kind = KeyRefused if answer.status in _KEY_STATUSES else AnswerRefused
    if answer.status in known:
        return known[answer.status]
    if 300 <= answer.status < 400:
        return kind(f"{provider} answers from another address ({answer.status}). Set its present URL.")
    return kind(f"{provider} answered {answer.status}, which it should not. Check its URL and the zone.")


def decode(provider: str, body: bytes) -> object:
    """Return the JSON of an answer. Raises AnswerRefused when it is none."""
    try:
        decoded: object = json.loads(body)
    except ValueError as err:
        raise AnswerRefused(
            f"{provider} answered with something that is no JSON. Check its URL, and that no proxy answers."
        ) from err
    return decoded
