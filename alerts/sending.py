"""The one door to apprise: one message to one channel, and why it did not arrive."""

from __future__ import annotations

import importlib.util
import logging
import threading
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from alerts.channels import Channel, as_json_webhook

# At DEBUG these write whole addresses, tokens and all, whatever level the program has asked for.
_TALKATIVE: Final = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib")
_MAX_REASON_CHARACTERS: Final = 300
LIMIT_S: Final = 30.0
# Threads that one channel may keep waiting in one program.
MAX_UNANSWERED: Final = 3


@dataclass(frozen=True)
class Message:
    """What is sent: a line and a text."""

    title: str
    body: str


class Send(Protocol):
    """Sends a message, and says why it could not."""

    def __call__(self, channel: Channel, message: Message) -> str | None:
        """Return None when it was taken, else the reason without secrets."""


class PatientSender:
    """Sends, and waits only so long: a channel may hang for ever, and is tried again nevertheless."""

    def __init__(self, send: Send, *, limit_s: float = LIMIT_S) -> None:
        self._send = send
        self._limit_s = limit_s
        self._unanswered: dict[str, list[threading.Thread]] = {}

    def __call__(self, channel: Channel, message: Message) -> str | None:
        """Return what ``send`` returns; a reason when it takes too long, and may still arrive."""
        waiting = [thread for thread in self._unanswered.get(channel.name, ()) if thread.is_alive()]
        if len(waiting) >= MAX_UNANSWERED:
            return f"Its last {MAX_UNANSWERED} messages are still without an answer."
        answer: SimpleQueue[str | None] = SimpleQueue()
        thread = threading.Thread(
            target=lambda: answer.put(self._send(channel, message)),
            name=f"message to {channel.name}",
            daemon=True,
        )
        thread.start()
        try:
            return answer.get(timeout=self._limit_s)
        except Empty:
            self._unanswered[channel.name] = [*waiting, thread]
            return f"No answer within {self._limit_s:g} s."


def can_send() -> bool:
    """Tell whether apprise is installed, without loading it."""
    return importlib.util.find_spec("apprise") is not None


def send(channel: Channel, message: Message) -> str | None:
    """Send a message; returns None when it was taken, else the reason, without any secret.

    It may take as long as the other side likes: call it through a PatientSender.
    """
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        import apprise
    except ImportError:
        return "apprise is not installed. Install the extra: pip install 'wattle[alerts]'."
    # What it has to say it says in its result, which is scrubbed; without a handler it would go to stderr.
    own_log = logging.getLogger("apprise")
    own_log.propagate = False
    if not own_log.handlers:
        own_log.addHandler(logging.NullHandler())
    # In this thread: those of its own pool would hold up the end of the program while a channel hangs.
    asset = apprise.AppriseAsset(app_id="Wattle", app_desc="Wattle", async_mode=False, service_timeout=0)
    # Addresses of services that it knows first: a plain webhook is what it knows no service for.
    urls = [url for url in (channel.url, as_json_webhook(channel.url)) if url is not None]
    opened = (apprise.Apprise.instantiate(url.get_secret_value(), asset=asset) for url in urls)
    service = next((found for found in opened if found is not None), None)
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
