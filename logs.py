"""How every program logs: as text or as JSON lines, to stderr and to a file, and never a secret.

Modules log with ``logging.getLogger(__name__)``; programs call ``configure`` once.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from errors import InvalidInput
from settings import Settings

Component = Literal["backend", "worker", "page"]

HIDDEN: Final = "***"
_TEXT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
_WORKER_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_RUN_ID: Final = re.compile(r"\brun_id=([0-9A-Za-z][0-9A-Za-z_-]{0,63})")
# user:password@ of an address, and what follows a name that says it is secret.
_PASSWORD: Final = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)")
_CREDENTIAL: Final = re.compile(
    r"(?i)\b(Bearer |Authorization: ?\S+ |(?:password|secret|token|api_key)=)[^\s&'\"]+"
)
# Shorter parts of an address are words that other lines may have.
_LEAST_SECRET: Final = 8
# Hidden wherever they stand, shorter ones would make lines unreadable.
_SHORTEST: Final = 4
# Settings of whose address the password alone is secret: its user and host are words that other lines have.
_ADDRESSES: Final = frozenset({"database_url"})
_run_id: ContextVar[str | None] = ContextVar("run_id", default=None)


@contextmanager
def about_run(run_id: str | None) -> Iterator[None]:
    """Let what this thread logs in the block be about a run."""
    token = _run_id.set(run_id)
    try:
        yield
    finally:
        _run_id.reset(token)


def configure(settings: Settings, component: Component) -> None:
    """Send the log of this process where the settings say. The same again replaces what was before.

    Raises InvalidInput when the file cannot be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if settings.log_file is not None:
        handlers.append(_open_file(settings, settings.log_file))
    formatter = choose_formatter(settings, component)
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=settings.effective_log_level, handlers=handlers, force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request


def choose_formatter(settings: Settings, component: Component) -> logging.Formatter:
    """Return what writes the lines of a program."""
    secrets = list_secrets(settings)
    if settings.log_format == "json":
        return JsonLines(component, secrets)
    return TextLines(_WORKER_TEXT if component == "worker" else _TEXT, secrets)


def list_secrets(settings: Settings) -> frozenset[str]:
    """Return the texts in the settings that no line may have: whole secrets, and their telling parts."""
    found: set[str] = set()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name in _ADDRESSES and isinstance(value, SecretStr):
            hidden = _password(value.get_secret_value()) or ""
            found |= {hidden, unquote(hidden)}
        elif isinstance(value, SecretStr):
            for word in value.get_secret_value().split():
                found |= {word, *_secret_parts(word)}
        elif isinstance(value, str) and (password := _password(value)):
            found.add(password)
    return frozenset(secret for secret in found if len(secret) >= _SHORTEST)


def _secret_parts(word: str) -> set[str]:
    """Return what of an address is secret by itself: user, password, long parts of the path.

    In some addresses of apprise a token stands where others have the host.
    """
    if "://" not in word:
        return {part for part in word.split(":") if len(part) >= _LEAST_SECRET}
    rest = word.split("://", 1)[1]
    authority, _, path = rest.partition("/")
    user, _, host = authority.rpartition("@")
    if len(host) >= _LEAST_SECRET and not re.search(r"[.:]|^localhost$", host):
        path = f"{path}/{host}"
    parts = {part for part in re.split(r"[/?&=]", path) if len(part) >= _LEAST_SECRET}
    return parts | {part for part in user.split(":") if part}


def _password(url: str) -> str | None:
    with suppress(ValueError):
        return urlsplit(url).password
    return None


class TextLines(logging.Formatter):
    """Lines for people."""

    def __init__(self, form: str, secrets: frozenset[str]) -> None:
        super().__init__(form)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Write a record, its exception behind it."""
        return hide(super().format(record), self._secrets)


class JsonLines(logging.Formatter):
    """One JSON object per record, for programs; docs/observe.md lists its fields."""

    def __init__(self, component: Component, secrets: frozenset[str]) -> None:
        super().__init__()
        self._component = component
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line, its exception in it."""
        message = record.getMessage()
        fields = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "component": self._component,
            "message": hide(message, self._secrets),
        }
        if run_id := find_run_id(record, message):
            fields |= {"run_id": run_id, "experiment_id": run_id}
        if record.exc_info:
            fields["exception"] = hide(self.formatException(record.exc_info), self._secrets)
        return json.dumps(fields)


def find_run_id(record: logging.LogRecord, message: str) -> str | None:
    """Return the run that a record is about: by ``extra``, by ``run_id=…`` in it, or by ``about_run``."""
    given = getattr(record, "run_id", None)
    if isinstance(given, str):
        return given
    stated = _RUN_ID.search(message)
    return stated[1] if stated else _run_id.get()


def hide(text: str, secrets: frozenset[str]) -> str:
    """Replace secrets, the longest first, and whatever looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _CREDENTIAL.sub(rf"\g<1>{HIDDEN}", _PASSWORD.sub(rf"\g<1>{HIDDEN}", text))


class SharedFile(RotatingFileHandler):
    """A file that several processes of a host write, and that begins anew once it is full.

    A lock beside it keeps two from renaming it at once; who finds it renamed opens the new one.
    """

    def __init__(self, path: Path, *, max_bytes: int, old_files: int) -> None:
        self._lock_file = path.with_name(f".{path.name}.lock").open("a")
        super().__init__(
            path, maxBytes=max_bytes, backupCount=old_files, encoding="utf-8", errors="backslashreplace"
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; a disk that fails is told on stderr, as logging does, and hurts nobody."""
        try:
            fcntl.lockf(self._lock_file, fcntl.LOCK_EX)
            try:
                self._follow()
                super().emit(record)
            finally:
                fcntl.lockf(self._lock_file, fcntl.LOCK_UN)
        except OSError:
            self.handleError(record)

    def close(self) -> None:
        """Close both files."""
        self._lock_file.close()
        super().close()

    def _follow(self) -> None:
        """Open the file again where another process has renamed it, or somebody has deleted it."""
        try:
            there = Path(self.baseFilename).stat().st_ino
        except FileNotFoundError:
            there = None
        if self.stream is not None and os.fstat(self.stream.fileno()).st_ino != there:
            self.stream.close()
            self.stream = self._open()


def _open_file(settings: Settings, path: Path) -> SharedFile:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return SharedFile(path, max_bytes=settings.log_file_mib * 2**20, old_files=settings.log_files)
    except OSError as error:
        raise InvalidInput(
            f"WATTLE_LOG_FILE cannot be written: {error}. Name a file where this program may write."
        ) from error
