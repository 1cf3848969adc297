"""The models and checkpoints that a run has left: to download, and to register as versions of a model."""

from __future__ import annotations

from http import HTTPStatus

import streamlit as st

from errors import ApiRefused
from schema import Artifact, ModelFile, ModelReply, RunModelsReply, RunReply, Status
from views import artifact_source, downloads, source
from views import format as fmt
from views.download_links import Offer
from views.models import forms as model_forms
from views.run import checkpoints

_TRAINER_WITH_MODELS = "cnn"
_TITLES = {"best": "Best", "last": "Last"}
_KINDS = {"model.safetensors": "safetensors", "best_model.pt": "PyTorch", "card.json": "card"}


def show(run: RunReply) -> None:
    """Draw the section; nothing for a run that leaves no models, or not yet."""
    saved, reason = _find_saved(run)
    kept = source.fetch("kept", lambda: artifact_source.list_run_models(run.run_id), of=run.run_id).value
    files = sent_files(kept) if kept else []
    versions = kept.versions if kept else []
    if not saved and not reason and not files and not versions:
        return
    st.subheader("Models", anchor=False)
    if reason:
        st.info(fmt.plain(reason), icon=":material/deployed_code_alert:")
    if saved:
        columns = st.columns(len(saved))
        for column, model in zip(columns, saved, strict=True):
            with column.container(border=True, height="stretch"):
                _model(run, model)
    if files:
        checkpoints.show_files(run, files)
    if versions:
        checkpoints.show_versions(versions)
    model_forms.show_outcome()


def sent_files(kept: RunModelsReply) -> list[Artifact]:
    """List what a script has sent, newest first; what a trainer of the queue saved has cards of its own."""
    sent = [*kept.checkpoints, *(model for model in kept.models if isinstance(model, Artifact))]
    return sorted(sent, key=lambda file: file.created_at, reverse=True)


def _find_saved(run: RunReply) -> tuple[list[ModelReply], str]:
    """Return what a trainer of the queue has saved, and why there is nothing where there might be."""
    if run.status is not Status.DONE or run.is_external:
        return [], ""
    try:
        found = source.fetch("models", lambda: source.list_models(run.run_id), of=run.run_id)
    except ApiRefused as error:
        if error.status == HTTPStatus.NOT_FOUND and run.hyper_params.get("trainer") != _TRAINER_WITH_MODELS:
            return [], ""
        return [], str(error)
    return (found.value.models if found.value else []), ""


def _model(run: RunReply, model: ModelReply) -> None:
    st.markdown(f"**{_TITLES[model.name]}** · epoch {fmt.count(model.epoch)}")
    st.caption(_figures(model), help=model.chosen_note and fmt.plain(model.chosen_note))
    with st.container(horizontal=True):
        for file in model.files:
            _download(run, model, file)
        model_forms.register_button(run.run_id, model.name, None)


def _figures(model: ModelReply) -> str:
    """Name the figure that chose the epoch, if one did, and what the weights achieve on the test split."""
    metrics = model.metrics
    figures = [f"Test accuracy {fmt.percent(metrics.test_accuracy)}"]
    if metrics.validation_accuracy is not None:
        figures.insert(0, f"Validation accuracy {fmt.percent(metrics.validation_accuracy)}")
    if model.chosen_on != "last epoch":
        figures.append(f"chosen by {model.chosen_on} accuracy")
    figures.append(f"licence {fmt.plain(model.licence)}")
    return " · ".join(figures)


def _download(run: RunReply, model: ModelReply, file: ModelFile) -> None:
    downloads.button(
        f"{_KINDS.get(file.file, file.file)} · {fmt.size(file.size_bytes)}",
        Offer("api", file.link, file.download_name),
        note=f"{file.file}" + (f", SHA-256 {file.sha256}" if file.sha256 else ""),
        key=f"model:{run.run_id}:{model.name}:{file.file}",
    )
