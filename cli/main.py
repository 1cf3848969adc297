"""The command ``wattle``: everything that can be done with Wattle, from a shell.

Exit codes: 0 done, 1 refused or failed, 2 not understood, 3 the API is away, 130 ended by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from cli import (
    archive_commands,
    data_commands,
    doctor_commands,
    program_commands,
    quota_commands,
    ranking_commands,
    result_commands,
    run_commands,
    slurm_commands,
    submit_commands,
    sweep_commands,
    token_commands,
    watch_commands,
)
from cli.showing import tell
from errors import ApiUnavailable, WattleError

REFUSED, AWAY = 1, 3

app = typer.Typer(
    name="wattle",
    help="Queue trainings, watch them, compare what they achieved and what they cost.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for group in (
    submit_commands,
    watch_commands,
    run_commands,
    result_commands,
    ranking_commands,
    data_commands,
    doctor_commands,
    program_commands,
):
    app.add_typer(group.app)
app.add_typer(sweep_commands.app, name="sweep")
app.add_typer(slurm_commands.app, name="slurm")
app.add_typer(token_commands.app, name="token")
app.add_typer(quota_commands.app, name="quota")
archive_commands.mount(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what was asked for and return the exit code; what went wrong is one sentence on stderr."""
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read our output has seen enough; without this, Python complains of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        app(args=None if arguments is None else list(arguments), prog_name="wattle")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except ApiUnavailable as error:
        tell(f"wattle: {error}")
        return AWAY
    except (WattleError, OSError) as error:
        tell(f"wattle: {error}")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
