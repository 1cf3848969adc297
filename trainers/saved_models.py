"""The models of a finished run as files in ``<place>/<run_id>/{best,last}/``. No torch."""

from __future__ import annotations

import logging
from typing import BinaryIO, Final, get_args

from pydantic import ValidationError

from schema import ModelName, Run
from trainers.cards import Card
from trainers.places import Folder, open_folder

log = logging.getLogger(__name__)

MODEL_FILE: Final = "model.safetensors"
CARD_FILE: Final = "card.json"
STATE_DICT_FILE: Final = "best_model.pt"
NAMES: Final[tuple[ModelName, ...]] = get_args(ModelName)


class SavedModels:
    """The models of one run."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._written: set[str] = set()

    @property
    def are_written(self) -> bool:
        """Whether all models have been written by this object, not by an earlier attempt of the run."""
        return self._written.issuperset(NAMES)

    def find_card(self, name: ModelName) -> Card | None:
        """Return the card of a model; None without one. A torn or foreign one is logged and passed over.

        Raises OSError where the place fails, which does not say that there is none.
        """
        try:
            return Card.model_validate_json(self._folder.read(name, CARD_FILE))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            log.warning("card passed over model=%s: %s", name, error)
            return None

    def list_cards(self) -> list[Card]:
        """Return the cards of the models that are there, the best one first. Raises OSError."""
        return [card for name in NAMES if (card := self.find_card(name)) is not None]

    def complete_cards(self, run: Run) -> None:
        """Add to each card what the run cost and where it was trained. Raises OSError."""
        for card in self.list_cards():
            self._folder.replace(card.model, CARD_FILE, write_card(card.complete(run)))

    def write(self, name: str, files: dict[str, bytes]) -> None:
        """Write a model whose last file makes it complete, replacing an earlier one. Raises OSError."""
        self._folder.write(name, files)
        self._written.add(name)

    def clear(self) -> None:
        """Delete the models. Raises OSError when something is left."""
        self._folder.clear(lambda name: name in NAMES)

    def delete(self, name: ModelName) -> None:
        """Delete one of the models, its card first: none is shown whose weights are gone. Raises OSError."""
        self._folder.remove(name, CARD_FILE)
        self._folder.delete(name)

    def open(self, name: ModelName, file: str) -> BinaryIO:
        """Open a file of a model. Raises OSError when it is not there."""
        return self._folder.open(name, file)


def write_card(card: Card) -> bytes:
    """Return the card as the JSON that is saved."""
    return f"{card.model_dump_json(indent=2)}\n".encode()


def open_models(url: str, run_id: str) -> SavedModels:
    """Return the models of a run under ``url``. Raises OSError on a bad place."""
    return SavedModels(open_folder(url, run_id))
