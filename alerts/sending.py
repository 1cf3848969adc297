"""The one door to apprise: one message to one channel, and why it did not arrive."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from typing import Final

from alerts.channels import Channel

# At DEBUG these write whole addresses, tokens and all, whatever level the program has asked for.
_TALKATIVE: Final = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib")
_MAX_REASON_CHARACTERS: Final = 300


@dataclass(frozen=True)
class Message:
    """What is sent: a line and a text."""

    title: str
    body: str


def can_send() -> bool:
    """Tell whether apprise is installed, without loading it."""
    return importlib.util.find_spec("apprise") is not None


def send(channel: Channel, message: Message) -> str | None:
    """Send a message; returns None when it was taken, else the reason, without any secret.

    It may take as long as the other side likes: call it in a thread that nobody waits for.
    """
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        import apprise
    except ImportError:
        return "apprise is not installed. Install the extra: pip install 'wattle[alerts]'."
    # What it has to say it says in its result, which is scrubbed below.
    logging.getLogger("apprise").propagate = False
    # In this thread: those of its own pool would hold up the end of the program while a channel hangs.
    asset = apprise.AppriseAsset(app_id="Wattle", app_desc="Wattle", async_mode=False, service_timeout=0)
    service = apprise.Apprise.instantiate(channel.url.get_secret_value(), asset=asset)
    if service is None:
        return (
            f"Apprise does not know the address of the channel {channel.name} ({channel.address}). "
            "Correct it in the environment and restart the programs."
        )
    sender = apprise.Apprise()
    sender.add(service)
    result = sender.notify(body=message.body, title=message.title, body_format=apprise.NotifyFormat.TEXT)
    if result:
        return None
    return _reason(channel, [entry.message for found in result for try_ in found for entry in try_.logs])


def _reason(channel: Channel, logged: list[str]) -> str:
    words = " ".join(" ".join(logged).split()) or "The other side did not take it."
    scrubbed = channel.scrub(words)
    return scrubbed if len(scrubbed) <= _MAX_REASON_CHARACTERS else f"{scrubbed[:_MAX_REASON_CHARACTERS]}…"
