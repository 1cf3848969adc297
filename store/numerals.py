"""Numbers that are kept as texts, which Python and Redis do not read alike."""

from __future__ import annotations

import math
import re
from typing import Final

# What Python, Redis and Lua all read: float() alone takes 1_000, spaces around it, digits of other scripts.
_NUMBER: Final = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_MOST_CHARACTERS: Final = 400


def check_integer(text: str) -> None:
    """Raise ValueError unless a text is a whole number that everybody reads to its last digit."""
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        raise ValueError(f"{text[:80]!r} is no whole number")


def check_number(text: str) -> None:
    """Raise ValueError unless a text is a finite number to everybody who reads it."""
    if len(text) > _MOST_CHARACTERS or not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(f"{text[:80]!r} is no finite number")
