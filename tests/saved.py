"""Models as a run leaves them, without a training."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from schema import Metrics
from trainers.cards import Card, FileFacts, ImageFacts, describe_dataset
from trainers.datasets import DATASETS
from trainers.places import open_folder
from trainers.saved_models import CARD_FILE, MODEL_FILE, STATE_DICT_FILE, write_card

METRICS = Metrics(
    train_loss=0.5,
    train_accuracy=0.8,
    validation_loss=0.6,
    validation_accuracy=0.75,
    test_loss=0.7,
    test_accuracy=0.5,
)


def save_models(place: Path, run_id: str) -> None:
    """Save a best and a last model whose weights are no weights."""
    for name, files in (("best", (MODEL_FILE, STATE_DICT_FILE)), ("last", (MODEL_FILE,))):
        card = Card(
            run_id=run_id,
            model="best" if name == "best" else "last",
            trainer="cnn",
            network="small_cnn",
            classes=10,
            class_names=DATASETS["digits"].class_names,
            input=ImageFacts(channels=1, side=8, mean=(70.0,), std=(90.0,)),
            dataset=describe_dataset(DATASETS["digits"], train=1, validation=1, test=1, folder=None),
            hyper_params={},
            epoch=1 if name == "best" else 2,
            chosen_on="validation" if name == "best" else "last epoch",
            metrics=METRICS,
            files={file: FileFacts(size_bytes=4, sha256="0" * 64) for file in files},
            licence="not stated",
            created_at=datetime(2026, 3, 1, tzinfo=UTC),
        )
        content = dict.fromkeys(files, b"1234")
        open_folder(str(place), run_id).write(name, {**content, CARD_FILE: write_card(card)})
