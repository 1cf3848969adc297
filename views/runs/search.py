"""The search box of the Runs page and its saved views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st
from pydantic import ValidationError

from errors import ApiError, ApiRefused
from schema import SortField
from schema.marks import RunColumn, SavedView, ViewRequest
from schema.search import FIELDS, MAX_QUERY
from views import commands, may, parts, source
from views import format as fmt
from views.runs_columns import KEY, labels_of
from views.source import Listing

SORTS: Final = {
    "newest": SortField.TIME_ADDED,
    "accuracy": SortField.BEST_ACCURACY,
    "loss": SortField.LAST_LOSS,
    "energy": SortField.ENERGY_KWH,
    "CO₂": SortField.CO2_G,
    "duration": SortField.DURATION_S,
    "accuracy per kWh": SortField.ACCURACY_PER_KWH,
}
ALL: Final = "all"
_NO_VIEW: Final = "All runs"
_CHOICE: Final = "runs:view"
_OPENED: Final = "runs:view_opened"
_PROBLEM: Final = "runs:view_problem"
_EXAMPLES: Final = (
    ("network:resnet9 accuracy>0.95", "both have to hold"),
    ("-status:failed dataset:cifar*", "not failed; a star for any characters"),
    ("tag:paper group:baseline", "by tag, and by group"),
    ("starred:yes added>2026-01-31", "with a star, after a day"),
    ("learning_rate<=0.01 optimizer:adam", "any hyperparameter"),
    ('resnet "two words"', "text anywhere in id, name, tags, hyperparameters"),
)


def box(example: str = "network:resnet9 accuracy>0.95 tag:paper status:failed") -> str:
    """Draw the search box and its help, and return what is searched for; it is in the URL."""
    with st.container(horizontal=True, vertical_alignment="center", key="search"):
        q = st.text_input(
            "Search",
            key="q",
            bind="query-params",
            max_chars=MAX_QUERY,
            placeholder=example,
            icon=":material/search:",
            label_visibility="collapsed",
        )
        with st.popover("Help", icon=":material/help:", type="tertiary", help="How to search"):
            _help()
    return (q or "").strip()


def refused(error: ApiRefused) -> None:
    """Say what is wrong with the search, where it was typed."""
    parts.field_error(error.details[0].message if error.details else str(error))
    st.caption("The help beside the box lists the fields, with examples.")


def fetch_views() -> Sequence[SavedView]:
    """Return the saved views, as they were last known while the API is silent."""
    return source.fetch("views", source.list_views).value or []


def open_view_of_link(views: Sequence[SavedView]) -> None:
    """Fill in what the view in the URL says, once, where the URL does not say it itself."""
    wanted = st.query_params.get("view")
    if wanted is None or st.session_state.get(_OPENED) == wanted:
        return
    view = next((view for view in views if view.name == wanted), None)
    if view is None:
        st.info(f"There is no saved view {fmt.plain(wanted[:80])} here.", icon=":material/search_off:")
        return
    st.session_state[_OPENED] = wanted
    st.session_state[_CHOICE] = wanted
    for key, value in _values(view).items():
        if key not in st.query_params:
            st.session_state[key] = value


def menu(views: Sequence[SavedView], listing: Listing, columns: Sequence[RunColumn]) -> None:
    """Draw what opens a saved view, and what saves the list as it is now."""
    names = [view.name for view in views]
    if st.session_state.get(_CHOICE) not in (*names, None):
        st.session_state[_CHOICE] = None
    if names:
        st.selectbox(
            "View",
            names,
            index=None,
            key=_CHOICE,
            placeholder="Saved views",
            icon=":material/bookmark:",
            label_visibility="collapsed",
            width=190,
            on_change=_open,
            args=(tuple(views),),
        )
    chosen = next((view for view in views if view.name == st.session_state.get(_CHOICE)), None)
    with st.popover("Save", icon=":material/bookmark_add:", type="tertiary", help="Keep this list as a view"):
        _form(chosen, listing, columns)
    if problem := st.session_state.pop(_PROBLEM, None):
        st.toast(fmt.plain(problem), icon=":material/block:")


def _form(chosen: SavedView | None, listing: Listing, columns: Sequence[RunColumn]) -> None:
    """Ask for a name; a view of that name is replaced where that is the one that is open."""
    name = st.text_input(
        "Name of the view",
        chosen.name if chosen else "",
        max_chars=64,
        key=f"view_name:{chosen and chosen.name}",
    )
    st.caption(
        f"{fmt.plain(listing.q) or 'Every run'} · {listing.status or 'any status'} · by {listing.sort}"
        + (f" · {len(columns)} columns" if columns else "")
    )
    is_open = chosen is not None and name.strip() == chosen.name
    st.button(
        "Replace this view" if is_open else "Save the view",
        type="primary",
        disabled=not name.strip() or not may.can_submit(),
        key="view:save",
        on_click=_save,
        args=(name.strip(), listing, columns, is_open),
    )
    if chosen is not None:
        st.button(
            "Delete this view",
            icon=":material/delete:",
            type="tertiary",
            key="view:delete",
            disabled=not may.can_submit(),
            on_click=_delete,
            args=(chosen.name,),
        )


def _values(view: SavedView | None) -> dict[str, object]:
    """Return what the widgets of the list show for a view, or for none."""
    if view is None:
        return {"q": "", "status": ALL, "sort": next(iter(SORTS)), "order": "desc", KEY: []}
    sort = next(label for label, field in SORTS.items() if field is view.sort)
    return {
        "q": view.q,
        "status": view.status.value if view.status else ALL,
        "sort": sort,
        "order": view.order,
        KEY: labels_of(view.columns),
    }


def _open(views: Sequence[SavedView]) -> None:
    name = st.session_state.get(_CHOICE)
    view = next((view for view in views if view.name == name), None)
    st.session_state.update(_values(view))
    _link_to(name)


def _link_to(name: str | None) -> None:
    st.session_state[_OPENED] = name
    if name is None:
        st.query_params.pop("view", None)
    else:
        st.query_params["view"] = name


def _save(name: str, listing: Listing, columns: Sequence[RunColumn], is_open: bool) -> None:
    try:
        view = ViewRequest(
            name=name,
            q=listing.q,
            status=listing.status,
            sort=listing.sort,
            order=listing.order,
            columns=tuple(columns),
            replace=is_open,
        )
        commands.save_view(view)
    except ValidationError as error:
        st.session_state[_PROBLEM] = f"The view was not saved: {_reason(error)}."
    except ApiError as error:
        st.session_state[_PROBLEM] = f"The view was not saved: {error}"
    else:
        st.session_state[_CHOICE] = name
        _link_to(name)


def _reason(error: ValidationError) -> str:
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")


def _delete(name: str) -> None:
    try:
        commands.delete_view(name)
    except ApiError as error:
        st.session_state[_PROBLEM] = f"The view was not deleted: {error}"
    else:
        st.session_state[_CHOICE] = None
        _link_to(None)


def _help() -> None:
    """Show how to search, by examples."""
    st.markdown("**All terms have to hold.** Values in the units of the API: accuracies from 0 to 1.")
    rows = "\n".join(f"| `{example}` | {fmt.plain(meaning)} |" for example, meaning in _EXAMPLES)
    st.markdown(f"| Write | Finds |\n|---|---|\n{rows}")
    st.caption("Fields: " + ", ".join(FIELDS) + ", and any hyperparameter by its name.")
