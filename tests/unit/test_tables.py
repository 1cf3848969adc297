from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from schema import Attempt, Co2Revision, Co2Source, EpochResult, EpochsReply, RunReply, Status
from views.charts import run_figures
from views.look import run_color
from views.run import suggestions
from views.run.files import epochs_frame
from views.run.page import co2_note, energy_note, lost_energy_note, remaining_s
from views.runs.table import runs_frame


def epoch(number: int, energy_kwh: float | None) -> EpochResult:
    return EpochResult(
        epoch=number,
        train_loss=0.5,
        train_accuracy=0.9,
        test_loss=0.6,
        test_accuracy=0.8,
        duration_s=2.0,
        energy_kwh=energy_kwh,
        co2_g=None if energy_kwh is None else 400 * energy_kwh,
    )


def run(**changed: Any) -> RunReply:
    values: dict[str, Any] = {
        "run_id": "0af3",
        "iid": "0af3",
        "hyper_params": {"network": "resnet9", "dataset": "mnist", "optimizer": "sgd"},
        "status": Status.RUNNING,
        "time_added": datetime(2026, 3, 1, tzinfo=UTC),
        "num_epochs": 10,
        "progress": 0.2,
    }
    return RunReply(**values | changed)


def figures(*epochs: EpochResult) -> list[dict[str, Any]]:
    return [json.loads(figure) for figure in run_figures("0af3", epochs)]


def test_a_run_has_four_figures_in_its_colour_that_keep_their_zoom() -> None:
    drawn = figures(epoch(1, 3e-6), epoch(2, 3e-6))

    assert [figure["layout"]["title"]["text"] for figure in drawn] == [
        "Loss",
        "Accuracy",
        "Energy per epoch",
        "CO₂ per epoch",
    ]
    assert {figure["layout"]["uirevision"] for figure in drawn} == {"0af3"}
    assert {trace["line"]["color"] for figure in drawn for trace in figure["data"]} == {run_color("0af3")}
    assert drawn[1]["data"][1]["y"] == [80.0, 80.0]


def test_a_short_run_has_one_label_for_each_epoch() -> None:
    short, long = (figures(*(epoch(number, 3e-6) for number in range(1, last + 1))) for last in (2, 11))

    assert {figure["layout"]["xaxis"].get("dtick") for figure in short} == {1}
    assert {figure["layout"]["xaxis"].get("dtick") for figure in long} == {None}


def test_energy_has_the_unit_that_fits_and_a_gap_where_it_is_unknown() -> None:
    energy = figures(epoch(1, 3e-6), epoch(2, None))[2]

    assert energy["layout"]["yaxis"]["title"]["text"] == "energy (mWh)"
    assert energy["data"][0]["y"] == [3.0, None]
    assert energy["data"][0]["connectgaps"] is False


def test_a_long_run_is_drawn_without_markers() -> None:
    drawn = figures(*(epoch(number, None) for number in range(1, 100)))

    assert {trace["mode"] for figure in drawn for trace in figure["data"]} == {"lines"}


def test_a_table_of_runs_without_any_figure_has_missing_numbers_not_zeros() -> None:
    frame, columns = runs_frame([run()])

    assert all(math.isnan(frame[name][0]) for name in ("best", "last", "energy", "co2", "duration"))
    assert columns["energy"]["label"] == "Energy Wh"
    assert frame["run"][0] == "resnet9 · mnist · sgd"


def test_a_simulated_run_is_called_so_in_its_row_and_in_its_pictures() -> None:
    frame, columns = runs_frame([run(simulated=True), run()])

    assert list(frame["status"]) == [["running", "simulated"], ["running"]]
    assert "simulated" in [option["value"] for option in columns["status"]["type_config"]["options"]]
    drawn = [json.loads(figure) for figure in run_figures("0af3", [epoch(1, 3e-6)], is_simulated=True)]
    assert all(figure["layout"]["title"]["text"].endswith("· simulated") for figure in drawn)


def test_the_csv_has_every_epoch_in_stored_units() -> None:
    frame = epochs_frame(EpochsReply(epochs=[epoch(1, 3e-6), epoch(2, None)], attempts=[]))

    assert list(frame["epoch"]) == [1, 2]
    assert frame["energy_kwh"][0] == 3e-6
    assert "test_accuracy" in frame.to_csv(index=False)


def test_the_time_left_follows_the_newest_epochs() -> None:
    epochs = EpochsReply(epochs=[epoch(1, None), epoch(2, None)], attempts=[])

    assert remaining_s(run(epochs_done=2), epochs) == 16.0
    assert remaining_s(run(), EpochsReply(epochs=[], attempts=[])) is None


