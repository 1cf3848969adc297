"""The shortest soak: real programs for a day of 48 s, in which nothing is lost, doubled or wrong."""

from __future__ import annotations

import json

import pytest

from bench import soak
from bench.soak_plan import QUICK


@pytest.mark.slow
def test_a_short_day_loses_and_doubles_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code = soak.main(["--quick"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])

    assert code == 0, found
    wrong = ("errors", "lost", "doubled", "undead", "points_lost", "points_doubled", "brought_back_too_long")
    assert {name: found[name] for name in wrong} == dict.fromkeys(wrong, 0)
    assert found["points"] >= QUICK.points
    assert found["runs"] > QUICK.script_runs
    assert found["archived"] > QUICK.script_runs / 2
    kinds = {"redis", "web", "master", "worker", "forkserver", "page", "scripts"}
    for name in ("fd_growth", "thread_growth", "rss_growth_fraction"):
        assert found[name].keys() == kinds
