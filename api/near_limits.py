"""Warnings in the log about requests that took long, and about what is near one of its limits."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Final

from flask import Flask, Response, g, request

from api.access.guard import UPLOADS, WRITES, limit_name
from api.live.stage import LiveStage
from logs import about_run
from schema import RUN_ID_PATTERN
from settings import Settings

log = logging.getLogger(__name__)

NEAR: Final = 0.8
# Of one limit so seldom: what is near it once is so with each request.
AGAIN_S: Final = 300.0


class Reminder:
    """Warns of a limit, and again only after a while."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_s: dict[str, float] = {}

    def look(self, setting: str, used: int, limit: int) -> None:
        """Warn where ``used`` is near ``limit``, which a setting sets."""
        now_s = self._clock()
        if used < NEAR * limit or now_s < self._next_s.get(setting, now_s):
            return
        self._next_s[setting] = now_s + AGAIN_S
        log.warning("near a limit: %d of the %d that WATTLE_%s allows", used, limit, setting.upper())


def install(app: Flask, settings: Settings, stage: LiveStage) -> None:
    """Look at every request of ``app``."""
    reminder = Reminder()
    slow_s = settings.slow_ms / 1000

    @app.before_request
    def begin() -> None:
        g.asked_s = time.monotonic()
        asked = str((request.view_args or {}).get("iid", ""))
        g.about = about_run(asked if re.fullmatch(RUN_ID_PATTERN, asked) else None)
        g.about.__enter__()

    @app.after_request
    def look(response: Response) -> Response:
        took_s = time.monotonic() - g.asked_s
        if 0 < slow_s < took_s:
            route = "(none)" if request.url_rule is None else request.url_rule.rule
            log.warning(
                "a slow request method=%s route=%s status=%d took_ms=%.0f",
                *(request.method, route, response.status_code, 1000 * took_s),
            )
        if request.method in WRITES and request.endpoint not in UPLOADS:
            name = limit_name()
            reminder.look(name, request.content_length or 0, getattr(settings, name))
        reminder.look("live_viewers", stage.viewer_count, settings.live_viewers)
        return response

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        if (about := g.pop("about", None)) is not None:
            about.__exit__(None, None, None)
