"""What Redis and its driver complain about, in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.sentinel import MasterNotFoundError

from errors import Conflict, InvalidInput, LeaseLost, NotFound, StoreUnavailable, TooLarge, WattleError

# Codes our scripts answer with before their sentence.
_REFUSALS: Final[Mapping[str, type[WattleError]]] = {
    "LEASELOST": LeaseLost,
    "CONFLICT": Conflict,
    "INVALID": InvalidInput,
    "NOTFOUND": NotFound,
    "TOOLARGE": TooLarge,
}
_FAILING_OVER: Final = (
    "has no primary at the moment. Fail-over takes some seconds; if it stays so, see its log"
)
_NO_PRIMARY: Final = (
    "is not known to any Sentinel that answers, or no primary is alive. Fail-over takes some seconds; if it "
    "stays so, correct the hosts and the service in WATTLE_REDIS_URL"
)
_UNTRUSTED: Final = (
    "has a certificate that is not trusted. Name its CA file: add ?ssl_ca_certs=/path/ca.pem to "
    "WATTLE_REDIS_URL"
)
_NO_RIGHT: Final = (
    "does not allow this user what Wattle needs. Give it the rights in docs/security.md; where "
    "deploy/make_secrets.sh made the users, run it again and restart Redis"
)
_IS_CLUSTER: Final = "is a Cluster. Begin WATTLE_REDIS_URL with redis+cluster instead of redis"
_REMEDIES: Final[Sequence[tuple[type[Exception], str]]] = (
    (BusyLoadingError, "is still loading its data. Wait a moment and try again"),
    (AuthenticationError, "refused the user name or password. Correct them in WATTLE_REDIS_URL"),
    (NoPermissionError, _NO_RIGHT),
    (ReadOnlyError, "is a read-only replica. Set WATTLE_REDIS_URL to the primary"),
    (
        redis.exceptions.OutOfMemoryError,
        "is out of memory. Raise its maxmemory, and keep maxmemory-policy noeviction",
    ),
    (MasterNotFoundError, _NO_PRIMARY),
    (ClusterDownError, _FAILING_OVER),
    (MovedError, _IS_CLUSTER),
    (ClusterCrossSlotError, _IS_CLUSTER),
    (AskError, "moves our keys to another node. Wait until that is done"),
    (TryAgainError, "moves our keys to another node. Wait until that is done"),
    (redis.exceptions.TimeoutError, "did not answer in time. See whether it is overloaded or stopped"),
    (
        redis.exceptions.ConnectionError,
        "cannot be reached. Start it (make demo brings its own) or correct WATTLE_REDIS_URL",
    ),
    (
        RedisClusterException,
        "has no node that can be used. Correct the hosts in WATTLE_REDIS_URL, or start it",
    ),
    (
        RedisError,
        "refused a command. See its log, and that no other program uses this database number",
    ),
)
# What the driver does not recognise. Redis 6.2 wraps the error of a command inside a script, Redis 7 refuses
# a long command of somebody who gave no password with a word of its own, and a primary that was demoted is
# told apart by words only.
_DISGUISED: Final[Sequence[tuple[str, type[Exception] | str]]] = (
    (": -READONLY ", ReadOnlyError),
    (": -OOM ", redis.exceptions.OutOfMemoryError),
    ("unauthenticated", AuthenticationError),
    # A right that is missing inside a script.
    ("The user executing the script can't ", _NO_RIGHT),
    ("previous master is now a slave", _FAILING_OVER),
    ("UNBLOCKED", _FAILING_OVER),
    # Of a Sentinel the driver tells the class of the error only.
    (
        ":AuthenticationError",
        "has Sentinels that ask for a password. Add ?sentinel_password=… to WATTLE_REDIS_URL",
    ),
    ("access a non local key", _IS_CLUSTER),
    ("do not hash to the same slot", _IS_CLUSTER),
    ("CERTIFICATE_VERIFY_FAILED", _UNTRUSTED),
    (
        "Cluster mode is not enabled",
        "is no Cluster. Begin WATTLE_REDIS_URL with redis instead of redis+cluster",
    ),
)


@contextmanager
def translated(address: object) -> Iterator[None]:
    """Raise what goes wrong inside as an error of ours; ``address`` is what is called by that name."""
    try:
        yield
    except ResponseError as error:
        code, _, sentence = str(error).partition(" ")
        if code in _REFUSALS:
            raise _REFUSALS[code](sentence) from error
        raise _unavailable(error, address) from error
    except (RedisError, RedisClusterException) as error:
        raise _unavailable(error, address) from error


def is_demoted(error: Exception) -> bool:
    """Whether this server may not be, or not be known as, the primary any more."""
    lost = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, RedisClusterException)
    moved = (AskError, ClusterDownError, ReadOnlyError)
    return isinstance(error, lost + moved) or "READONLY" in str(error) or "UNBLOCKED" in str(error)


def _unavailable(error: Exception, address: object) -> StoreUnavailable:
    told = _forbidden(error) or error
    return StoreUnavailable(f"Redis at {address} {_remedy(told)}. (Redis: {_words_of(told)[:300]})")


def _forbidden(error: Exception) -> NoPermissionError | None:
    """Return what a Cluster's client may not ask, which it takes for a node that is in no Cluster."""
    met = error.__cause__ if isinstance(error, RedisClusterException) else None
    asked = met.__context__ if isinstance(met, RedisClusterException) else met
    return asked if isinstance(asked, NoPermissionError) else None


def _words_of(error: Exception) -> str:
    """Return what the driver says, less the whole setup of its client, which it says of every Sentinel."""
    return re.sub(r"<redis\.client\.Redis.*?>\)>\)> - ", "", str(error))


def _remedy(error: Exception) -> str:
    found: type[Exception] | str | None = next(
        (meaning for sign, meaning in _DISGUISED if sign in f"{error}"), None
    )
    if isinstance(found, str):
        return found
    # What a Cluster's client met at the last node it tried says more than that it gave up.
    met = error.__cause__ if isinstance(error, RedisClusterException) else None
    kind = found or type(met or error)
    return next((text for known, text in _REMEDIES if issubclass(kind, known)), _REMEDIES[-1][1])
