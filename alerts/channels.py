"""The channels of the settings. Their addresses are secrets: nothing here shows more of one than its host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

from pydantic import SecretStr

from errors import InvalidInput, NotFound
from settings import Settings

# Of these the host is no secret; of all others it may be a part of the token.
_HOST_SHOWN: Final = frozenset(
    {"http", "https", "json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"}
)
# Webhooks without a service of their own get JSON.
_PLAIN_WEBHOOKS: Final = {"http": "json", "https": "jsons"}
# Schemes of WATTLE_SMTP_URL: apprise's scheme, its mode and the usual port.
_MAIL: Final = {
    "smtp": ("mailtos", "starttls", 587),
    "smtps": ("mailtos", "ssl", 465),
    "smtp+plain": ("mailto", "insecure", 25),
}
_NO: Final = frozenset({"false", "no", "off", "0"})
_YES: Final = frozenset({"true", "yes", "on", "1"})
# Shorter parts of an address, such as a port or "to", are found in any sentence.
_SECRET_CHARACTERS: Final = 4
HIDDEN: Final = "***"


@dataclass(frozen=True)
class Channel:
    """Where alerts can be told; ``url`` is one of apprise, or of any webhook."""

    name: str
    url: SecretStr

    @property
    def address(self) -> str:
        """The kind of channel, and its host where that is no secret."""
        parts = _split(self.url)
        shown = parts.scheme in _HOST_SHOWN
        return f"{parts.scheme}://{_host(parts) if shown else ''}{'/' if shown else ''}{HIDDEN}"

    def scrub(self, text: str) -> str:
        """Return ``text`` without any part of the address that nobody else may know."""
        parts = _split(self.url)
        raw = [self.url.get_secret_value(), parts.username, parts.password]
        raw += re.split(r"[/?&=;,]", f"{parts.path}?{parts.query}?{parts.fragment}")
        if parts.scheme not in _HOST_SHOWN:
            raw += re.split(r"[/@:]", parts.netloc)
        secrets = {form for part in raw if part for form in (part, unquote(part), quote(part, safe=""))}
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _SECRET_CHARACTERS:
                text = text.replace(secret, HIDDEN)
        return text


def as_json_webhook(url: SecretStr) -> SecretStr | None:
    """Return apprise's address of a webhook that wants JSON; None for what is no plain web address."""
    parts = _split(url)
    if parts.scheme not in _PLAIN_WEBHOOKS:
        return None
    # What has a dash before it apprise passes on; all else would be an option of its own.
    query = "&".join(f"-{part}" for part in parts.query.split("&") if part)
    return SecretStr(parts._replace(scheme=_PLAIN_WEBHOOKS[parts.scheme], query=query).geturl())


class Channels:
    """All channels of the settings, by name."""

    def __init__(self, settings: Settings) -> None:
        """Read them. Raises InvalidInput, without repeating an address, when one is not valid."""
        found = [_slack(settings), _email(settings), *_listed(settings)]
        by_name: dict[str, Channel] = {}
        for channel in found:
            if channel is None:
                continue
            if channel.name in by_name:
                raise InvalidInput(
                    f"Two channels for alerts are called {channel.name}. slack and email are those of "
                    "WATTLE_SLACK_WEBHOOK_URL and WATTLE_EMAIL_NOTIFICATIONS; rename the one in "
                    "WATTLE_ALERT_CHANNELS."
                )
            by_name[channel.name] = channel
        self._by_name = dict(sorted(by_name.items()))

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, sorted."""
        return tuple(self._by_name)

    def get(self, name: str) -> Channel:
        """Return a channel. Raises NotFound when the settings have none of that name."""
        if name in self._by_name:
            return self._by_name[name]
        known = f"Those that are: {', '.join(self._by_name)}." if self._by_name else "None is."
        raise NotFound(
            f"No channel called {name[:40]!r} is set up in the backend. {known} See docs/alerts.md."
        )


def _listed(settings: Settings) -> list[Channel]:
    if settings.alert_channels is None:
        return []
    entries = [word.partition("=") for word in settings.alert_channels.get_secret_value().split()]
    return [Channel(name, _checked(url, f"channel {name}")) for name, _, url in entries]


def _slack(settings: Settings) -> Channel | None:
    """Return the channel of an incoming webhook of Slack."""
    if settings.slack_webhook_url is None:
        return None
    return Channel("slack", _checked(settings.slack_webhook_url.get_secret_value(), "Slack's webhook"))


def _checked(url: str, what: str) -> SecretStr:
    """Return an address. Raises InvalidInput when it is no URL."""
    try:
        _ = urlsplit(url).port  # raises ValueError when it is no number
    except ValueError:
        # Not from the ValueError: it repeats what may be half of a password.
        raise InvalidInput(f"The address of {what} is not a URL. Correct it in the environment.") from None
    return SecretStr(url)


def _email(settings: Settings) -> Channel | None:
    """Return the channel of mail addresses; None when there are none, or mail is switched off."""
    wanted = (settings.email_notifications or "").strip()
    if not wanted or wanted.lower() in _NO:
        return None
    if settings.smtp_url is None:
        raise InvalidInput(
            "WATTLE_EMAIL_NOTIFICATIONS needs a mail server: set WATTLE_SMTP_URL, such as "
            "smtp://user:password@mail.example.org:587."
        )
    parts = _split(_checked(settings.smtp_url.get_secret_value(), "the mail server"))
    if parts.scheme not in _MAIL or not parts.hostname:
        raise InvalidInput(
            "WATTLE_SMTP_URL should begin with smtp://, smtps:// or smtp+plain:// and name a host."
        )
    scheme, mode, port = _MAIL[parts.scheme]
    user = unquote(parts.username or "")
    sender = user if "@" in user else f"{user or 'wattle'}@{parts.hostname}"
    to = (
        sender
        if wanted.lower() in _YES
        else ",".join(part.strip() for part in wanted.split(",") if part.strip())
    )
    login = f"{quote(user, safe='')}:{quote(unquote(parts.password or ''), safe='')}@" if user else ""
    query = urlencode({"from": sender, "to": to, "mode": mode, "format": "text"})
    # The name and not the address of its sender, which apprise would take its server from.
    server = urlencode({"smtp": parts.hostname})
    return Channel(
        "email", SecretStr(f"{scheme}://{login}{_host(parts)}:{parts.port or port}/?{query}&{server}")
    )


def _split(url: SecretStr) -> SplitResult:
    return urlsplit(url.get_secret_value())


def _host(parts: SplitResult) -> str:
    name = parts.hostname or ""
    return f"[{name}]" if ":" in name else name
