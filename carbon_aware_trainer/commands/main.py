"""carbon-aware: how clean the grid is, when it will be cleaner, and commands that wait for that."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from carbon_aware_trainer.commands import looking, simulating, waiting
from carbon_aware_trainer.commands.asked import Asked
from carbon_aware_trainer.core.clock import Clock, SystemClock
from carbon_aware_trainer.errors import CarbonError

_EPILOG = (
    "Also from the environment: WATTLE_ZONE, WATTLE_CARBON_MODEL, WATTLE_CARBON_API_KEY (which others on "
    "this machine cannot see, unlike --api-key) and WATTLE_CARBON_FILE. Exit status: 0, or 1 with the reason "
    "on standard error; wait ends with that of its command."
)


def main(arguments: Sequence[str] | None = None, *, clock: Clock | None = None) -> int:
    """Do as the command line says."""
    parsed = parser().parse_args(arguments)
    asked = Asked.of(parsed, os.environ, clock or SystemClock())
    command: Callable[[Asked], Any] = parsed.command
    try:
        outcome = command(asked)
    except CarbonError as err:
        print(f"carbon-aware: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if isinstance(outcome, int):
        return outcome
    _print(outcome, as_json=parsed.json)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = argparse.ArgumentParser(prog="carbon-aware", description=__doc__, epilog=_EPILOG)
    commands = whole.add_subparsers(required=True, metavar="command")
    _now(commands)
    _forecast(commands)
    _window(commands)
    _wait(commands)
    _simulate(commands)
    _sample(commands)
    return whole


def _add(commands: Any, name: str, call: Callable[[Asked], object], text: str) -> argparse.ArgumentParser:
    added: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, epilog=_EPILOG)
    added.set_defaults(command=call, json=False)
    added.add_argument("--zone", action="append", help="such as US-CA; may be given several times")
    if name != "sample":
        added.add_argument("--model", help="electricitymaps, watttime, uk, static or cached")
        added.add_argument("--api-key", help="of the model")
        added.add_argument("--file", type=Path, help="file or folder of recorded intensities (model cached)")
    if name not in ("sample", "wait"):
        added.add_argument("--json", action="store_true", help="for programs")
    return added


def _now(commands: Any) -> None:
    _add(commands, "now", looking.now, "The intensity in force.")


def _forecast(commands: Any) -> None:
    added = _add(commands, "forecast", looking.forecast, "What is expected.")
    added.add_argument("--hours", type=float, default=24.0)


def _window(commands: Any) -> None:
    added = _add(commands, "window", looking.window, "Where and when a job is cleanest.")
    added.add_argument("--duration", type=float, required=True, help="of the job, in hours")
    added.add_argument("--within", type=float, default=24.0, help="hours until it has to be done")
    added.add_argument("--energy-kwh", type=float, help="of the job, for figures in grams")
    added.add_argument("--interruptible", action="store_true")


def _wait(commands: Any) -> None:
    added = _add(commands, "wait", waiting.wait, "Wait for the cleanest start, then run a command.")
    added.add_argument(
        "--duration", type=float, help="of the command, in hours: waits for the cleanest window"
    )
    added.add_argument("--within", type=float, default=24.0, help="hours until it has to be done (24)")
    added.add_argument(
        "--threshold", type=float, help="g/kWh at or below which it starts, without --duration"
    )
    added.add_argument("--check-interval", type=float, default=300.0, help="seconds between two looks (300)")
    added.add_argument("words", nargs="+", metavar="-- command", help="what to run")


def _simulate(commands: Any) -> None:
    added = _add(commands, "simulate", simulating.simulate, "What each policy would have saved in the past.")
    added.add_argument(
        "--duration", type=int, nargs="+", default=[4, 12, 24, 48], help="of the jobs, in hours"
    )
    added.add_argument("--slack", type=int, nargs="+", default=[24, 168], help="hours they may be late")
    added.add_argument("--starts", type=int, default=120, help="random starts of each (120)")


def _sample(commands: Any) -> None:
    added = _add(commands, "sample", looking.sample, "Write made-up data to try things with.")
    added.add_argument("--days", type=int, default=30)
    added.add_argument("--out", type=Path, default=Path("carbon_data.json"))


def _print(outcome: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a table of what was found, or all of it as JSON."""
    if as_json:
        print(json.dumps({key: outcome[key] for key in outcome if key != "lines"}))
    else:
        print("\n".join(outcome["lines"]))


if __name__ == "__main__":
    sys.exit(main())
