"""Files of results: what is written can be read again, and no spreadsheet runs it."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from errors import InvalidInput
from leaderboard.export import COLUMNS, write_csv, write_json, write_parquet
from leaderboard.ranking import Ranking, Wish
from leaderboard.results_file import HEADER, MAX_ROWS, read_results, write_results
from leaderboard.seeds import SeedGroups
from leaderboard.table import Table
from schema.cells import quote, unquote, write_lines
from schema.leaderboard import FinishedRun
from tests.finished_runs import finished

RUNS = [
    finished("a", network="=cmd()", tags=("x", "@y"), energy_kwh=0.002),
    finished("b", dataset=None, energy_kwh=None, energy_quality=None, co2_g=None, seed=None),
    finished("s", network='a "b", c', simulated=True, energy_kwh=0.001),
]


def results_of(*runs: FinishedRun) -> str:
    return "".join(write_results(Table.of(runs)))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "'=1", "''-1"])
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert quote(text) == f"'{text}"
    assert unquote(quote(text)) == text


@given(st.text())
def test_quoting_is_undone_exactly(text: str) -> None:
    assert unquote(quote(text)) == text
    assert not quote(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_numbers_are_never_quoted() -> None:
    assert write_lines([(-0.5, None, True, "-0.5")]) == "-0.5,,true,'-0.5\n"


def test_the_file_of_results_has_the_promised_columns_and_real_runs_first() -> None:
    lines = results_of(*RUNS).splitlines()
    assert lines[0] == (
        "run_id,network,dataset,accuracy,energy_kwh,co2_g,training_time_sec,accuracy_per_kwh,simulated"
    )
    assert lines[1:] == [
        "a,'=cmd(),digits,0.9,0.002,0.4,60.0,450.0,false",
        "b,resnet9,,0.9,,,60.0,,false",
        's,"a ""b"", c",digits,0.9,0.001,0.4,60.0,900.0,true',
    ]


def test_energy_of_zero_gives_no_accuracy_per_kwh() -> None:
    assert results_of(finished("a", energy_kwh=0.0)).splitlines()[1] == (
        "a,resnet9,digits,0.9,0.0,0.4,60.0,,false"
    )


def test_a_file_is_read_as_it_was_written() -> None:
    read = read_results(results_of(*RUNS))
    assert [(each.run_id, each.network, each.dataset, each.simulated) for each in read] == [
        ("a", "=cmd()", "digits", False),
        ("b", "resnet9", None, False),
        ("s", 'a "b", c', "digits", True),
    ]
    assert [(each.accuracy, each.energy_kwh, each.co2_g, each.duration_s) for each in read] == [
        (0.9, 0.002, 0.4, 60.0),
        (0.9, None, None, 60.0),
        (0.9, 0.001, 0.4, 60.0),
    ]


def test_columns_may_stand_in_any_order_and_others_are_left_out() -> None:
    (read,) = read_results("\ufeffnote,training_time_sec,accuracy,run_id\r\nx,1.5,0.5,a\r\n")
    assert (read.run_id, read.accuracy, read.duration_s, read.simulated) == ("a", 0.5, 1.5, False)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("a,n,d,97,,,1,,", "line 2, accuracy"),
        ("a,n,d,nan,,,1,,", "line 2, accuracy"),
        ("a,n,d,,,,1,,", "line 2, accuracy"),
        ("a b,n,d,0.5,,,1,,", "line 2, run_id"),
        ("a,n,d,0.5,-1,,1,,", "line 2, energy_kwh"),
        ("a,n,d,0.5,inf,,1,,", "line 2, energy_kwh"),
        ("a,n,d,0.5,,,1,,maybe", "line 2, simulated"),
        ("a,n\a,d,0.5,,,1,,", "line 2, network"),
        ("a,n,d,0.5,,,,,", "line 2, training_time_sec"),
    ],
)
def test_a_wrong_row_is_refused_by_its_line_and_column(row: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_results(",".join(HEADER) + f"\n{row}\n")
    assert [detail.field for detail in refused.value.details] == [field]


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", 'run_id,accuracy,training_time_sec\n"' + "x" * 200_000, "\0"]
)
def test_what_is_no_such_file_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_results(text)


def test_a_file_of_too_many_rows_is_refused() -> None:
    rows = "".join(f"r{number},0.5,1\n" for number in range(MAX_ROWS + 1))
    with pytest.raises(InvalidInput, match=str(MAX_ROWS)):
        read_results(f"run_id,accuracy,training_time_sec\n{rows}")


def exported() -> tuple[Ranking, SeedGroups]:
    table = Table.of(RUNS)
    return Ranking(table, Wish(include_simulated=True)), SeedGroups(table)


def test_an_export_is_the_whole_ranking_in_its_order() -> None:
    rows = list(csv.DictReader(io.StringIO("".join(write_csv(*exported())))))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["rank"], row["run_id"], row["network"]) for row in rows] == [
        ("1", "a", "'=cmd()"),
        ("2", "s", 'a "b", c'),
    ]
    assert rows[0]["tags"] == "x @y"
    assert rows[0]["fronts"] == "co2_g energy_kwh duration_s parameters"
    assert rows[0]["ended_at"] == "2025-11-24T16:00:00+00:00"


def test_an_export_as_json_has_the_rows_of_the_api() -> None:
    rows = json.loads("".join(write_json(*exported())))
    assert [row["run_id"] for row in rows] == ["a", "s"]
    assert rows[0]["network"] == "=cmd()"
    assert rows[0]["tags"] == ["x", "@y"]


def test_an_export_of_nothing_is_a_valid_file() -> None:
    nothing = Ranking(Table.of(), Wish()), SeedGroups(Table.of())
    assert json.loads("".join(write_json(*nothing))) == []
    assert "".join(write_csv(*nothing)) == ",".join(COLUMNS) + "\n"
    assert parquet.read_table(io.BytesIO(write_parquet(*nothing))).num_rows == 0


def test_an_export_as_parquet_keeps_kinds_and_unknown_values() -> None:
    table = parquet.read_table(io.BytesIO(write_parquet(*exported())))
    assert tuple(table.column_names) == COLUMNS
    assert table.column("seed").to_pylist() == [0, 0]
    assert table.column("network").to_pylist() == ["=cmd()", 'a "b", c']
    assert table.column("energy_kwh").to_pylist() == [0.002, 0.001]
    assert str(table.schema.field("ended_at").type) == "timestamp[us, tz=UTC]"
