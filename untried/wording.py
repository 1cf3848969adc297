"""What is proposed and why, or why nothing is, in sentences for a person; pure."""

from __future__ import annotations

from leaderboard.wording import grams_text, points_text
from schema.next_try import LEAST_CONFIGURATIONS, HeldOut, Trial
from untried.ranking import LEAST_IMPROVEMENT, Ranked, is_worth_following

WORKING = "It is being worked out, which takes some seconds."


def too_few(count: int, where: str) -> str:
    """Say that there is too little to learn from."""
    known = "none is" if not count else "one is" if count == 1 else f"{count} are"
    return (
        f"{LEAST_CONFIGURATIONS} configurations{where} whose CO₂ is known are needed to learn from, and "
        f"{known} there. Runs that differ in nothing but their seeds are one."
    )


def why(trial: Trial, ranked: Ranked) -> str:
    """Say why a configuration is proposed, and how far to trust that."""
    return (
        f"It is expected to gain {points_text(trial.improvement)} for {grams_text(trial.co2_g.value)}: "
        f"{points_text(trial.improvement_per_g)} per gram, the most of {ranked.points:,} untried "
        f"configurations near what was run. {_trust(ranked)}"
    )


def why_not(ranked: Ranked, max_co2_g: float | None) -> str:
    """Say why nothing is proposed."""
    if ranked.learnt_from < LEAST_CONFIGURATIONS:
        return too_few(ranked.learnt_from, " of one trainer")
    if ranked.held_out is None:
        return "The configurations differ in none of the hyperparameters that their trainer has."
    if not is_worth_following(ranked.held_out):
        return (
            "Nothing is proposed: configurations that the models had not seen were predicted no better "
            f"than by their median. {_trust(ranked)} More runs may change that."
        )
    within = f" that emits at most {grams_text(max_co2_g)}" if max_co2_g is not None else ""
    return (
        f"No untried configuration near what was run{within} is expected to gain "
        f"{points_text(LEAST_IMPROVEMENT)} or more. {_trust(ranked)}"
    )


def all_begun(ranked: Ranked) -> str:
    """Say that somebody tries them already."""
    return (
        f"The {len(ranked.trials)} most promising configurations are queued, running, failed, or not "
        "valid. Ask again when some have finished."
    )


def _trust(ranked: Ranked) -> str:
    held_out = ranked.held_out
    if held_out is None:
        return ""
    runs = f"{ranked.learnt_from} configurations with {ranked.runs} runs"
    return f"Learnt from {runs}; of a fifth at a time that was held out, {_errors(held_out)}."


def _errors(held_out: HeldOut) -> str:
    own, median = points_text(held_out.accuracy_error), points_text(held_out.median_accuracy_error)
    grams, of_median = held_out.co2_factor - 1, held_out.median_co2_factor - 1
    return (
        f"accuracy was missed by {own} (by {median} if the median is guessed) and CO₂ by {100 * grams:.0f} % "
        f"({100 * of_median:.0f} %)"
    )


def where_text(dataset: str | None, device: str | None) -> str:
    """Name what the runs are of, with a space before it."""
    return (f" of {dataset}" if dataset else "") + (f" on {device}" if device else "")
