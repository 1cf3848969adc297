"""How many requests a minute one token, one address and one stranger may make (decision 72)."""

from __future__ import annotations

import logging
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Protocol

from api.access.callers import Caller
from errors import StoreTooNew, StoreUnavailable, TooMany
from settings import Settings

log = logging.getLogger(__name__)


class Turns(Protocol):
    """What counts requests."""

    def take(self, *callers: str) -> list[tuple[int, float]]:
        """Count a request of each caller."""


class Limits:
    """The limits of one app. While Redis is away, requests pass."""

    def __init__(self, settings: Settings, turns: Turns) -> None:
        self._settings = settings
        self._turns = turns

    def take(self, address: str, caller: Caller | None) -> None:
        """Count a request of a token and an address. Raises TooMany when either has made too many."""
        most = self._settings.requests_per_minute
        address = _counted(address)
        whose = [(f"the address {address}", f"address:{address}")]
        if caller is not None:
            whose.append((f"the token {caller.name}", f"token:{caller.token_id or 'admin'}"))
        counted = self._count(*(key for _, key in whose))
        for (name, _), (count, left_s) in zip(whose, counted, strict=False):
            if count > most:
                raise TooMany(
                    f"More than {most} requests of {name} within a minute, the limit set by "
                    f"WATTLE_REQUESTS_PER_MINUTE. Come again in {left_s:.0f} s.",
                    retry_after_s=left_s,
                )

    def take_refusal(self, address: str) -> None:
        """Count a request without a valid token. Raises TooMany where there were too many of the address."""
        most = self._settings.refusals_per_minute
        address = _counted(address)
        for count, left_s in self._count(f"refused:{address}"):
            if count > most:
                raise TooMany(
                    f"More than {most} requests of the address {address} without a valid API token within a "
                    "minute, the limit set by WATTLE_REFUSALS_PER_MINUTE. With a valid one it is answered; "
                    f"without, come again in {left_s:.0f} s.",
                    retry_after_s=left_s,
                )

    def _count(self, *keys: str) -> list[tuple[int, float]]:
        try:
            return self._turns.take(*keys)
        except (StoreTooNew, StoreUnavailable) as error:
            log.debug("requests are not counted: %s", error)
            return []


def _counted(address: str) -> str:
    """Return what is counted: of IPv6 the network of 64 bits, all of whose addresses one machine may take."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((int(found), 64), strict=False)) if isinstance(found, IPv6Address) else address
