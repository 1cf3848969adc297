"""A script is run for real: what it is given, what comes back, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from errors import TrainingFailed
from schema import EpochResult, Request, Scalar, TrainingContext
from tests.programs import ROOT, wait_until
from trainers import validate_hyper_params
from trainers.script import ScriptHyperParams, train_script

REPORT = """
import json, os, sys, time, subprocess
reports = os.fdopen(int(os.environ["WATTLE_REPORT_FD"]), "w", buffering=1)
def report(epoch, **more):
    figures = {"epoch": epoch, "train_loss": 1, "train_accuracy": 0.5, "test_loss": 1, "test_accuracy": 0.25}
    print(json.dumps({**figures, **more}), file=reports)
"""


class Listener:
    """A Control that asks to stop once a file exists."""

    def __init__(self, stop_file: Path) -> None:
        self._stop_file = stop_file
        self.lines: list[str] = []
        self.facts: dict[str, Scalar] = {}

    def after_step(self, step: int) -> Request | None:
        del step
        return Request.PREEMPT if self._stop_file.exists() else None

    def log(self, text: str) -> None:
        self.lines += text.splitlines()

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        self.facts.update(facts)


class Stage:
    """A folder of scripts and what a worker would give to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "scripts"
        self.folder.mkdir(parents=True)
        self.stop_file = folder / "stop"
        self.pids = folder / "pids"
        self.listener = Listener(self.stop_file)

    def run(self, code: str, **raw: object) -> list[EpochResult]:
        (self.folder / "train.py").write_text(REPORT + textwrap.dedent(code))
        made = validate_hyper_params(
            {"trainer": "script", "script": "train.py", **raw},
            datasets_dir=self.folder,
            default_dataset=None,
            scripts_dir=self.folder,
        )
        assert isinstance(made, ScriptHyperParams)
        context = TrainingContext(
            datasets_dir=self.folder,
            device="cpu",
            control=self.listener,
            run_id="r1",
            scripts_dir=self.folder,
            api_url="http://127.0.0.1:5000",
        )
        return list(train_script(made, context))

    def alive(self) -> list[int]:
        return [pid for pid in map(int, self.pids.read_text().split()) if psutil.pid_exists(pid)]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_what_a_script_reports_becomes_epochs_and_what_it_prints_the_log(stage: Stage) -> None:
    results = stage.run(
        """
        print("starting")
        time.sleep(0.2)
        report(1)
        report(2, test_accuracy=0.75, validation_loss=0.5)
        print("a warning", file=sys.stderr)
        print("no line end", end="")
        """
    )

    assert [(result.epoch, result.test_accuracy) for result in results] == [(1, 0.25), (2, 0.75)]
    assert results[1].validation_loss == 0.5
    assert results[0].duration_s >= 0.2 > results[1].duration_s
    assert stage.listener.lines == ["starting", "a warning", "no line end"]
    assert stage.listener.facts == {"script": str((stage.folder / "train.py").resolve())}


def test_a_script_gets_its_run_and_nothing_else_of_the_worker_s_environment(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTLE_REDIS_URL", "redis://user:password@example")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")

    stage.run(
        """
        print(json.dumps(dict(os.environ)))
        print(open(os.environ["WATTLE_HYPER_PARAMS"]).read().replace(chr(10), " "))
        print(json.dumps(sys.argv[1:]), os.getcwd())
        """,
        args=["--depth", "3"],
        params={"width": 8},
    )

    environment, hyper_params, said = stage.listener.lines
    given = json.loads(environment)
    assert given.keys() - {"LC_CTYPE"} == {
        "PATH", "HOME", "LANG", "WATTLE_RUN_ID", "WATTLE_HYPER_PARAMS", "WATTLE_API_URL", "WATTLE_DEVICE",
        "WATTLE_REPORT_FD",
    }  # fmt: skip
    assert (given["WATTLE_RUN_ID"], given["WATTLE_API_URL"]) == ("r1", "http://127.0.0.1:5000")
    assert json.loads(hyper_params)["params"] == {"width": 8}
    assert said == f'["--depth", "3"] {stage.folder}'
    assert not Path(given["WATTLE_HYPER_PARAMS"]).exists()


def test_another_exit_code_than_0_fails_with_the_last_lines(stage: Stage) -> None:
    with pytest.raises(TrainingFailed, match=r"exit code 3\.\nIts last lines:\nno\. 5") as failed:
        stage.run("for i in range(25): print(f'no. {i}')\nsys.exit(3)")
    assert str(failed.value).endswith("no. 24")


def test_a_script_that_is_killed_fails_by_the_signal_s_name(stage: Stage) -> None:
    with pytest.raises(TrainingFailed, match=r"exit code 137 \(SIGKILL\)"):
        stage.run("os.kill(os.getpid(), 9)")


@pytest.mark.parametrize(
    "line", ["nonsense", '{"epoch": 0}', '{"epoch": 1}', '{"epoch": 1, "test_accuracy": 90}', "[]"]
)
def test_a_report_that_is_no_epoch_fails_and_ends_the_script(stage: Stage, line: str) -> None:
    start_s = time.monotonic()
    with pytest.raises(TrainingFailed, match="is no epoch"):
        stage.run(f"print({line!r}, file=reports)\ntime.sleep(60)")
    assert time.monotonic() - start_s < 50


LINGERING = """
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session={detached})
open({pids!r}, "w").write(f"{{os.getpid()}} {{helper.pid}}")
report(1)
"""


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("ending", ["its end", "a timeout", "a request", "a request it ignores"])
def test_nothing_a_script_started_outlives_it(stage: Stage, ending: str, detached: bool) -> None:
    code = LINGERING.format(detached=detached, pids=str(stage.pids))
    if ending == "its end":
        assert len(stage.run(code)) == 1
    elif ending == "a timeout":
        with pytest.raises(TrainingFailed, match=r"longer than its 0\.5 s"):
            stage.run(code + "time.sleep(60)", timeout_s=0.5)
    else:
        if ending == "a request it ignores":
            code += "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        stop = f"open({str(stage.stop_file)!r}, 'w').close()\ntime.sleep(60)"
        assert len(stage.run(code + stop)) == 1
    assert stage.alive() == []


def test_sigterm_reaches_a_script_that_wants_to_save_something(stage: Stage) -> None:
    saved = stage.folder / "saved"
    stage.run(
        f"""
        import signal
        def save(*_):
            open({str(saved)!r}, "w").close()
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        open({str(stage.stop_file)!r}, "w").close()
        time.sleep(60)
        """
    )
    assert saved.exists()


OWNER = """
import sys
from pathlib import Path
from tests.integration.test_script_runs import Stage
Stage(Path(sys.argv[1])).run(sys.argv[2])
"""


def test_a_script_dies_with_the_process_that_runs_it(stage: Stage, tmp_path: Path) -> None:
    code = LINGERING.format(detached=True, pids=str(stage.pids)) + "time.sleep(60)"
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            OWNER,
            str(tmp_path / "owned"),
            code,
        ],
        cwd=ROOT,
    )
    wait_until(lambda: stage.pids.exists() and len(stage.alive()) == 2)

    owner.kill()
    owner.wait()

    wait_until(lambda: stage.alive() == [])


def test_a_flood_of_output_is_read_to_its_end(stage: Stage) -> None:
    stage.run("print('x' * 300_000)\nfor i in range(20_000): print(i)")
    assert stage.listener.lines[-1] == "19999"
    assert max(map(len, stage.listener.lines)) <= 140_000