def test_an_attempt_whose_energy_is_not_whole_is_named_beside_the_sum() -> None:
    began = datetime(2026, 3, 1, tzinfo=UTC)
    killed = Attempt(attempt=1, worker="w", started_at=began, energy_reason="Its worker stopped answering")
    whole = Attempt(attempt=2, worker="w", started_at=began)

    assert lost_energy_note(EpochsReply(epochs=[], attempts=[whole])) == ""
    assert lost_energy_note(EpochsReply(epochs=[], attempts=[killed, whole])) == (
        " A part is missing, of attempt 1: Its worker stopped answering"
    )


def test_beside_the_co2_stands_whose_intensity_it_has_now_and_what_that_replaced() -> None:
    first = Co2Source(zone="USA", provider="static", basis="average lifecycle")
    now = Co2Source(
        zone="DE", provider="grid", basis="average lifecycle", at=datetime(2026, 3, 2, tzinfo=UTC)
    )
    revision = Co2Revision(replaced_at=datetime(2026, 3, 2, tzinfo=UTC), co2_g=4.0, source=first)
    facts = {"intensity_source": "USA 369 g/kWh"}
    recorded = run(co2_g=4.0, environment=facts)
    revised = run(co2_g=3.0, environment=facts, co2_source=now, co2_revisions=(revision,))
    none = EpochsReply(epochs=[], attempts=[])

    assert "USA 369 g/kWh" in co2_note(recorded, none).replace("\\", "")
    note = co2_note(revised, none).replace("\\", "").replace("\u00a0", " ")
    assert "369" not in note
    assert "grid, DE (average lifecycle), computed again 2026-03-02 00:00:00 UTC." in note
    assert "It replaced 4.00 g from static, USA (average lifecycle), 2026-03-02 00:00:00 UTC." in note


def test_beside_the_co2_stands_whose_figure_a_part_was_charged_with_instead() -> None:
    facts = {"intensity_source": "DE by the hour (electricitymaps)", "intensity_others": "static"}
    none = EpochsReply(epochs=[], attempts=[])
    assert "A part is charged with figures of static" in co2_note(run(co2_g=4.0, environment=facts), none)
    now = Co2Source(
        zone="DE", provider="grid", basis="average lifecycle", at=datetime(2026, 3, 2, tzinfo=UTC)
    )
    revised = run(co2_g=3.0, environment=facts, co2_source=now)
    assert "static" not in co2_note(revised, none)


def test_beside_an_unknown_co2_stands_why_no_intensity_covers_it() -> None:
    reason = "grid has no intensity of DE from 12:00 to 13:00 UTC."
    gap = epoch(2, 1.0).model_copy(update={"co2_g": None, "co2_reason": reason})
    note = co2_note(run(energy_kwh=2.0), EpochsReply(epochs=[epoch(1, 1.0), gap], attempts=[]))
    assert note.replace("\\", "").endswith(f"That of 1 of 2 epochs is not known: {reason}")
    assert "besides the epochs" in co2_note(run(energy_kwh=2.0), EpochsReply(epochs=[], attempts=[]))


def test_an_estimate_of_one_source_does_not_deny_the_counter_of_another() -> None:
    facts = {"energy_source": "NVML total energy counter (GPU); CPU load × rated power"}
    note = energy_note(run(energy_quality="estimated", environment=facts))
    assert "no readable" not in note
    assert "load × rated power stands in" in note


def test_advice_about_time_between_epochs_counts_the_last_attempt_s_epochs_alone() -> None:
    began = datetime(2026, 3, 1, tzinfo=UTC)
    ended = datetime(2026, 3, 1, 0, 1, tzinfo=UTC)
    attempts = [
        Attempt(attempt=1, worker="w", started_at=began, ended_at=began, duration_s=2.0),
        Attempt(attempt=2, worker="w", started_at=began, ended_at=ended, duration_s=50.0),  # 46 s of extras
    ]
    resumed = epoch(2, None).model_copy(update={"attempt": 2, "duration_s": 30.0, "resumed_after_s": 28.0})
    own = epoch(3, None).model_copy(update={"attempt": 2})
    epochs = [epoch(1, None).model_copy(update={"attempt": 1}), resumed, own]
    readings = suggestions.read(run(), EpochsReply(epochs=epochs, attempts=attempts), None)
    assert (readings.epochs_s, readings.attempt_s) == (4.0, 60.0)


def test_the_title_of_a_column_with_an_estimate_has_the_room_it_needs() -> None:
    _, columns = runs_frame([run(energy_kwh=2e-6, energy_quality="estimated")])
    _, measured = runs_frame([run(energy_kwh=2e-6, energy_quality="measured")])
    assert (columns["energy"]["label"], measured["energy"]["label"]) == ("Energy mWh, est.", "Energy mWh")
    assert columns["energy"]["width"] == 128 > measured["energy"]["width"]
