"""What a request asks of a token, for who wants to know before it is sent; the API's own table decides."""

from __future__ import annotations

import re
from typing import Final

from schema.access import Scope

_READS: Final = re.compile(r"/api/(live/tickets|predict|sweeps/predict)")
_ADMIN: Final = re.compile(
    r"/api/((audit|doctor|export|import|quotas|tokens)(/.*)?|runs/[^/]+/restore|workers/[^/]+/drain)"
)
_ADMIN_WRITES: Final = re.compile(r"/api/((alerts|projects)/.*|archive)")
_ADMIN_DELETIONS: Final = re.compile(r"/api/((runs|sweeps)/[^/]+|artifacts/.*|models/.*)")


def scope_needed(method: str, path: str) -> Scope:
    """Return the least scope that a request needs."""
    if _ADMIN.fullmatch(path):
        return Scope.ADMIN
    if method in ("GET", "HEAD", "OPTIONS") or _READS.fullmatch(path):
        return Scope.READ
    if _ADMIN_WRITES.fullmatch(path) or (method == "DELETE" and _ADMIN_DELETIONS.fullmatch(path)):
        return Scope.ADMIN
    return Scope.SUBMIT
