"""Which configuration to use under given limits."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api.body import reply
from api.rerunning import params_of
from api.runs import get_known_run
from api.state import board, recommender
from schema.recommend import Limits, RecommendReply

recommending = APIBlueprint("recommend", __name__, tag="Recommender")


@recommending.get("/api/recommend")
@recommending.input(Limits, location="query", arg_name="limits")
@recommending.output(RecommendReply)
def get_recommendation(limits: Limits) -> Response:
    """Answer which configuration to use within limits, or which of them to relax and by how much.

    With ``target_accuracy`` it is the one of the fewest grams near it, without the most accurate one. Real
    runs and simulated ones are never compared.
    """
    return reply(_with_hyper_params(recommender().recommend(board().refresh(), limits)))


def _with_hyper_params(found: RecommendReply) -> RecommendReply:
    if found.answer is None or found.answer.candidate.is_external:
        return found
    run = get_known_run(found.answer.candidate.run_id)
    answer = found.answer.model_copy(update={"hyper_params": params_of(run)})
    return found.model_copy(update={"answer": answer})
