"""The command wattle as a person sees it: on a terminal, with Ctrl-C, in a pipe, completed by a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from redis_db import RedisDB
from tests.acted_run import ActedRun
from tests.integration import test_views
from tests.terminal import CTRL_C, CTRL_U, ROOT, TAB, Terminal, lines_of

api_url = test_views.api_url
WATTLE = (sys.executable, "-m", "cli.main")


def on_terminal(api_url: str, *arguments: str, columns: int = 100, **environment: str) -> Terminal:
    return Terminal(
        (*WATTLE, *arguments), environment={"WATTLE_API_URL": api_url, **environment}, columns=columns
    )


@pytest.mark.slow
def test_a_watch_draws_its_table_anew_and_ctrl_c_leaves_the_terminal_as_it_was(
    db: RedisDB, api_url: str
) -> None:
    acted = ActedRun(db)
    with on_terminal(api_url, "watch", "--interval", "0.1") as terminal:
        terminal.wait_for("0/20")
        acted.record(5)
        terminal.wait_for("5/20")
        assert "━" in terminal.text, "a bar"
        assert "\x1b[1A" in terminal.drawn, "it draws over what it has drawn"
        assert "\x1b[3" in terminal.drawn, "in colour"
        terminal.type(CTRL_C)
        assert terminal.ended() == 0
        assert terminal.is_as_before
    assert "Traceback" not in terminal.text


@pytest.mark.slow
def test_a_narrow_terminal_has_a_line_for_a_run_and_no_colour_where_nobody_wants_it(
    db: RedisDB, api_url: str
) -> None:
    ActedRun(db, network="resnet9").record(3)
    with on_terminal(api_url, "watch", "--interval", "0.1", columns=60, NO_COLOR="1") as terminal:
        terminal.wait_for("3/20")
        terminal.type(CTRL_C)
        assert terminal.ended() == 0
    # Behind the last line stands what the terminal echoes of the key.
    lines = [line for line in lines_of(terminal.drawn.replace("^C", "")) if line]
    assert max(map(len, lines)) <= 60
    assert any("3/20" in line and "running" in line for line in lines), "what matters is not cut away"
    assert "\x1b[3" not in terminal.drawn
    assert "\x1b[9" not in terminal.drawn


@pytest.mark.slow
def test_a_log_is_followed_until_ctrl_c(db: RedisDB, api_url: str) -> None:
    acted = ActedRun(db)
    with on_terminal(api_url, "logs", "-f", acted.run_id) as terminal:
        db.log.append(acted.lease, ["the first line"])
        terminal.wait_for("the first line")
        db.log.append(acted.lease, ["\x1b[2Jthe second line"])
        terminal.wait_for("the second line")
        terminal.type(CTRL_C)
        assert terminal.ended() == 0
        assert terminal.is_as_before
    assert "\x1b[2J" not in terminal.drawn
    assert "Traceback" not in terminal.text


@pytest.mark.slow
def test_whoever_reads_the_first_line_alone_hears_no_complaint(db: RedisDB, api_url: str) -> None:
    acted = ActedRun(db)
    db.log.append(acted.lease, ["a long line " * 50] * 900)
    for words in (f"logs {acted.run_id} -n 900", f"logs -f {acted.run_id} -n 900"):
        ended = subprocess.run(
            ["bash", "-c", f'"$@" {words} | head -n 1', "bash", *WATTLE],
            cwd=ROOT, env={**os.environ, "WATTLE_API_URL": api_url}, capture_output=True, text=True,
            timeout=60, input="", check=True,
        )  # fmt: skip
        assert (len(ended.stdout.splitlines()), ended.stderr) == (1, ""), words


@pytest.fixture
def shell_home(tmp_path: Path) -> Path:
    """A home whose shells know the command, as after an installation, and nothing else."""
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "wattle"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m cli.main "$@"\n')
    command.chmod(0o755)
    return tmp_path


def of_shell(home: Path, api_url: str) -> dict[str, str]:
    path = f"{home / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"HOME": str(home), "PATH": path, "WATTLE_API_URL": api_url, "PS1": "> ", "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_options_ids_and_trainers(
    shell: str, db: RedisDB, api_url: str, shell_home: Path
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    acted = ActedRun(db)
    environment = of_shell(shell_home, api_url)
    installed = subprocess.run(
        [shell, "-c", "wattle --install-completion; true"],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "completion installed" in installed.stdout, installed.stderr
    with Terminal([shell, "-i"], environment=environment) as terminal:
        for typed, completed in (
            ("wattle stat", "wattle status "),
            ("wattle sweep cre", "wattle sweep create "),
            ("wattle status --stat", "wattle status --status "),
            (f"wattle status {acted.run_id[:12]}", acted.run_id),
            ("wattle submit --trainer dem", "wattle submit --trainer demo"),
        ):
            begun = len(terminal.text)
            terminal.type(typed)
            terminal.press_until(TAB, completed, after=begun)
            terminal.type(CTRL_U)
        terminal.type("exit\r")
        terminal.ended()
