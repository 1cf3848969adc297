"""What is left to do with the files of a run that is done: its models' cards, and its checkpoints."""

from __future__ import annotations

import logging

from redis_db import RedisDB
from settings import Settings
from trainers.checkpoint_names import is_checkpoint
from trainers.places import open_folder
from trainers.saved_models import open_models

log = logging.getLogger(__name__)


def finish_files(db: RedisDB, settings: Settings, run_id: str) -> None:
    """Complete the cards of a run's models, then delete its checkpoints. Raises StoreUnavailable."""
    complete_cards(db, settings, run_id)
    delete_checkpoints(settings, run_id)


def complete_cards(db: RedisDB, settings: Settings, run_id: str) -> None:
    """Write into the cards of a run's models what it cost, which only the store knows.

    A place that fails is logged: the models stay as they are. Raises StoreUnavailable.
    """
    run = db.runs.find(run_id)
    if run is None:
        return
    try:
        open_models(settings.effective_model_url, run_id).complete_cards(run)
    except OSError as error:
        log.warning("cards without their costs run_id=%s: %s", run_id, error)


def delete_checkpoints(settings: Settings, run_id: str) -> None:
    """Delete the checkpoints of a run whose last attempt has saved its models.

    A place that fails is logged.
    """
    try:
        open_folder(settings.effective_checkpoint_url, run_id).clear(is_checkpoint)
    except OSError as error:
        log.warning("checkpoints not deleted run_id=%s: %s", run_id, error)
