"""What people say of a run: its tags and notes."""

from __future__ import annotations

from typing import Final

import streamlit as st

from errors import ApiError
from schema import Note, RunReply
from schema.external import MAX_TAGS
from schema.search import GROUP_PREFIX
from views import commands, may, source
from views import format as fmt
from views.markdown import to_html

_MAX_NOTE_CHARACTERS: Final = 10_000
_ARCHIVED: Final = "The run is archived: nothing of it can be changed until it is restored."
_NOTE_STYLE: Final = """<style>
.note-text { overflow-wrap: anywhere; }
.note-text > :first-child { margin-top: 0; }
.note-text > :last-child { margin-bottom: 0; }
.note-text h4 { font-size: 1.15rem; padding: 0; margin: .8em 0 .4em; }
.note-text :is(h5, h6) { font-size: 1rem; padding: 0; margin: .8em 0 .4em; }
.note-text :is(p, ul, ol, table, pre, blockquote) { margin: 0 0 .6em; }
.note-text pre { overflow-x: auto; padding: .6em .8em; border: 1px solid rgb(128 128 128 / 25%); }
.note-text table { display: block; overflow-x: auto; border-collapse: collapse; }
.note-text :is(th, td) { border: 1px solid rgb(128 128 128 / 30%); padding: .2em .6em; }
.note-text blockquote { padding-left: .8em; border-left: 3px solid rgb(128 128 128 / 40%); }
</style>"""


def tags(run: RunReply) -> None:
    """Draw the star and the tags of a run, and what changes them."""
    own = run.options.tags
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tags"):
        _star(run)
        if own:
            badges = " ".join(_badge(tag) for tag in own)
            st.markdown(badges, width="content")
        with st.popover(
            "Tags",
            icon=":material/sell:",
            type="tertiary",
            key=f"edit_tags:{run.run_id}",
            on_change="rerun",
            disabled=run.archived,
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
                edited = f" · edited {fmt.utc(note.edited_at)}" if note.edited_at else ""
                st.caption(fmt.utc(note.time) + edited, width="content")
                if not run.archived:
                    with st.container(horizontal=True, width="content", gap="small"):
                        _edit_button(run, note)
                        _delete_button(run, note)
            st.html(_NOTE_STYLE + _html_of(note.text))
    if run.archived:
        st.caption("Restore the run to write notes.")
        return
    key = f"note:{run.run_id}"
    st.text_area(
        "A new note",
        key=key,
        max_chars=_MAX_NOTE_CHARACTERS,
        help="In Markdown. Pictures become links, and HTML is shown as it is.",
    )
    st.button(
        "Add the note",
        key=f"add_{key}",
        icon=":material/add_comment:",
        disabled=not may.can_submit(),
        on_click=_add_note,
        args=(run, key),
    )
    if problem := st.session_state.get(_problem_key("notes", run)):
        st.warning(fmt.plain_lines(problem), icon=":material/block:")


@st.cache_data(max_entries=256, show_spinner=False)
def _html_of(text: str) -> str:
    return to_html(text)


def _badge(tag: str) -> str:
    """Show a tag; a group by its name alone."""
    if tag.startswith(GROUP_PREFIX):
        return f":violet-badge[:material/folder: {fmt.plain(tag.removeprefix(GROUP_PREFIX))}]"
    return f":gray-badge[{fmt.plain(tag)}]"


def _star(run: RunReply) -> None:
    st.button(
        "Starred" if run.starred else "Star",
        icon=":material/star:" if run.starred else ":material/star_border:",
        type="tertiary",
        key=f"star:{run.run_id}",
        help=_ARCHIVED if run.archived else "Everybody sees it; starred:yes finds it among the runs.",
        disabled=run.archived or not may.can_submit(),
        on_click=_toggle_star,
        args=(run,),
    )


def _toggle_star(run: RunReply) -> None:
    st.session_state.pop(_problem_key("tags", run), None)
    try:
        commands.set_star(run.run_id, is_starred=not run.starred)
    except ApiError as error:
        st.session_state[_problem_key("tags", run)] = f"The star was not changed: {error}"


def _edit_button(run: RunReply, note: Note) -> None:
    key = f"edit_note:{run.run_id}:{note.note_id}"
    with st.popover(
        "Edit",
        icon=":material/edit:",
        type="tertiary",
        key=key,
        on_change="rerun",
        disabled=not may.can_submit(),
    ) as form:
        if form.open:
            field = f"{key}:{note.edited_at}"
            st.text_area("Text", note.text, key=field, max_chars=_MAX_NOTE_CHARACTERS, height=160, width=520)
            st.button("Save", type="primary", key=f"{key}:go", on_click=_edit_note, args=(run, note, field))


def _edit_note(run: RunReply, note: Note, field: str) -> None:
    st.session_state.pop(_problem_key("notes", run), None)
    text = str(st.session_state.get(field) or "").strip()
    if not text or text == note.text:
        return
    try:
        commands.edit_note(run.run_id, note.note_id, text)
    except ApiError as error:
        st.session_state[_problem_key("notes", run)] = f"The note was not changed: {error}"


def _delete_button(run: RunReply, note: Note) -> None:
    key = f"delete_note:{run.run_id}:{note.note_id}"
    with st.popover(
        "Delete",
        icon=":material/delete:",
        type="tertiary",
        key=key,
        on_change="rerun",
        disabled=not may.can_submit(),
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
        disabled=not may.can_submit(),
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
