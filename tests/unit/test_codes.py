"""Columns by numbers: what no run has any more is forgotten, and all that runs have is as it was."""

from __future__ import annotations

import numpy as np

from catalog.table import Table as Listed
from leaderboard.table import CODED
from leaderboard.table import Table as Finished
from tests.finished_runs import finished
from tests.unit.test_search import RUN

CHANGES = 5_000
# Two values for each run that there is, and the thousand that are not worth the work.
MOST = 1_100


def test_the_catalog_forgets_the_names_of_runs_that_are_gone() -> None:
    table = Listed.of([RUN._replace(run_id="kept", name="kept", tags=("a",))])
    assert [table.coded(field).numbers.tolist() for field in ("name", "tag")] == [[0], [0]]
    for number in range(CHANGES):
        own = RUN._replace(run_id=f"r{number}", name=f"n{number}", tags=(str(number),))
        table = table.changed([own], gone=[f"r{number - 1}"])

    assert table.ids(np.arange(2)) == ["kept", f"r{CHANGES - 1}"]
    for field, last in (("name", f"n{CHANGES - 1}"), ("tag", (str(CHANGES - 1),))):
        coded = table.coded(field)
        assert len(coded.codes.values) <= MOST
        assert coded.equals(last).tolist() == [False, True]
    assert table.coded("name").equals("kept").tolist() == [True, False]
    assert table.coded("tag").equals(("a",)).tolist() == [True, False]
    assert table.coded("name").equals("n0").tolist() == [False, False]


def test_the_leaderboard_forgets_the_tags_that_runs_had() -> None:
    table = Finished.of([finished("kept", name="kept", tags=("a",))])
    before = table
    for number in range(CHANGES):
        table = table.changed([finished("r", name="n", tags=(str(number),))])

    assert len(table.codes["tags"].values) <= MOST
    places = np.arange(2)
    assert table.values("tags", places) == [("a",), (str(CHANGES - 1),)]
    assert table.values("name", places) == ["kept", "n"]
    assert before.values("tags", places[:1]) == [("a",)]
    assert set(table.codes) == set(CODED)
