"""What programs read of ``wattle``: with --json, lines of JSON on stdout and nothing else."""

from __future__ import annotations

import json

import pytest
import typer

from cli.main import app, main
from redis_db import RedisDB
from schema import RunOptions
from schema.sweeps import SweepState, SweepSummary
from tests.acted_run import HYPER_PARAMS
from tests.integration import test_views
from tests.integration.test_cli import finish
from tests.unit.test_cli_commands import names_of

api_url = test_views.api_url
SPACE = ("-s", "learning_rate=1e-4..1e-1:log", "-p", "num_epochs=1", "--trials", "2")
# In this order; SWEEP is the one that was made.
ASKED = {
    "submit": ("-p", "num_epochs=1"),
    "status": (),
    "watch": ("r1",),
    "logs": ("r1",),
    "cancel": ("w1",),
    "pause": ("w2",),
    "resume": ("w2",),
    "retry": ("r2",),
    "rerun": ("r1",),
    "rm": ("w1", "--yes"),
    "compare": ("r1", "r2"),
    "leaderboard": ("-q", "network:small*"),
    "recommend": (),
    "totals": (),
    "sweep create": SPACE,
    "sweep list": (),
    "sweep show": ("SWEEP",),
    "sweep pause": ("SWEEP",),
    "sweep resume": ("SWEEP",),
    "sweep stop": ("SWEEP",),
    "sweep delete": ("SWEEP",),
    "recompute": (),
    "doctor": (),
}
# Of a cluster, with a file of their own, or JSON at all times: what they print is looked at where that is.
ELSEWHERE = ("slurm", "archive", "export", "import", "token", "quota")


def speaks_json(name: str) -> bool:
    command = typer.main.get_command(app)
    for part in name.split():
        command = command.commands[part]  # type: ignore[attr-defined] # a group, for all but the last
    return any("--json" in param.opts for param in command.params)


def test_every_command_that_speaks_json_is_asked_here() -> None:
    spoken = {name for name in names_of(app) if speaks_json(name) and not name.startswith(ELSEWHERE)}
    assert spoken == set(ASKED)


def test_with_json_there_is_json_and_nothing_else(
    db: RedisDB, api_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTLE_API_URL", api_url)
    finish(db, "r1")
    finish(db, "r2")
    for run_id in ("w1", "w2"):
        db.queue.submit(HYPER_PARAMS, RunOptions(queue=run_id), run_id=run_id)
    sweep_id = ""
    for name, arguments in ASKED.items():
        given = [sweep_id if word == "SWEEP" else word for word in arguments]
        if name == "sweep delete":
            db.sweeps.note(sweep_id, SweepSummary(), end=SweepState.STOPPED)
        code = main([*name.split(), *given, "--json"])
        printed = capsys.readouterr()
        lines = [json.loads(line) for line in printed.out.splitlines()]
        assert code in (0, 1), (name, printed.err)
        assert lines or printed.err, name
        if name == "sweep create":
            sweep_id = str(lines[0]["sweep_id"])
    # What is refused is told on stderr alone.
    assert main(["status", "nobody", "--json"]) == 1
    refused = capsys.readouterr()
    assert (refused.out, refused.err.count("\n")) == ("", 1)
