"""What people say of a run: its tags and notes."""

from __future__ import annotations

from typing import Final

import streamlit as st

from errors import ApiError
from schema import Note, RunReply
from schema.external import MAX_TAGS
from views import commands, source
from views import format as fmt

_MAX_NOTE_CHARACTERS: Final = 10_000


def tags(run: RunReply) -> None:
    """Draw the tags of a run, and what changes them."""
    own = run.options.tags
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tags"):
        if own:
            badges = " ".join(f":gray-badge[{fmt.plain(tag)}]" for tag in own)
            st.markdown(badges, width="content")
        with st.popover(
            "Tags", icon=":material/sell:", type="tertiary", key=f"edit_tags:{run.run_id}", on_change="rerun"
        ) as form:
            if form.open:
                _edit(run)
    if problem := st.session_state.get(_problem_key("tags", run)):
        st.warning(fmt.plain_lines(problem), icon=":material/block:")


def notes(run: RunReply) -> None:
    """Draw the notes of a run, oldest first, and a field for another one."""
    known = source.fetch("notes", lambda: source.list_notes(run.run_id), of=run.run_id).value or []
    for note in known:
        with st.container(border=True):
            with st.container(
                horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
            ):
                st.caption(fmt.utc(note.time), width="content")
                _delete_button(run, note)
            st.text(note.text)
    key = f"note:{run.run_id}"
    st.text_area("A new note", key=key, max_chars=_MAX_NOTE_CHARACTERS)
    st.button(
        "Add the note", key=f"add_{key}", icon=":material/add_comment:", on_click=_add_note, args=(run, key)
    )
    if problem := st.session_state.get(_problem_key("notes", run)):
        st.warning(fmt.plain_lines(problem), icon=":material/block:")


def _delete_button(run: RunReply, note: Note) -> None:
    key = f"delete_note:{run.run_id}:{note.note_id}"
    with st.popover(
        "Delete", icon=":material/delete:", type="tertiary", key=key, on_change="rerun"
    ) as question:
        if question.open:
            st.markdown("Delete this note for good?")
            st.button("Delete it", type="primary", key=f"{key}:go", on_click=_delete_note, args=(run, note))


def _edit(run: RunReply) -> None:
    """Let the reader take tags away and write new ones; they are kept as they are chosen."""
    own = list(run.options.tags)
    # Another key when a script or somebody else has changed them: the field shows what is true.
    key = f"tags:{run.run_id}:{own}"
    st.multiselect(
        "Tags",
        own,
        default=own,
        key=key,
        accept_new_options=True,
        max_selections=MAX_TAGS,
        placeholder="Write a tag, or key=value",
        help="key=value takes the place of another tag of that key.",
        on_change=_keep_tags,
        args=(run, key),
    )


def _keep_tags(run: RunReply, key: str) -> None:
    wanted = [tag.strip() for tag in st.session_state[key] if tag.strip()]
    own = run.options.tags
    added = [tag for tag in wanted if tag not in own]
    removed = [tag for tag in own if tag not in wanted]
    st.session_state.pop(_problem_key("tags", run), None)
    if not added and not removed:
        return
    try:
        commands.set_tags(run.run_id, add=added, remove=removed)
    except ApiError as error:
        st.session_state[_problem_key("tags", run)] = f"The tags were not changed: {error}"
        st.session_state[key] = list(own)


def _add_note(run: RunReply, key: str) -> None:
    st.session_state.pop(_problem_key("notes", run), None)
    text = str(st.session_state.get(key) or "").strip()
    if not text:
        return
    try:
        commands.add_note(run.run_id, text)
    except ApiError as error:
        st.session_state[_problem_key("notes", run)] = f"The note was not added: {error}"
        return
    st.session_state[key] = ""


def _delete_note(run: RunReply, note: Note) -> None:
    st.session_state.pop(_problem_key("notes", run), None)
    try:
        commands.delete_note(run.run_id, note.note_id)
    except ApiError as error:
        st.session_state[_problem_key("notes", run)] = f"The note was not deleted: {error}"


def _problem_key(what: str, run: RunReply) -> str:
    return f"problem:{what}:{run.run_id}"
