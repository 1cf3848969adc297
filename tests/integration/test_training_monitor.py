"""The SDK against a server with its routes: what arrives, what a bad line does, that no loop notices."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.monitor_server import MonitorServer, Refusal, monitor_server, wait_until_ended
from tests.programs import wait_until
from training_monitor import KeyNeeded, MonitorError, ServerAway, TrainingMonitor, monitored
from training_monitor.connection import Connection
from training_monitor.replay import replay
from training_monitor.spool import adopt_dead
from training_monitor.window import SHARED_MEMORY

Start = Callable[..., TrainingMonitor]


def has_points(server: MonitorServer, name: str, count: int) -> bool:
    return any(len(run.points.get(name, [])) >= count for run in server.runs.values())


def run_folder(monitor: TrainingMonitor) -> Path:
    assert monitor._spool is not None
    return monitor._spool.folder


def test_all_that_is_said_of_a_run_arrives(start: Start, server: MonitorServer, spool: Path) -> None:
    monitor = start(project_name="image_classification", params={"lr": 0.1, "net": {"depth": 50}}, tags=["a"])
    for epoch in range(3):
        monitor.log_metrics({"loss": 1 / (epoch + 1), "val_accuracy": 0.5}, step=epoch)
    monitor.log_metrics({"late": float("nan")})
    monitor.log_params({"epochs": 3})
    monitor.log_text("first\nsecond")
    monitor.add_tag("architecture", "resnet50")
    monitor.remove_tag("a")
    monitor.add_note("It learns.")
    assert monitor.finish("completed")

    run = server.only_run
    assert (run.body["name"], run.body["project"]) == ("resnet50_training", "image_classification")
    assert (run.body["params"], run.body["tags"]) == ({"lr": 0.1, "net": {"depth": 50}}, ["a"])
    assert run.body["environment"]["cpus"] == os.cpu_count()
    assert [point[:2] for point in run.points["loss"]] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert run.points["late"][0][:2] == (3, "NaN")
    assert run.lines == ["first", "second"]
    assert run.acts == [
        ("params", {"params": {"epochs": 3}}),
        ("tags", {"add": ["architecture=resnet50"], "remove": []}),
        ("tags", {"add": [], "remove": ["a"]}),
        ("notes", {"text": "It learns."}),
        ("status", {"status": "done"}),
    ]
    assert list(spool.iterdir()) == []
    session = run_folder(monitor).name
    assert not list(SHARED_MEMORY.glob(f"*{session}*"))


def test_points_arrive_while_the_loop_goes_on(start: Start, server: MonitorServer) -> None:
    monitor = start()
    monitor.log_metrics({"loss": 1.0}, 0)
    wait_until(lambda: server.runs and "loss" in server.only_run.points)
    assert monitor.run_id in server.runs


def test_answers_that_are_lost_cost_nothing_and_double_nothing(start: Start, server: MonitorServer) -> None:
    server.lose_answers = 1  # of making the run
    monitor = start()
    wait_until(lambda: monitor.run_id)
    for step in range(100):
        monitor.log_metrics({"loss": step}, step)
    server.lose_answers = 2
    assert monitor.finish()
    assert [point[0] for point in server.only_run.points["loss"]] == list(range(100))
    assert server.lose_answers == 0


def test_a_note_is_there_once_when_the_server_goes_away_before_the_next(
    start: Start, server: MonitorServer
) -> None:
    refusals = [Refusal(503, "Not now."), Refusal(503, "Not now.")]
    server.refuse = lambda _path, body: refusals.pop() if body.get("text") == "two" and refusals else None
    monitor = start()
    for text in ("one", "two", "three"):
        monitor.add_note(text)
    assert monitor.finish()
    assert [body.get("text") for _, body in server.only_run.acts] == ["one", "two", "three", None]
    assert refusals == []


def test_a_server_that_is_away_holds_no_loop_up_and_gets_all_when_it_is_back(
    server: MonitorServer, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monitor = start()
    monitor.log_metrics({"loss": 0.0}, 0)
    wait_until(lambda: server.runs and server.only_run.points)
    server.stop()
    began_s = time.perf_counter()
    for step in range(1, 20_000):
        monitor.log_metrics({"loss": step, "acc": 0.5}, step)
    assert time.perf_counter() - began_s < 60, "a call that waited would wait for seconds, 20,000 times"
    wait_until(lambda: "what is logged is kept in" in caplog.text)
    server.start()
    assert monitor.finish()
    assert [point[0] for point in server.only_run.points["loss"]] == list(range(20_000))
    assert caplog.text.count("Training goes on") == 1
    assert "HTTP Request" not in caplog.text


def test_what_could_not_be_sent_goes_with_the_next_monitor(
    server: MonitorServer, start: Start, spool: Path
) -> None:
    server.stop()
    monitor = start("first")
    monitor.log_metrics({"loss": 1.0}, 0)
    monitor.add_note("while it was away")
    assert not monitor.finish("failed", timeout_s=0.5)
    assert len(list(spool.iterdir())) == 1
    assert not list(SHARED_MEMORY.glob(f"*{run_folder(monitor).name}*")), "memory is not for waiting"
    server.start()
    second = start("second")
    wait_until(lambda: len(server.runs) == 2 and not run_folder(monitor).exists())
    assert second.finish()
    (first,) = (run for run in server.runs.values() if run.body["name"] == "first")
    assert [point[:2] for point in first.points["loss"]] == [(0, 1.0)]
    assert [act for act, _ in first.acts] == ["notes", "status"]
    assert first.acts[-1][1] == {"status": "failed"}


def test_a_living_session_is_nobody_elses(start: Start, spool: Path, server: MonitorServer) -> None:
    monitor = start()
    wait_until(lambda: monitor.run_id)
    assert list(adopt_dead(spool)) == []
    assert replay(spool, Connection(server.url)).sent == 0


def test_a_spool_of_another_server_is_left_alone(start: Start, server: MonitorServer, spool: Path) -> None:
    with monitor_server() as other:  # before the first one's port is free again
        server.stop()
        monitor = start("elsewhere")
        monitor.log_metrics({"loss": 1.0}, 0)
        monitor.finish(timeout_s=0.0)
        wait_until_ended(monitor)
        start(api_url=other.url).finish()
        assert [run.body["name"] for run in other.runs.values()] == ["resnet50_training"]
    assert len(list(spool.iterdir())) == 1


def test_strict_says_at_once_that_nobody_answers(start: Start, server: MonitorServer, spool: Path) -> None:
    server.stop()
    with pytest.raises(ServerAway, match="WATTLE_API_URL"):
        start(strict=True)
    assert list(spool.iterdir()) == []


def test_strict_says_at_once_that_the_token_is_wrong(
    start: Start, server: MonitorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTLE_API_TOKEN", "secret")
    server.refuse = lambda _path, _body: Refusal(401, "Who are you?")
    with pytest.raises(KeyNeeded, match="WATTLE_API_TOKEN"):
        start(strict=True)
    assert server.asked[0][2]["authorization"] == "Bearer secret"


def test_a_run_is_resumed_by_its_id(start: Start, server: MonitorServer) -> None:
    first = start(strict=True)
    first.log_metrics({"loss": 1.0}, 0)
    first.finish("failed")
    second = start(strict=True, resume=first.run_id)
    second.log_metrics({"loss": 0.5}, 1)
    second.finish()
    assert [point[:2] for point in server.only_run.points["loss"]] == [(0, 1.0), (1, 0.5)]
    with pytest.raises(MonitorError, match="no such run"):
        start(strict=True, resume="f" * 32)


def test_without_strict_a_refused_run_is_said_and_ends_no_training(
    start: Start, server: MonitorServer, caplog: pytest.LogCaptureFixture, spool: Path
) -> None:
    monitor = start(resume="f" * 32)
    wait_until(lambda: "does not take the run 'resnet50_training'" in caplog.text)
    monitor.log_metrics({"loss": 1.0}, 0)
    assert not monitor.finish()
    assert [folder.name[:8] for folder in spool.iterdir()] == ["refused-"]


def test_a_run_that_was_deleted_is_said_once_and_nothing_is_kept_for_it(
    start: Start, server: MonitorServer, caplog: pytest.LogCaptureFixture, spool: Path
) -> None:
    monitor = start(strict=True)
    server.runs.clear()
    for step in range(3):
        monitor.log_metrics({"loss": 1.0}, step)
    wait_until(lambda: "is gone" in caplog.text)
    monitor.log_metrics({"loss": 1.0}, 4)
    assert monitor.finish()
    assert list(spool.iterdir()) == []


def test_a_cancel_from_the_page_is_heard(start: Start, server: MonitorServer) -> None:
    monitor = start(strict=True)
    assert not monitor.is_cancelled
    server.only_run.request = "cancel"
    monitor.log_metrics({"loss": 1.0}, 0)
    wait_until(lambda: monitor.is_cancelled)


def test_a_block_ends_its_run_as_it_ends(start: Start, server: MonitorServer) -> None:
    with start("good") as monitor:
        monitor.log_metrics({"loss": 1.0})
    with pytest.raises(ZeroDivisionError), start("bad"):
        _ = 1 / 0
    with pytest.raises(KeyboardInterrupt), start("stopped"):
        raise KeyboardInterrupt
    ends = {run.body["name"]: run.acts[-1][1] for run in server.runs.values()}
    assert ends["good"] == {"status": "done"}
    assert ends["bad"]["error"]["kind"] == "ZeroDivisionError"
    assert ends["stopped"]["status"] == "cancelled"


def test_a_decorated_function_is_a_run_each_time(server: MonitorServer, spool: Path) -> None:
    @monitored(project_name="p", api_url=server.url, spool_dir=spool, system_metrics=False)
    def train(lr: float, *, epochs: int = 2, monitor: TrainingMonitor | None = None) -> float:
        assert monitor is not None
        for epoch in range(epochs):
            monitor.log_metrics({"loss": lr / (epoch + 1)}, epoch)
        return lr

    assert [train(0.5), train(0.25, epochs=1)] == [0.5, 0.25]
    first, second = server.runs.values()
    assert first.body["name"] == "train"
    assert (first.body["params"], second.body["params"]) == (
        {"lr": 0.5, "epochs": 2},
        {"lr": 0.25, "epochs": 1},
    )
    assert [len(run.points["loss"]) for run in (first, second)] == [2, 1]


def test_after_the_end_nothing_is_taken_and_nothing_raises(
    start: Start, server: MonitorServer, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = start()
    monitor.finish()
    monitor.log_metrics({"loss": 1.0}, 0)
    monitor.add_note("too late")
    assert monitor.finish("failed")
    assert caplog.text.count("the run is finished") == 1
    assert server.only_run.acts == [("status", {"status": "done"})]


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.log_metrics(None),
        lambda m: m.log_metrics("loss", 1),
        lambda m: m.log_metrics({1: 2, None: 3}, 1),
        lambda m: m.log_metrics({"loss": 1}, "x"),
        lambda m: m.log_params(object()),
        lambda m: m.log_text(None),
        lambda m: m.log_samples([{}], step=1, loss=1.0),
        lambda m: m.log_samples([{"image": b"GIF"}], step=1, loss=1.0),
        lambda m: m.add_tag(None),
        lambda m: m.end_epoch("x"),
        lambda m: m.compare_experiments(["no such run"]),
        lambda m: m.finish("whatever"),
    ],
)  # fmt: skip
def test_no_call_raises_whatever_it_is_given(start: Start, call: Callable[[TrainingMonitor], object]) -> None:
    call(start())


@pytest.mark.parametrize(
    "options",
    [
        {"tags": 5},
        {"api_url": "http://[::1"},
        {"api_url": "no address"},
        {"project_name": object()},
        {"params": object()},
    ],
)
def test_without_strict_no_construction_raises_whatever_it_is_given(
    start: Start, options: dict[str, Any], server: MonitorServer
) -> None:
    monitor = start(**options)
    monitor.log_metrics({"loss": 1.0}, 0)
    monitor.add_note("on")
    monitor.finish(timeout_s=1.0)


def test_a_full_spool_loses_the_newest_and_says_so(
    start: Start, server: MonitorServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WATTLE_SPOOL_MIB", "1")
    server.stop()
    monitor = start()
    for step in range(300_000):
        monitor.log_metrics({"loss": step}, step)
    monitor.log_text("more")
    wait_until(lambda: "The spool is full" in caplog.text)
    assert monitor._spool is not None
    assert sum(file.stat().st_size for file in monitor._spool.folder.iterdir()) < 8 << 20
    server.start()
    assert monitor.finish("failed")
    steps = [point[0] for point in server.only_run.points["loss"]]
    assert steps == list(range(len(steps)))
    assert 10_000 < len(steps) < 300_000
    assert server.only_run.acts[-1] == ("status", {"status": "failed"})


def test_a_place_that_cannot_be_written_is_said_and_another_is_taken(
    start: Start, server: MonitorServer, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = start(spool_dir="/proc/nowhere")
    monitor.log_metrics({"loss": 1.0}, 0)
    assert monitor.finish()
    assert "The spool cannot be in /proc/nowhere" in caplog.text
    assert server.only_run.points


def test_a_forked_process_leaves_the_run_to_its_parent(
    start: Start, server: MonitorServer, spool: Path
) -> None:
    monitor = start(strict=True)
    monitor.log_metrics({"loss": 1.0}, 0)
    child = os.fork()
    if child == 0:  # only what cannot raise, so that no second pytest goes on
        monitor.log_metrics({"loss": 2.0}, 1)
        is_quiet = monitor.finish("failed") and monitor._spool is None
        os._exit(0 if is_quiet else 1)
    assert os.waitpid(child, 0)[1] == 0
    monitor.log_metrics({"loss": 3.0}, 2)
    assert monitor.finish()
    assert [point[0] for point in server.only_run.points["loss"]] == [0, 2]


def test_a_signal_handler_may_log(start: Start, server: MonitorServer) -> None:
    monitor = start()
    before = signal.signal(signal.SIGVTALRM, lambda *_: monitor.log_metrics({"signal": 1.0}))
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
        for step in range(20_000):
            monitor.log_metrics({"loss": step}, step)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert monitor.finish()
    assert sorted(point[0] for point in server.only_run.points["loss"]) == list(range(20_000))
    assert server.only_run.points["signal"]


def test_a_monitor_leaves_no_thread_behind(start: Start) -> None:
    start(energy=True, system_metrics=True).finish()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("training_monitor")])
    assert "training_monitor" in sys.modules
