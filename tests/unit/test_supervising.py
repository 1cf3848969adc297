"""When a supervisor starts a worker again, and when it ends."""

from __future__ import annotations

import errno
import signal
from collections.abc import Mapping

import pytest

from errors import InvalidInput
from work.arguments import parse
from work.supervisor import FIRST_BACK_OFF_S, SOUND_S, Place, Supervisor, list_places


class Process:
    """A process whose end the test decides."""

    pid = 7

    def __init__(self) -> None:
        self.code: int | None = None
        self.signals: list[int] = []

    def poll(self) -> int | None:
        return self.code

    def send_signal(self, number: int) -> None:
        self.signals.append(number)


class Host:
    """Starts such processes and remembers them."""

    def __init__(self) -> None:
        self.started: list[Process] = []
        self.refusals = 0

    def start(self, environment: Mapping[str, str]) -> Process:  # noqa: ARG002 - as a real one takes it
        if self.refusals:
            self.refusals -= 1
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        self.started.append(Process())
        return self.started[-1]


def supervise(workers: int = 1) -> tuple[Host, Supervisor]:
    host = Host()
    supervisor = Supervisor([Place(f"worker {number}", {}) for number in range(workers)], host.start)
    assert supervisor.tick(0.0)
    return host, supervisor


def test_a_worker_that_dies_starts_again_after_a_back_off_that_doubles() -> None:
    host, supervisor = supervise()
    now_s, back_offs = 1.0, []
    for _ in range(3):
        count = len(host.started)
        host.started[-1].code = -signal.SIGKILL
        died_s = now_s
        while len(host.started) == count:
            assert supervisor.tick(now_s)
            now_s += 0.5
        back_offs.append(now_s - 0.5 - died_s)
    assert back_offs == [FIRST_BACK_OFF_S, 2 * FIRST_BACK_OFF_S, 4 * FIRST_BACK_OFF_S]


def test_a_host_without_room_for_a_process_costs_the_other_workers_nothing() -> None:
    host, supervisor = supervise(2)
    host.started[0].code = -signal.SIGKILL
    supervisor.tick(1.0)
    host.refusals = 2
    for now_s in (2.0, 4.0):
        assert supervisor.tick(now_s)
    assert (len(host.started), host.refusals) == (2, 0)
    assert supervisor.tick(7.9)
    assert len(host.started) == 2
    assert supervisor.tick(8.0)
    assert (len(host.started), host.started[1].signals) == (3, [])


def test_a_worker_that_lived_long_starts_again_as_soon_as_at_first() -> None:
    host, supervisor = supervise()
    for now_s in (SOUND_S, 2 * SOUND_S + 1):
        host.started[-1].code = 1
        supervisor.tick(now_s)
        supervisor.tick(now_s + FIRST_BACK_OFF_S)
    assert len(host.started) == 3


def test_it_ends_when_all_have_ended_by_themselves() -> None:
    host, supervisor = supervise(2)
    host.started[0].code = 0
    assert supervisor.tick(1.0)
    host.started[1].code = 0
    assert not supervisor.tick(2.0)
    assert (supervisor.exit_code, len(host.started)) == (0, 2)


def test_a_worker_that_was_called_wrongly_is_not_started_again() -> None:
    host, supervisor = supervise()
    host.started[0].code = 2
    assert not supervisor.tick(1.0)
    assert supervisor.exit_code == 2


def test_signals_are_passed_on_and_nothing_starts_again() -> None:
    host, supervisor = supervise(2)
    host.started[1].code = -signal.SIGKILL
    supervisor.tick(1.0)
    supervisor.pass_on(signal.SIGTERM)
    supervisor.pass_on(signal.SIGTERM)
    assert supervisor.tick(1.1)
    assert host.started[0].signals == [signal.SIGTERM, signal.SIGTERM]
    host.started[0].code = -signal.SIGTERM  # it had no time to listen
    assert not supervisor.tick(50.0)
    assert (supervisor.exit_code, len(host.started)) == (0, 2)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("all", ["GPU-a", "GPU-b", "GPU-c"]), ("0,2", ["GPU-a", "GPU-c"]), ("1", ["GPU-b"])],
)
def test_each_worker_sees_its_gpu_alone(wanted: str, expected: list[str]) -> None:
    places = list_places(parse(["--gpus", wanted]), {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b,GPU-c"})
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in places] == expected


def test_a_gpu_that_is_not_there_is_refused() -> None:
    for visible in ("GPU-a", ""):
        with pytest.raises(InvalidInput, match=r"shows [01] GPUs"):
            list_places(parse(["--gpus", "0,1"]), {"CUDA_VISIBLE_DEVICES": visible})


def test_workers_get_every_argument_but_the_supervisors() -> None:
    line = ["--queues", "a,b", "--processes", "2", "--burst", "--max-runs", "3", "--name", "x"]
    assert parse(line).others == ("--queues", "a,b", "--burst", "--max-runs", "3", "--name", "x")
    assert parse(["--gpus", "all", "--threads", "2"]).others == ("--threads", "2")
    assert not parse(["--burst"]).is_supervisor


@pytest.mark.parametrize("name", ["rack/7", "/", "a\nb", "", " "])
def test_a_worker_s_name_can_be_a_part_of_a_path(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--name", name])
    assert "without a slash" in capsys.readouterr().err
    assert parse(["--name", "Büro 7 (GPU)"]).name == "Büro 7 (GPU)"
