"""``python -m training_monitor replay``: send what dead processes had still to send."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training_monitor.connection import Connection, default_url
from training_monitor.orphans import give_back_memory
from training_monitor.replay import replay
from training_monitor.spool import default_folder, list_refused


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when nothing is left to send, but for what was refused before."""
    parser = argparse.ArgumentParser(prog="python -m training_monitor")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("replay", help="send what dead processes had still to send")
    command.add_argument("--spool-dir", type=Path, default=default_folder(), help="default: %(default)s")
    command.add_argument("--api-url", default=default_url(), help="default: %(default)s")
    command.add_argument(
        "--any-host", action="store_true", help="of a shared folder also what other hosts left"
    )
    command.add_argument("--refused", action="store_true", help="try again what the server refused to begin")
    given = parser.parse_args(arguments)
    connection = Connection(given.api_url)
    try:
        done = replay(given.spool_dir, connection, any_host=given.any_host, is_refused=given.refused)
        give_back_memory()
    finally:
        connection.close()
    print(f"{done.sent} sessions sent, {done.left} left." + (f" {done.reason}" if done.left else ""))
    for refused in list_refused(given.spool_dir):
        print(f"Not sent: {refused.name} in {refused.folder}: {refused.reason}")
    return 1 if done.left or done.refused else 0


if __name__ == "__main__":
    sys.exit(main())
