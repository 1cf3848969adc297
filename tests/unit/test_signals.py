"""When a stopping worker ends whatever it is doing, and which signal is a second one."""

from __future__ import annotations

import contextlib
import signal

import pytest

from errors import StoreUnavailable
from work.signals import (
    AT_ONCE_LIMIT_S,
    SILENT_AT_ONCE_S,
    SILENT_LIMIT_S,
    STOP_LIMIT_S,
    Contact,
    is_over,
    is_second,
)


@pytest.mark.parametrize(
    ("asked_s", "at_once_s", "silent_s", "expected"),
    [
        (SILENT_LIMIT_S + 0.1, None, 0.3, False),
        (STOP_LIMIT_S + 0.1, None, 0.3, True),
        (SILENT_LIMIT_S - 0.1, None, 60.0, False),
        (SILENT_LIMIT_S + 0.1, None, 60.0, True),
        (6.0, AT_ONCE_LIMIT_S - 0.1, 0.3, False),
        (6.0, AT_ONCE_LIMIT_S + 0.1, 0.3, True),
        (1.5, SILENT_AT_ONCE_S - 0.1, 60.0, False),
        (1.5, SILENT_AT_ONCE_S + 0.1, 60.0, True),
    ],
)
def test_the_limit_is_short_without_redis_and_shorter_after_a_second_signal(
    asked_s: float, at_once_s: float | None, silent_s: float, expected: bool
) -> None:
    assert is_over(asked_s, at_once_s, silent_s) is expected


def test_work_on_files_is_no_silence_of_redis_and_its_failure_is_no_answer() -> None:
    contact = Contact()
    contact._answered_s -= 60.0
    with contextlib.suppress(StoreUnavailable), contact.unneeded():
        assert contact.silent_s() == 0.0
        raise StoreUnavailable("gone")
    assert contact.silent_s() >= 60.0
    with contact.unneeded():
        pass
    assert contact.silent_s() < 60.0


def test_the_sigterm_of_a_launcher_right_after_a_ctrl_c_is_no_second_signal() -> None:
    assert not is_second(signal.SIGINT, signal.SIGTERM, 0.1)
    assert is_second(signal.SIGINT, signal.SIGTERM, 1.5)
    assert is_second(signal.SIGTERM, signal.SIGTERM, 0.0)
    assert is_second(signal.SIGINT, signal.SIGINT, 0.1)
