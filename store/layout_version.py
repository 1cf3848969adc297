"""Which versions of the store's layout a program works with."""

from __future__ import annotations

from typing import Final

from errors import StoreTooNew

# Stores of before there was a version have this one.
FIRST_LAYOUT: Final = 1


def check_layout(stored: str | bytes | None, *, known: int) -> int:
    """Return the version that is stored. Raises StoreTooNew for one above ``known``, the newest one here.

    stored: what the key has; None where nothing was written yet, or before there was a version.
    """
    version = FIRST_LAYOUT if stored is None else int(stored)
    if version > known:
        raise StoreTooNew(
            f"The store in Redis has layout {version}, and this version of Wattle knows those up to "
            f"{known}: a newer one has written it. Upgrade this program to the version of the others, or set "
            "WATTLE_REDIS_URL to another store; nothing was changed."
        )
    return version
