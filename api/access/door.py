"""The second door: which token a request shows, and whether it may do what it asks for.

Off for requests that can only come from this machine, unless WATTLE_REQUIRE_TOKEN is set; docs/security.md.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable
from typing import Final

from flask import Flask, Response, request
from pydantic import SecretStr

from api.access.callers import (
    ADMIN,
    LIVE_PAGE,
    LOOPBACK,
    PROMETHEUS,
    Caller,
    check_own,
    check_scope,
    find_caller,
    noted_detail,
    set_caller,
)
from api.access.limits import Limits
from api.access.people import speak_for
from api.access.proxies import Proxies
from api.access.scopes import Reach, Rule, is_audited, rule_of
from api.access.strangers import reason_for_token
from api.live.viewers import PROTOCOL
from api.runs import check_run_id
from api.state import db
from errors import NotAllowed, StoreTooNew, StoreUnavailable, TokenNeeded
from redis_db import RedisDB
from schema.live import DEFAULT_VIEW
from settings import Settings

log = logging.getLogger(__name__)

_METRICS: Final = "observing.get_metrics"
_MOST_SCRAPERS: Final = 32
_PROTOCOL_TOKEN: Final = f"{PROTOCOL}.token."
_PROTOCOL_PASS: Final = f"{PROTOCOL}.pass."
_HOW: Final = (
    "On the backend's machine make one with: wattle token create NAME --scope read (or "
    "submit, or admin), and send it as the header Authorization: Bearer TOKEN; Wattle's own programs take it "
    "from WATTLE_API_TOKEN. docs/security.md has more."
)


class Access:
    """The guard of one app."""

    def __init__(self, settings: Settings, store: RedisDB) -> None:
        self._settings = settings
        self._store = store
        self._limits = Limits(settings, store.turns)
        self._proxies = Proxies(settings.trusted_proxies)
        # By the hash of their token: who asked for the metrics, for as long as nobody can be looked up.
        self._scrapers: dict[str, Caller] = {}

    def admit(self) -> None:
        """Find out who asks, and refuse what they may not do.

        Raises TokenNeeded, NotAllowed, TooMany, or StoreUnavailable while tokens cannot be looked up.
        """
        rule = rule_of(request.endpoint)
        secret = shown_secret()
        reason = "WATTLE_REQUIRE_TOKEN is set" if self._settings.require_token else reason_for_token(request)
        if secret is None and reason is None:
            self._let_in(LOOPBACK, rule)
            return
        if secret is None and self._has_pass():
            set_caller(LIVE_PAGE)
            return
        address = self._proxies.client_address(request)
        caller = None if secret is None else self._look_up(secret, is_open=rule.scope is None)
        set_caller(caller)
        if caller is None and rule.scope is not None:
            self._limits.take_refusal(address)
            raise TokenNeeded(_refusal(secret, reason))
        self._limits.take(address, caller)
        if caller is not None:
            self._let_in(caller, rule)

    def _let_in(self, caller: Caller, rule: Rule) -> None:
        """Note who asks, and for whom; raises NotAllowed for what is out of their reach."""
        caller = speak_for(caller, request)
        set_caller(caller)
        _check(caller, rule)

    def record(self, response: Response) -> Response:
        """Tell the audit log what was done, and by whom."""
        caller = find_caller()
        if caller is None or not is_audited(request.endpoint, request.method):
            return response
        try:
            self._store.audit.record(
                who=caller.name,
                person=caller.person or "",
                address=self._proxies.client_address(request),
                action=request.endpoint or "",
                target=f"{request.method} {request.path}",
                status=response.status_code,
                detail=noted_detail(),
            )
        except (StoreTooNew, StoreUnavailable) as error:
            log.warning(
                "the audit log misses who=%r person=%r action=%s path=%s status=%d: %s",
                *(caller.name, caller.person, request.endpoint, request.path, response.status_code, error),
            )
        return response

    def _has_pass(self) -> bool:
        """Whether a WebSocket shows the pass of a live page, for the very view it asks for."""
        shown = _asked_protocol(_PROTOCOL_PASS)
        if shown is None or request.endpoint != "live.open_socket":
            return False
        return self._store.live.find_pass(shown) == request.args.get("run_id", DEFAULT_VIEW)

    def _look_up(self, secret: str, *, is_open: bool) -> Caller | None:
        if _is_same(secret, self._settings.admin_token):
            return ADMIN
        if request.endpoint == _METRICS and _is_same(secret, self._settings.metrics_token):
            return PROMETHEUS
        digest = hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
        try:
            found = self._store.tokens.find(secret)
        except (StoreTooNew, StoreUnavailable):
            if is_open:  # /healthz has to tell that Redis is away
                return None
            if request.endpoint == _METRICS and digest in self._scrapers:  # and /metrics
                return self._scrapers[digest]
            raise
        if found is None or found[0].is_expired(found[1]):
            self._scrapers.pop(digest, None)
            return None
        caller = Caller.of(found[0])
        if request.endpoint == _METRICS:
            self._keep_scraper(digest, caller)
        return caller

    def _keep_scraper(self, digest: str, caller: Caller) -> None:
        """Know a scraper, and the few that asked last: a token that was revoked is never shown again."""
        self._scrapers.pop(digest, None)
        self._scrapers[digest] = caller
        for oldest in list(self._scrapers)[:-_MOST_SCRAPERS]:
            self._scrapers.pop(oldest, None)


def install(app: Flask, access: Access) -> Callable[[], None]:
    """Let ``app`` keep an audit log; returns the check for the first door to call."""
    app.after_request(access.record)
    return access.admit


def _is_same(shown: str, known: SecretStr | None) -> bool:
    return known is not None and hmac.compare_digest(known.get_secret_value().encode(), shown.encode())


def shown_secret() -> str | None:
    """Return the token of the present request: of its header, or of the protocols a WebSocket asks for."""
    kind, _, secret = request.headers.get("Authorization", "").strip().partition(" ")
    if kind.lower() == "bearer":
        return secret.strip()
    return _asked_protocol(_PROTOCOL_TOKEN)


def _asked_protocol(start: str) -> str | None:
    """Return what follows ``start`` in one of the protocols that a WebSocket asks for."""
    if request.headers.get("Upgrade", "").lower() == "websocket":
        for asked in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
            if asked.strip().startswith(start):
                return asked.strip().removeprefix(start)
    return None


def _refusal(secret: str | None, reason: str | None) -> str:
    if secret is not None:
        return (
            f"The API token of this request is not known: it was revoked, has expired or is another's. {_HOW}"
        )
    return f"This request needs an API token, because {reason}. {_HOW}"


def _check(caller: Caller, rule: Rule) -> None:
    if rule.scope is not None:
        check_scope(rule.scope, f"{request.method} {request.path[:80]}")
    if caller.project is None or rule.reach in (Reach.ANY, Reach.VIEW):
        return
    if rule.reach is Reach.NONE:
        raise NotAllowed(
            f"{request.path[:80]} is about all projects, and this token is of the project {caller.project!r} "
            "alone. Use a token of all projects."
        )
    _check_run()


def _check_run() -> None:
    """Raise NotFound unless the run of the path is of the caller's project."""
    check_own(db().runs.get(check_run_id((request.view_args or {})["iid"])))
