"""Keys of providers: checked where they come in, shown nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from carbon_aware_trainer.errors import KeyRefused
from carbon_aware_trainer.providers.asking import Asker
from carbon_aware_trainer.providers.exchange import Exchange


def clean_key(key: str | None, provider: str, how: str) -> str:
    """Return a key without the blanks around it. Raises KeyRefused for none, or one no header can carry.

    Checked here, since the error of a header shows what stands in it.
    """
    stripped = (key or "").strip()
    if not stripped:
        raise KeyRefused(f"{provider} needs a key. {how}")
    if not (stripped.isascii() and stripped.isprintable()):
        raise KeyRefused(f"The key for {provider} has characters no key has. Copy it again. {how}")
    return stripped


def account_of(name: str) -> str:
    """Return a short name of an account that does not give the key away."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


class HeaderKey:
    """One key in one header, always the same."""

    is_renewable = False

    def __init__(self, header: str, key: str) -> None:
        """Take the header's name and the key."""
        self._headers = {header: key}
        self.account = account_of(key)

    def headers(self, asker: Asker, end_s: float, *, is_again: bool) -> Exchange[Mapping[str, str]]:  # noqa: ARG002
        """Return the header."""
        yield from ()
        return self._headers
