"""Quotas from a shell: ``wattle quota set project vision --waiting-runs 100``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cli.connecting import Api, ask
from schema.quotas import QuotaLimits

app = typer.Typer(
    help="What projects and tokens may have and use.", no_args_is_help=True, add_completion=False
)


class OwnerKind(StrEnum):
    """Whose quota."""

    project = "project"
    token = "token"  # noqa: S105 - a word for a kind of owner


@app.command("set")
def set_quota(
    owner: Annotated[OwnerKind, typer.Argument(help="project or token")],
    name: Annotated[str, typer.Argument(help="of the project, or the token_id")],
    waiting_runs: Annotated[int | None, typer.Option(min=0, help="runs that wait")] = None,
    running_runs: Annotated[int | None, typer.Option(min=0, help="runs at work")] = None,
    gpu_hours: Annotated[float | None, typer.Option(min=0, help="training time × GPUs in a day")] = None,
    energy_wh: Annotated[float | None, typer.Option(min=0, help="energy in a day")] = None,
    co2_g: Annotated[float | None, typer.Option(min=0, help="CO2 in a day")] = None,
    api: Api = None,
) -> None:
    """Replace a quota and print it as JSON; what is not given is not limited."""
    limits = QuotaLimits(
        waiting_runs=waiting_runs,
        running_runs=running_runs,
        gpu_hours=gpu_hours,
        energy_wh=energy_wh,
        co2_g=co2_g,
    )
    kept = ask(lambda client: client.set_quota(owner.value, name, limits), api=api)
    typer.echo(kept.model_dump_json())


@app.command("list")
def list_quotas(api: Api = None) -> None:
    """Print all quotas with what is used of them, one JSON object a line."""
    for quota in ask(lambda client: client.list_quotas(), api=api):
        typer.echo(quota.model_dump_json())
