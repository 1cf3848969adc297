"""Put the wall clock of a worker wrong by CLOCK_ERROR_S: Python imports this first from PYTHONPATH.

Of the worker's own process only, which alone talks to Redis: pandas, which its training children import,
crashes at another class of datetime.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from datetime import tzinfo
from typing import Self

ERROR_S = float(os.environ["CLOCK_ERROR_S"])
_right_time = time.time
_right_time_ns = time.time_ns


class WrongDateTime(datetime.datetime):
    __slots__ = ()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + datetime.timedelta(seconds=ERROR_S)


if "worker.py" in sys.orig_argv:
    time.time = lambda: _right_time() + ERROR_S
    time.time_ns = lambda: _right_time_ns() + int(ERROR_S * 1e9)
    datetime.datetime = WrongDateTime  # type: ignore[misc] # for everybody who imports it from now on
