"""The saved models of a run, to look at and to download."""

from __future__ import annotations

import os
from typing import BinaryIO, Final

from apiflask import APIBlueprint
from apiflask.schemas import FileSchema
from flask import Response, send_file

from api.artifacts.downloads import open_download
from api.body import reply
from api.runs import get_known_run
from api.state import settings
from errors import NotFound, PlaceUnavailable, WattleError
from schema import ModelFile, ModelName, ModelReply, ModelsReply, Run, Status
from schema.registry import SavedModel
from trainers.cards import Card
from trainers.saved_models import CARD_FILE, MODEL_FILE, NAMES, STATE_DICT_FILE, SavedModels, open_models

models = APIBlueprint("models", __name__, tag="Models")

CONTENT_TYPES: Final = {
    MODEL_FILE: "application/octet-stream",
    CARD_FILE: "application/json",
    STATE_DICT_FILE: "application/octet-stream",
}


@models.get("/api/runs/<iid>/models")
@models.output(ModelsReply)
def list_models(iid: str) -> Response:
    """Answer the saved models of a run, the best one first; 404 with the reason when there is none."""
    run = get_known_run(iid)
    if run.status is not Status.DONE:
        raise _no_models(run)
    try:
        saved = open_models(settings().effective_model_url, run.run_id)
        shown = [_show(card, saved) for card in saved.list_cards()]
    except OSError as error:
        raise _refuse(run, error) from error
    if not shown:
        raise _no_models(run)
    return reply(ModelsReply(models=shown))


@models.get("/api/runs/<iid>/models/<name>/<file>")
@models.output(FileSchema(type="string", format="binary"), content_type="application/octet-stream")
def download_model(iid: str, name: str, file: str) -> Response:
    """Answer one file of a saved model as an attachment.

    ``name`` is best or last; ``file`` is model.safetensors or card.json, of the best one also best_model.pt,
    a plain state_dict that ``torch.load`` reads with ``weights_only=True``.
    """
    return send_saved(get_known_run(iid), name, file)


def list_saved(run: Run) -> list[SavedModel]:
    """Return the saved models of a run of the queue, the best one first; [] where there is none.

    Raises PlaceUnavailable where nobody can say.
    """
    if run.status is not Status.DONE or run.is_external:
        return []
    try:
        cards = open_models(settings().effective_model_url, run.run_id).list_cards()
    except OSError as error:
        raise place_failed(error) from error
    return [_to_saved(card) for card in cards if MODEL_FILE in card.files]


def find_saved(run: Run, name: str) -> SavedModel | None:
    """Return a saved model of a run of the queue; None where it has none of that name."""
    return next((saved for saved in list_saved(run) if saved.name == name), None)


def send_saved(run: Run, name: str, file: str = MODEL_FILE) -> Response:
    """Answer a file of a saved model as an attachment. Raises NotFound, with the reason, without it."""
    known = _find_name(name)
    if known is None or file not in CONTENT_TYPES or (known == "last" and file == STATE_DICT_FILE):
        raise NotFound(
            f"A run has no model file {f'{name}/{file}'[:80]!r}. There are best/{MODEL_FILE}, "
            f"best/{STATE_DICT_FILE}, best/{CARD_FILE}, last/{MODEL_FILE} and last/{CARD_FILE}."
        )
    if run.status is not Status.DONE:
        raise _no_models(run)
    try:
        saved = open_models(settings().effective_model_url, run.run_id)
        stream = open_download(lambda: saved.open(known, file))
    except OSError as error:
        raise _refuse(run, error) from error
    return _stream(stream, _download_name(run.run_id, known, file), CONTENT_TYPES[file])


def _to_saved(card: Card) -> SavedModel:
    facts = card.files[MODEL_FILE]
    return SavedModel(
        run_id=card.run_id,
        name=card.model,
        step=card.epoch,
        metrics=card.metrics.model_dump(exclude_none=True),
        size_bytes=facts.size_bytes,
        sha256=facts.sha256,
        created_at=card.created_at,
        url=f"/api/runs/{card.run_id}/models/{card.model}/{MODEL_FILE}",
    )


def _find_name(name: str) -> ModelName | None:
    return next((known for known in NAMES if known == name), None)


def _download_name(run_id: str, name: ModelName, file: str) -> str:
    return f"{run_id}-{file}" if file == STATE_DICT_FILE else f"{run_id}-{name}-{file}"


def _stream(stream: BinaryIO, download_name: str, content_type: str) -> Response:
    try:
        size_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        response = send_file(stream, content_type, as_attachment=True, download_name=download_name)
    except BaseException:
        stream.close()
        raise
    response.content_length = size_bytes
    return response


def place_failed(error: OSError) -> PlaceUnavailable:
    """Say that the models may be there, but cannot be read now."""
    reason = error.strerror or type(error).__name__
    return PlaceUnavailable(
        f"The place of saved models cannot be read now ({reason[:200]}). Ask again, or correct "
        "WATTLE_MODEL_URL."
    )


def _refuse(run: Run, error: OSError) -> WattleError:
    return _no_models(run) if isinstance(error, FileNotFoundError) else place_failed(error)


def _no_models(run: Run) -> NotFound:
    """Say why there is nothing to download, as far as this host can tell."""
    if not run.status.is_final:
        reason = "they are saved when it is done."
    elif run.status is not Status.DONE:
        reason = f"it is {run.status}, and models are saved when a run is done."
    elif run.simulated:
        reason = "it was simulated, nothing was trained."
    else:
        reason = (
            "its trainer saved none, its log says why they could not be saved, or they are where this host "
            "does not look: set WATTLE_MODEL_URL to a place that the workers and the API share."
        )
    return NotFound(f"There are no models of run {run.run_id}: {reason}")


def _show(card: Card, saved: SavedModels) -> ModelReply:
    files = [_show_file(card, file, facts.size_bytes, facts.sha256) for file, facts in card.files.items()]
    with saved.open(card.model, CARD_FILE) as stream:
        size_bytes = stream.seek(0, os.SEEK_END)
    files.append(_show_file(card, CARD_FILE, size_bytes, None))
    return ModelReply(
        name=card.model,
        epoch=card.epoch,
        chosen_on=card.chosen_on,
        chosen_note=card.chosen_note,
        metrics=card.metrics,
        licence=card.licence,
        files=files,
    )


def _show_file(card: Card, file: str, size_bytes: int, sha256: str | None) -> ModelFile:
    return ModelFile(
        file=file,
        size_bytes=size_bytes,
        sha256=sha256,
        link=f"/api/runs/{card.run_id}/models/{card.model}/{file}",
        download_name=_download_name(card.run_id, card.model, file),
    )
