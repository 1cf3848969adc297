"""Which configuration to use: finished runs by what they achieved for what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from api.body import reply
from api.search import ids_of
from api.state import board, db
from leaderboard.export import write_csv, write_json, write_parquet
from leaderboard.ranking import Ranking, Wish
from leaderboard.results_file import read_results
from leaderboard.rows import show
from schema import Record
from schema.leaderboard import ImportReply, ImportRequest, LeaderboardReply, RankField, StatedResult
from schema.search import MAX_QUERY

leaderboard = APIBlueprint("leaderboard", __name__, tag="Leaderboard")

MAX_ROWS = 1_000
_PREVIEWED = 10
MIMETYPES = {"csv": "text/csv", "json": "application/json", "parquet": "application/vnd.apache.parquet"}


class RankingQuery(Record):
    """Which finished runs to rank, and by what."""

    dataset: str | None = Field(
        None, max_length=250, description="without it, that of most runs; empty for runs that name none"
    )
    network: str | None = Field(None, max_length=250, description="empty for runs that name none")
    device: str | None = Field(
        None, max_length=250, description="name of the GPU, cpu or cuda; empty for runs that do not say"
    )
    project: str | None = Field(None, max_length=64)
    tag: str | None = Field(None, max_length=64)
    q: str = Field("", max_length=MAX_QUERY, description="a search, as of GET /api/runs")
    min_accuracy: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="without it, 0.02 below the best one"
    )
    include_simulated: bool | None = Field(
        None, description="without it, only while no run that is done is a real one"
    )
    per: Literal["network", "all"] = Field("all", description="network for the best run of each")
    sort: RankField = RankField.ACCURACY_PER_KWH
    order: Literal["asc", "desc"] | None = Field(
        None, description="without it the best comes first, the newest, or the first by the alphabet"
    )

    @property
    def wish(self) -> Wish:
        """What is asked for."""
        return Wish(**{name: getattr(self, name) for name in RankingQuery.model_fields if name != "q"})

    def rank(self) -> Ranking:
        """Rank what is asked for. Raises InvalidInput on a search that does not read."""
        return board().rank(self.wish, ids_of(self.q))


class LeaderboardQuery(RankingQuery):
    """A page of a ranking."""

    limit: int = Field(100, ge=1, le=MAX_ROWS)
    cursor: str | None = Field(
        None, max_length=2_000, description="from the page before; sort, order and filters as there"
    )


class ExportQuery(RankingQuery):
    """A whole ranking as a file."""

    format: Literal["csv", "parquet", "json"] = "csv"


@leaderboard.get("/api/leaderboard")
@leaderboard.input(LeaderboardQuery, location="query", arg_name="query")
@leaderboard.output(LeaderboardReply)
def list_leaderboard(query: LeaderboardQuery) -> Response:
    """Rank the finished runs of one dataset, and tell which of them no other outdoes.

    Real runs come before simulated ones, runs that do not know what they are ranked by last of their kind.
    """
    ranking = query.rank()
    return reply(show(ranking, board().seeds(ranking.table), limit=query.limit, cursor=query.cursor))


@leaderboard.get("/api/leaderboard/export")
@leaderboard.input(ExportQuery, location="query", arg_name="query")
@leaderboard.doc(responses={200: "The whole ranking as a file"})
def export_leaderboard(query: ExportQuery) -> Response:
    """Answer the whole ranking as a file: all runs in their order, with the same parameters."""
    ranking = query.rank()
    response = Response(_write(ranking, query.format), mimetype=MIMETYPES[query.format])
    response.headers["Content-Disposition"] = f'attachment; filename="leaderboard.{query.format}"'
    return response


@leaderboard.post("/api/leaderboard/import")
@leaderboard.input(ImportRequest, arg_name="body")
@leaderboard.output(ImportReply)
def import_leaderboard(body: ImportRequest) -> Response:
    """Add the runs of a leaderboard.csv that ended elsewhere; those whose id is known stay as they are.

    Nothing of a file is stored when any of its rows is not valid. One that was cut off on the way, as by
    Redis going away, is finished by sending it again. Imported runs are in the lists, and in no total. With
    ``check`` nothing is stored, and the answer says what would become of the rows.
    """
    results = read_results(body.csv)
    if body.check:
        return reply(_checked(results))
    added = [db().finished.add(result) for result in results]
    return reply(ImportReply(imported=sum(added), known=len(added) - sum(added)))


def _checked(results: Sequence[StatedResult]) -> ImportReply:
    run_ids = {result.run_id for result in results}
    new = len(run_ids - db().finished.list_known(sorted(run_ids)))
    return ImportReply(imported=new, known=len(results) - new, rows=tuple(results[:_PREVIEWED]))


def _write(ranking: Ranking, kind: str) -> Iterable[str] | bytes:
    seeds = board().seeds(ranking.table)
    if kind == "parquet":
        return write_parquet(ranking, seeds)
    return write_csv(ranking, seeds) if kind == "csv" else write_json(ranking, seeds)
