"""The figures of bench.queue and bench.faults, from drains and journals that a test writes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.claim_cost import ClaimCosts
from bench.contestants import peer
from bench.fault_scenes import Journal, Outcome
from bench.faults import is_right, to_row
from bench.peers import jobs
from bench.peers.producer import _answer
from bench.queue import Drain, Stamps, Standing, ratio, summarise

CONTESTANT = peer("some", "Some", "rq_peer", "simple", "default")
NO_CLAIMS = ClaimCosts((0.001, 0.002, 0.003), (0.003, 0.002, 0.003), (1e-4, 1e-4), (1.2e-4, 1.2e-4))


def drained(per_s: float, latencies_ms: tuple[float, ...] = ()) -> Drain:
    return Drain(100, 1000.0, per_s, 1000 / per_s, 0.1, latencies_ms)


def standing(*drains: Drain, reason: str | None = None) -> Standing:
    return Standing(CONTESTANT, "1.0", list(drains), reason)


def outcome(**changes: object) -> Outcome:
    usual = {"words": "", "status": "done", "starts": 2, "ends": 1, "seconds": 15.4, "is_recorded": True}
    return Outcome(**{**usual, "was_run_twice_at_once": False, **changes})  # type: ignore[arg-type] # a test's


def test_a_ratio_is_the_median_of_those_of_each_round() -> None:
    ours = standing(drained(1000), drained(3000), drained(2000))
    theirs = standing(drained(500), drained(500), drained(500))
    assert ratio(ours, theirs) == 4.0


def test_a_ratio_with_somebody_who_did_not_take_part_is_unknown() -> None:
    assert ratio(standing(drained(1000)), standing(reason="There is no python")) is None


def test_the_last_line_has_the_promised_keys_and_says_why_a_peer_is_missing() -> None:
    names = ("ours", "rq", "dramatiq", "celery", "ours_child", "rq_fork")
    missing = standing(reason="There is no python of Celery's environment. Run: make peers")
    found = {name: standing(drained(2000, (1.0, 2.0, 3.0))) for name in names} | {"celery": missing}
    standings = [
        Standing(peer(name, name, "rq_peer"), one.version, one.drains, one.reason)
        for name, one in found.items()
    ]
    line = summarise(standings, NO_CLAIMS)
    assert line["ours_drain_per_s"] == line["rq_drain_per_s"] == line["dramatiq_drain_per_s"] == 2000
    assert line["celery_drain_per_s"] is None
    assert line["celery_reason"] == missing.reason
    assert line["ours_over_rq_drain"] == line["ours_over_dramatiq_drain"] == 1.0
    assert line["ours_latency_ms_p50"] == 2.0
    assert line["claim_100000_over_claim_10"] == 1.5
    assert line["claim_100000_over_claim_10_inside_redis"] == 1.2


def test_a_job_stamps_once_each_time_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(jobs.STAMPS, str(tmp_path / "stamps"))
    stamps = Stamps(tmp_path / "stamps")
    assert stamps.count() == 0
    jobs.stamp()
    jobs.stamp()
    first, second = stamps.read_ns()
    assert stamps.count() == 2
    assert first <= second


def journal(path: Path, text: str) -> Journal:
    (path / "journal").write_text(text)
    return Journal(path / "journal")


def test_a_job_that_began_elsewhere_before_it_had_ended_ran_twice_at_once(tmp_path: Path) -> None:
    beside = journal(tmp_path, "began 7 1.0\nbegan 8 2.0\nended 7 3.0\nended 8 4.0\n")
    assert beside.was_run_twice_at_once()


def test_a_job_that_began_again_after_its_process_was_killed_or_had_ended_did_not(tmp_path: Path) -> None:
    assert not journal(tmp_path, "began 7 1.0\nbegan 8 2.0\nended 8 4.0\n").was_run_twice_at_once()
    assert not journal(
        tmp_path, "began 7 1.0\nended 7 2.0\nbegan 8 3.0\nended 8 4.0\n"
    ).was_run_twice_at_once()


def test_a_nap_that_is_stopped_has_no_end_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(jobs.JOURNAL, str(tmp_path / "journal"))
    assert not jobs.nap(60, lambda _: False)
    assert jobs.nap(0)
    assert [event.kind for event in Journal(tmp_path / "journal").read()] == ["began", "began", "ended"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"seconds": None}, True),
        ({"seconds": 16.2}, False),
        ({"is_recorded": False}, False),
        ({"ends": 2}, False),
        ({"was_run_twice_at_once": True}, False),
    ],
)
def test_ours_is_right_when_a_run_ends_once_and_within_a_lease_and_a_second(
    changes: dict[str, object], expected: bool
) -> None:
    assert is_right(outcome(**changes)) is expected


def test_a_row_holds_what_came_of_each_and_why_one_was_not_tried() -> None:
    row = to_row({"ours": outcome(), "rq": "There is no python"})
    assert row["ours"]["is_whole"] is True
    assert row["ours"]["seconds"] == 15.4
    assert row["rq"] == {"reason": "There is no python"}


def test_a_producer_is_asked_for_noops_naps_and_a_status() -> None:
    class Counting:
        version = "1"
        submitted = 0

        def submit_noop(self) -> object:
            self.submitted += 1
            return None

        def submit_nap(self, seconds: float) -> str:
            return f"nap of {seconds}"

        def get_status(self, job_id: str) -> str:
            return f"{job_id} is over"

    producer = Counting()
    assert _answer(producer, {"noops": 3})["seconds"] >= 0
    assert producer.submitted == 3
    assert _answer(producer, {"nap": 2.0}) == {"job": "nap of 2.0"}
    assert _answer(producer, {"status_of": "x"}) == {"status": "x is over"}


def test_what_peers_import_is_in_the_standard_library() -> None:
    source = "".join(Path(f"bench/peers/{name}.py").read_text() for name in ("jobs", "producer"))
    imported = {
        line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))
    }
    assert imported - {"__future__"} <= sys.stdlib_module_names
