"""Fetches an answer once for all who ask: kept, shared, patient and bounded in time."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from carbon_aware_trainer.errors import IntensityUnavailable, ProviderDown
from carbon_aware_trainer.providers.asking import Asker, Failure, decode, refusal
from carbon_aware_trainer.providers.cache import Cache
from carbon_aware_trainer.providers.exchange import Exchange, Wait, block
from carbon_aware_trainer.providers.flights import Flights
from carbon_aware_trainer.providers.wire import Answer, Question

log = logging.getLogger(__name__)
T = TypeVar("T")
# An answer that is fresh no more may still be better than none; how old a value may be is another rule.
KEPT_FOR_S = 24 * 3600.0
# What a key may not see, or a provider does not have, is asked again after this: keys are changed by hand.
REFUSED_FOR_S = 3600.0
_LASTING = (403, 404)
POLL_S = 0.2


class Key(Protocol):
    """What a provider wants to see with a question."""

    @property
    def account(self) -> str:
        """Whose answers they are, without giving the key away; two keys may see different ones."""

    def headers(self, asker: Asker, end_s: float, *, is_again: bool) -> Exchange[Mapping[str, str]]:
        """Return the headers; ``is_again`` after the last ones were refused."""

    @property
    def is_renewable(self) -> bool:
        """Whether headers that were refused may be replaced by newer ones."""


class NoKey:
    """Asks as anybody."""

    account = ""
    is_renewable = False

    def headers(self, asker: Asker, end_s: float, *, is_again: bool) -> Exchange[Mapping[str, str]]:  # noqa: ARG002
        """Return none."""
        yield from ()
        return {}


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked; ``refusals``: what a status other than 200 means to the user."""

    url: str
    params: Mapping[str, str]
    ttl_s: float
    refusals: Mapping[int, IntensityUnavailable] = field(default_factory=dict)

    def key(self, account: str) -> str:
        """Return where its answer is kept."""
        asked = json.dumps([self.url, sorted(self.params.items()), account])
        return hashlib.sha256(asked.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Kept:
    at: datetime
    body: bytes

    def pack(self) -> bytes:
        return self.at.isoformat().encode() + b"\n" + self.body

    @classmethod
    def unpack(cls, packed: bytes) -> _Kept:
        at, body = packed.split(b"\n", 1)
        return cls(datetime.fromisoformat(at.decode()), body)


class Desk:
    """Asks one provider with one key."""

    def __init__(self, asker: Asker, cache: Cache, key: Key | None = None) -> None:
        """Take who asks, where answers are kept, and the key."""
        self._asker, self._cache, self._key = asker, cache, key or NoKey()
        self._flights = Flights()

    @property
    def now(self) -> datetime:
        """The time of day."""
        return self._asker.now()

    def fetch(self, query: Query, parse: Callable[[object], T]) -> Exchange[T]:
        """Return what ``parse`` makes of the JSON that is kept or comes back; it is kept once it parsed.

        Raises KeyRefused, ProviderDown, AnswerRefused and what ``parse`` raises.
        """
        found, _ = yield from self.fetch_dated(query, parse)
        return found

    def fetch_dated(self, query: Query, parse: Callable[[object], T]) -> Exchange[tuple[T, datetime]]:
        """Return the same, and when it came: what is kept may stand in for a failure."""
        start_s = self._asker.clock()
        try:
            return (yield from self._fetch_dated(query, parse, start_s + self._asker.limit_s()))
        finally:
            self._asker.spend(start_s)

    def _fetch_dated(
        self, query: Query, parse: Callable[[object], T], end_s: float
    ) -> Exchange[tuple[T, datetime]]:
        asker = self._asker
        key = query.key(self._key.account)
        kept = yield from self._kept(key)
        if kept is not None and self._is_fresh(kept, query):
            return parse(decode(asker.provider, kept.body)), kept.at
        try:
            packed = yield from self._flights.share(
                key,
                partial(self._lead, key, query, parse, end_s),
                alone=partial(self._fetch, key, query, parse, end_s),
                left_s=lambda: end_s - asker.clock(),
            )
        except TimeoutError as err:
            raise asker.too_slow() from err
        found = _Kept.unpack(packed)
        return parse(decode(asker.provider, found.body)), found.at

    def _lead(
        self, key: str, query: Query, parse: Callable[[object], object], end_s: float
    ) -> Exchange[bytes]:
        """Fetch, unless another process does it or it is too early; what is kept stands in for a failure."""
        while True:
            kept = yield from self._kept(key)
            if kept is not None and self._is_fresh(kept, query):
                return kept.pack()
            yield from self._recall_refusal(key, query)
            if pause := (yield from self._pause(key)):
                return self._instead(kept, ProviderDown(pause))
            token = yield from block(partial(self._cache.claim, key, ttl_s=self._asker.patience.total_s))
            if token is not None:
                break
            if self._asker.clock() + POLL_S >= end_s:
                return self._instead(kept, self._asker.too_slow())
            yield Wait(POLL_S)
        try:
            return (yield from self._fetch(key, query, parse, end_s, kept))
        finally:  # called, not yielded: who is cancelled takes no more steps
            self._cache.release(key, token)

    def _fetch(
        self,
        key: str,
        query: Query,
        parse: Callable[[object], object],
        end_s: float,
        kept: _Kept | None = None,
    ) -> Exchange[bytes]:
        """Ask, and keep the answer once it parsed."""
        answer = yield from self._ask(key, query, end_s)
        if isinstance(answer, Failure):
            yield from self._take_pause(key, answer)
            return self._instead(kept, answer.error)
        parse(decode(self._asker.provider, answer.body))
        fresh = _Kept(self.now, answer.body).pack()
        yield from block(partial(self._cache.put, key, fresh, ttl_s=max(query.ttl_s, KEPT_FOR_S)))
        return fresh

    def _ask(self, key: str, query: Query, end_s: float) -> Exchange[Answer | Failure]:
        """Ask with the key, once more with a new one where that can help."""
        is_again = False
        while True:
            try:
                headers = yield from self._key.headers(self._asker, end_s, is_again=is_again)
            except ProviderDown as err:
                return Failure(err, self._asker.patience.pause_s, is_for_all=False)
            answer = yield from self._asker.ask(Question(query.url, query.params, headers), end_s)
            if isinstance(answer, Failure) or answer.status == 200:
                return answer
            if answer.status != 401 or not self._key.is_renewable or is_again:
                if answer.status in _LASTING:
                    status = str(answer.status).encode()
                    yield from block(
                        partial(self._cache.put, f"pause:refused:{key}", status, ttl_s=REFUSED_FOR_S)
                    )
                raise refusal(self._asker.provider, answer, query.refusals)
            is_again = True

    def _recall_refusal(self, key: str, query: Query) -> Exchange[None]:
        """Raise the error of a refusal that still counts."""
        status = yield from block(partial(self._cache.get, f"pause:refused:{key}"))
        if status is not None and status.isdigit():
            raise refusal(self._asker.provider, Answer(int(status), {}, b""), query.refusals)

    def _instead(self, kept: _Kept | None, error: ProviderDown) -> bytes:
        """Return what is kept of earlier. Raises the error when that is nothing."""
        if kept is None:
            raise error
        log.warning("intensity is of %s: %s", kept.at.isoformat(timespec="minutes"), error)
        return kept.pack()

    def _kept(self, key: str) -> Exchange[_Kept | None]:
        packed = yield from block(partial(self._cache.get, key))
        try:
            return None if packed is None else _Kept.unpack(packed)
        except ValueError:
            log.warning("what is kept of %s cannot be read; it is fetched again", self._asker.provider)
            return None

    def _is_fresh(self, kept: _Kept, query: Query) -> bool:
        # another process of the store may have a clock that is ahead
        return abs(self.now - kept.at) < timedelta(seconds=query.ttl_s)

    def _pause(self, key: str) -> Exchange[str | None]:
        """Return why it is too early to ask; None when it is not."""
        for name in (self._pause_of_all, f"pause:{key}"):
            packed = yield from block(partial(self._cache.get, name))
            if packed is not None:
                return packed.decode()
        return None

    def _take_pause(self, key: str, failure: Failure) -> Exchange[None]:
        if failure.pause_s > 0:
            name = self._pause_of_all if failure.is_for_all else f"pause:{key}"
            text = str(failure.error).encode()
            yield from block(partial(self._cache.put, name, text, ttl_s=failure.pause_s))

    @property
    def _pause_of_all(self) -> str:
        return f"pause:{self._asker.provider}:{self._key.account}"
