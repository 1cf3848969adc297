"""What is noted of the rounds of archiving, also by versions that noted less."""

from __future__ import annotations

from schema.archive import ArchiveRound, Fields


def complete_facts(stored: Fields) -> Fields:
    """Return it with when the last round ended, and the last good one, where only the round itself is noted.

    It began then, and lasted no longer than a day.
    """
    if "last" not in stored:
        return stored
    last = ArchiveRound.model_validate_json(stored["last"], extra="ignore")
    begun_at = repr(last.begun_at.timestamp())
    told = {"ended_at": begun_at} if last.problem else {"ended_at": begun_at, "good_at": begun_at}
    return {**told, **stored}
