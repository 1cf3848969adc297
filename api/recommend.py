"""Which configuration to use under given limits."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api.body import reply
from api.desk import TrialDesk
from api.rerunning import params_of, submittable
from api.runs import get_known_run
from api.state import board, recommender, suggester
from schema.next_try import NextQuery, NextReply
from schema.recommend import Limits, RecommendReply
from untried.suggester import Scope

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


@recommending.get("/api/recommend/next")
@recommending.input(NextQuery, location="query", arg_name="query")
@recommending.output(NextReply)
def get_next_try(query: NextQuery) -> Response:
    """Answer which untried configuration to try next, with what is expected of it, or why none can be named.

    It is learnt from the finished runs of one dataset on one kind of device. ``is_working`` means that it is
    being worked out: ask again in a second.
    """
    limits = Limits(dataset=query.dataset, device=query.device, simulated=query.simulated)
    found, configurations = recommender().find_configurations(board().refresh(), limits)
    scope = Scope(found.dataset, found.device, found.simulated, configurations)
    answer = suggester().suggest(scope, query.max_co2_g, TrialDesk(is_simulated=found.simulated))
    return reply(_submittable(answer))


def _submittable(answer: NextReply) -> NextReply:
    if answer.trial is None:
        return answer
    trial = answer.trial.model_copy(update={"hyper_params": submittable(answer.trial.hyper_params)})
    return answer.model_copy(update={"trial": trial})


def _with_hyper_params(found: RecommendReply) -> RecommendReply:
    if found.answer is None or found.answer.candidate.is_external:
        return found
    run = get_known_run(found.answer.candidate.run_id)
    answer = found.answer.model_copy(update={"hyper_params": params_of(run)})
    return found.model_copy(update={"answer": answer})
