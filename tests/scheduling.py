"""Which tests run in one process, one after another, where pytest-xdist spreads them over several.

xdist's own mark for that, xdist_group, is without effect since items of pytest keep a structured id.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# One Wattle and one Chromium for all of them.
ONE_PROCESS_FOLDER = "tests/browser"
# The one takes the ports that make demo takes, the other has a worker that has trained.
ONE_PROCESS_FILES = ("tests/fault/test_demo.py", "tests/fault/test_carbon_wishes.py")
# Each of these starts programs of its own and takes long: whoever is free takes the next.
SPREAD_FOLDER = "tests/fault"


def scope_of(nodeid: str) -> str:
    """Return what all tests that have to share a process with this one have in common."""
    name = nodeid.partition("::")[0]
    folder = str(PurePosixPath(name).parent)
    if folder == ONE_PROCESS_FOLDER:
        return folder
    if folder == SPREAD_FOLDER and name not in ONE_PROCESS_FILES:
        return nodeid
    # Fixtures of a module are made once.
    return name


class ByScope(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no annotations
    """Gives a process one scope after another, in the order of collection: the slow tests first."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        # Otherwise scopes of many tests come first: those of unit tests, and a slow one would be the last.
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByScope | None:
    """Schedule so by default; another --dist means what it says."""
    return ByScope(config, log) if config.getvalue("dist") == "load" else None
