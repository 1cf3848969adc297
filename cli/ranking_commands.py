"""``wattle leaderboard`` and ``wattle recommend``: what to choose, by what it costs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from time import sleep
from typing import Annotated, Literal

import typer

from cli.connecting import Api, AsJson, connect
from cli.showing import (
    UNKNOWN,
    amount,
    duration,
    percent,
    print_json,
    say,
    short,
    show_fields,
    show_json,
    show_table,
)
from client import Client
from schema.leaderboard import LeaderboardRow, RankField
from schema.next_try import NextReply
from schema.recommend import RecommendReply

app = typer.Typer()

Dataset = Annotated[str | None, typer.Option("--dataset", help="Else that of most runs.")]
Device = Annotated[str | None, typer.Option("--device", help="The name of the GPU, cpu or cuda.")]
Sort = Annotated[RankField | None, typer.Option("--sort", help="What is ranked by; else accuracy per kWh.")]
MinAccuracy = Annotated[float | None, typer.Option("--min-accuracy", min=0, max=1, help="As a fraction.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="At most so many rows.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print the whole ranking as CSV.")]
Per = Annotated[Literal["all", "network"], typer.Option("--per", help="network: the best run of each.")]
Tag = Annotated[str | None, typer.Option("--tag", help="Only runs with this tag.")]
Search = Annotated[
    str | None, typer.Option("--search", "-q", help="Only what this finds, as network:resnet9 tag:paper.")
]
Project = Annotated[str | None, typer.Option("--project", help="Only runs of this project.")]
Target = Annotated[
    float | None, typer.Option("--target-accuracy", min=0, max=1, help="For the fewest grams near it.")
]
MaxCo2 = Annotated[float | None, typer.Option("--max-co2-g", help="Grams of CO₂ it may emit.")]
MaxTime = Annotated[float | None, typer.Option("--max-duration-s", help="Seconds it may take.")]
MaxEnergy = Annotated[float | None, typer.Option("--max-energy-kwh", help="kWh it may use.")]
OnlyParams = Annotated[
    bool, typer.Option("--params", help="Print its hyper_params alone, for wattle submit -.")
]
Next = Annotated[bool, typer.Option("--next", help="What to try next that nobody has run, instead.")]


@app.command("leaderboard")
def show_leaderboard(
    dataset: Dataset = None,
    device: Device = None,
    sort: Sort = None,
    min_accuracy: MinAccuracy = None,
    per: Per = "all",
    tag: Tag = None,
    search: Search = None,
    project: Project = None,
    limit: Limit = 20,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
    api: Api = None,
) -> None:
    """Rank finished runs of one dataset by what they achieved for what they cost."""
    query = _given(
        dataset=dataset, device=device, sort=sort, min_accuracy=min_accuracy, per=per, tag=tag, q=search,
        project=project,
    )  # fmt: skip
    with connect(api) as client:
        if as_csv:
            sys.stdout.write(client.export_leaderboard(query, "csv").decode())
            return
        reply = client.get_leaderboard(query | {"limit": str(limit)})
    if as_json:
        print_json(reply)
    elif not reply.rows:
        say(_nothing_ranked(query))
    else:
        mixed = "; some energy is measured, some is not" if reply.is_mixed else ""
        title = (
            f"{reply.dataset}, by {reply.sort}: {reply.total} runs above {percent(reply.min_accuracy)}{mixed}"
        )
        columns = ("rank", "run", "accuracy", "Wh", "g CO₂", "time", "accuracy/kWh", "network", "device")
        show_table(columns, map(_ranked, reply.rows), title=title)


def _nothing_ranked(query: Mapping[str, str]) -> str:
    """Say what to do about an empty ranking."""
    if query.keys() - {"per", "sort", "dataset"}:
        return "No finished run fits. Leave out the search or a limit, or name another --dataset."
    return "No finished run to rank. Queue one with 'wattle submit', or name another --dataset."


def _ranked(row: LeaderboardRow) -> tuple[str, ...]:
    cells = (percent(row.accuracy), amount(row.energy_kwh, 1000), amount(row.co2_g), duration(row.duration_s))
    device = (row.device or UNKNOWN) + (" (simulated)" if row.simulated else "")
    return (
        str(row.rank),
        short(row.run_id),
        *cells,
        amount(row.accuracy_per_kwh),
        row.network or UNKNOWN,
        device,
    )


@app.command("recommend")
def recommend_run(
    dataset: Dataset = None,
    device: Device = None,
    target_accuracy: Target = None,
    max_co2_g: MaxCo2 = None,
    max_duration_s: MaxTime = None,
    max_energy_kwh: MaxEnergy = None,
    params: OnlyParams = False,
    suggest: Next = False,
    as_json: AsJson = False,
    api: Api = None,
) -> None:
    """Say which configuration to use, and with which limits there is one; 1 where there is none."""
    query = _given(dataset=dataset, device=device, max_co2_g=max_co2_g)
    limits = _given(
        target_accuracy=target_accuracy, max_duration_s=max_duration_s, max_energy_kwh=max_energy_kwh
    )
    if suggest and limits:
        raise typer.BadParameter("--next goes with --dataset, --device and --max-co2-g; leave the others out")
    with connect(api) as client:
        reply = _suggest(client, query) if suggest else client.recommend(query | limits)
    found = reply.trial if isinstance(reply, NextReply) else reply.answer
    if as_json:
        print_json(reply)
    elif params and found is not None and found.hyper_params is not None:
        show_json(found.hyper_params)
    else:
        say(reply.reason)
        show_fields(_expected(reply) if isinstance(reply, NextReply) else _candidate(reply))
    raise typer.Exit(0 if found is not None else 1)


def _suggest(client: Client, query: dict[str, str]) -> NextReply:
    while (reply := client.suggest_next(query)).is_working:
        sleep(1.0)
    return reply


def _candidate(reply: RecommendReply) -> list[tuple[str, str]]:
    if reply.answer is None:
        return []
    found = reply.answer.candidate
    co2_g = amount(found.co2_g.median) if found.co2_g else UNKNOWN
    return [
        ("run", found.run_id),
        ("network", found.network or UNKNOWN),
        ("accuracy", percent(found.accuracy.median)),
        ("CO₂, g", co2_g),
        ("runs", str(found.runs)),
    ]


def _expected(reply: NextReply) -> list[tuple[str, str]]:
    if reply.trial is None:
        return []
    differences = ", ".join(f"{known.name}={known.value}" for known in reply.trial.differences)
    return [
        ("expected accuracy", percent(reply.trial.accuracy.value)),
        ("expected CO₂, g", amount(reply.trial.co2_g.value)),
        ("unlike the best", differences or UNKNOWN),
    ]


def _given(**query: object) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value is not None}
