"""What can be done with many runs at once: those that are marked, or all that have failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import streamlit as st
from pydantic import ValidationError

from errors import ApiError, ApiRefused
from schema import Outcome, RunReply, TagsRequest
from schema.replies import SearchReply
from schema.search import GROUP_PREFIX
from views import actions, commands, may, parts
from views import format as fmt
from views.actions import Action
from views.commands import Act, Retried
from views.compare import page as compare
from views.compare.choice import MOST
from views.look import run_name
from views.source import Listing

_OUTCOME = "bulk:outcome"
_MATCHING = "bulk:matching"
_NAMED = 5
_FOR_ALL = (
    *(
        actions.STAR,
        actions.UNSTAR,
        actions.TAG,
        actions.CANCEL,
        actions.RETRY,
        actions.RERUN,
        actions.DELETE,
    ),
)


def bar(marked: Sequence[RunReply], clear: Callable[[], None]) -> None:
    """Draw what can be done with the marked runs; nothing without any."""
    if not marked:
        return
    with st.container(horizontal=True, vertical_alignment="center", border=True, key="bulk"):
        st.markdown(f"**{_runs(len(marked))} marked**", width="content")
        for action in actions.BULK:
            _button(action, marked)
        _star_button(marked)
        tag, is_locked = actions.TAG, not may.can_submit()
        with st.popover(tag.label, icon=tag.icon, help=tag.hint, disabled=is_locked):
            _tag_form([run.run_id for run in marked])
        _compare(marked, clear)
        st.button("Clear", key="bulk:clear", type="tertiary", on_click=clear)


def outcome() -> None:
    """Say what came of the last request: shortly when all went well, else which runs refused and why."""
    kept = st.session_state.get(_OUTCOME)
    if kept is None:
        return
    done, refused = kept
    if not refused:
        st.session_state.pop(_OUTCOME)
        st.toast(done, icon=":material/check_circle:")
        return
    with st.container(horizontal=True, vertical_alignment="center", key="outcome"):
        st.warning("  \n".join([done, *refused]), icon=":material/rule:")
        st.button("Close", key="bulk:close", type="tertiary", on_click=_forget_outcome)


def retry_all(failed: int) -> None:
    """Draw the button that puts all failed runs back into their queues."""
    if st.button(
        "Retry all",
        icon=actions.RETRY.icon,
        key="bulk:retry_all",
        disabled=failed == 0 or not may.can_submit(),
        help="Puts every failed run back into its queue.",
    ):
        _confirm_retry_all(failed)


def summarise(action: Action, outcomes: Sequence[Outcome]) -> tuple[str, list[str]]:
    """Say how many runs did as they were asked; name those that refused, and those that left something."""
    refused = [outcome for outcome in outcomes if not outcome.success]
    done = f"{_runs(len(outcomes) - len(refused))} {action.done}"
    # A deleted run is on no page any more: its whole id is all that leads to its files.
    left = [
        f"`{outcome.iid}` {fmt.plain(outcome.message)}"
        for outcome in outcomes
        if outcome.success and outcome.message
    ]
    if not refused:
        return f"{done}{':' if left else '.'}", left
    lines = [f"`{outcome.iid[:8]}` {fmt.plain(outcome.message or 'no reason given')}" for outcome in refused]
    more = [f"and {_runs(len(lines) - _NAMED)} more"] if len(lines) > _NAMED else []
    return f"{done}, {fmt.count(len(refused))} not:", [*lines[:_NAMED], *more, *left]


def all_matching(listing: Listing, total: int) -> None:
    """Draw the button for what is to be done with all runs that match, on this page or not."""
    if st.button(
        f"All {_runs(total)} …" if total > 1 else "This run …",
        icon=":material/checklist:",
        type="tertiary",
        key="bulk:all",
        disabled=not may.can_submit(),
        help="Star, tag, cancel, retry, rerun or delete every run that matches.",
    ):
        st.session_state.pop(_MATCHING, None)
        _act_on_all(listing)


@st.dialog("Act on all that match", icon=":material/checklist:")
def _act_on_all(listing: Listing) -> None:
    """Name and count the runs, ask what is to be done, and do it with exactly these."""
    if _MATCHING not in st.session_state:
        try:
            st.session_state[_MATCHING] = commands.find_all(listing.q, listing.status)
        except ApiError as error:
            st.warning(fmt.plain_lines(str(error)), icon=":material/block:")
            return
    found: SearchReply = st.session_state[_MATCHING]
    ids = found.run_ids
    filters = [fmt.plain(listing.q), f"status {listing.status}" if listing.status else ""]
    st.markdown(f"**{_runs(len(ids))}** match {' · '.join(text for text in filters if text)}.")
    if found.total > len(ids):
        st.caption(f"These are the newest of {fmt.count(found.total)}; do it again for the others.")
    action = st.selectbox("What to do", _FOR_ALL, format_func=lambda each: each.label, key="bulk:all:action")
    st.caption(action.hint if action is not actions.DELETE else "This cannot be undone.")
    if action is actions.TAG:
        _tag_form(ids)
        return
    is_sure = True
    if action is actions.DELETE:
        typed = st.text_input("Type how many runs are to go", key="bulk:all:count")
        is_sure = typed.strip() == str(len(ids))
    if st.button(
        f"{action.label} {_runs(len(ids))}",
        type="primary",
        icon=action.icon,
        key="bulk:all:go",
        disabled=not ids or not is_sure or not may.is_allowed(action.scope),
        on_click=_act,
        args=(Act(action), ids),
    ):
        st.rerun()


def _star_button(marked: Sequence[RunReply]) -> None:
    action = actions.UNSTAR if all(run.starred for run in marked) else actions.STAR
    st.button(
        action.label,
        icon=action.icon,
        key=f"bulk:{action.name}",
        help=action.hint,
        disabled=not may.can_submit(),
        on_click=_act,
        args=(Act(action), [run.run_id for run in marked]),
    )


def _tag_form(ids: Sequence[str]) -> None:
    """Ask for tags to add and to remove, and for a group."""
    with st.form("bulk:tags", border=False):
        added = st.text_input("Tags to add", placeholder="paper, owner=ann", help="With commas between them.")
        group = st.text_input(
            "Group", max_chars=58, help="A run is in one group at most: another one is left."
        )
        removed = st.text_input("Tags to remove", placeholder="old, group=draft")
        if not st.form_submit_button(f"Tag {_runs(len(ids))}", type="primary"):
            return
    try:
        tags = TagsRequest(
            add=(*_split(added), *([f"{GROUP_PREFIX}{group.strip()}"] if group.strip() else [])),
            remove=_split(removed),
        )
    except ValidationError:
        st.warning("A tag has 1 to 64 characters, and there are 32 at most.", icon=":material/block:")
        return
    if tags.add or tags.remove:
        _act(Act(actions.TAG, tags), ids)
        st.rerun()


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _act(act: Act, ids: Sequence[str]) -> None:
    st.session_state[_OUTCOME] = summarise_retries(commands.act_on_many(act, ids), act.action)


def _compare(marked: Sequence[RunReply], clear: Callable[[], None]) -> None:
    is_possible = compare.FEWEST <= len(marked) <= MOST
    if st.button(
        "Compare",
        icon=":material/compare_arrows:",
        key="bulk:compare",
        disabled=not is_possible,
        help=f"Puts {compare.FEWEST} to {MOST} runs beside each other.",
    ):
        clear()
        parts.go_to("compare", {"run": [run.run_id for run in marked]})


def _button(action: Action, marked: Sequence[RunReply]) -> None:
    able = actions.takers(action, marked)
    label = action.label if len(able) in (0, len(marked)) else f"{action.label} {fmt.count(len(able))}"
    pressed = st.button(
        label,
        icon=action.icon,
        key=f"bulk:{action.name}",
        disabled=not able or not may.is_allowed(action.scope),
        help=action.hint,
        on_click=None if action is actions.DELETE else _do,
        args=(action, able),
    )
    if pressed and action is actions.DELETE:
        _confirm_deletion(able)


def _do(action: Action, runs: Sequence[RunReply]) -> None:
    try:
        outcomes = commands.act_on_all(action, [run.run_id for run in runs])
    except ApiError as error:
        st.session_state[_OUTCOME] = _no_outcome(action, error)
    else:
        st.session_state[_OUTCOME] = summarise(action, outcomes)


@st.dialog("Delete these runs?", icon=":material/delete:")
def _confirm_deletion(runs: Sequence[RunReply]) -> None:
    """Name the runs that would go, then delete them."""
    epochs = sum(run.epochs_done for run in runs)
    st.markdown(
        f"**{_runs(len(runs))}** with {fmt.count(epochs)} epochs, their logs, checkpoints and models:"
    )
    names = [f"- {fmt.plain(run_name(run))}, {run.status}" for run in runs[:_NAMED]]
    more = [f"- and {_runs(len(runs) - _NAMED)} more"] if len(runs) > _NAMED else []
    st.markdown("\n".join([*names, *more]))
    by_status = Counter(run.status.value for run in runs)
    st.caption(
        "This cannot be undone. What they used stays in the totals. By status: "
        + ", ".join(f"{count} {status}" for status, count in by_status.items())
        + "."
    )
    if st.button(
        f"Delete {_runs(len(runs))}",
        type="primary",
        icon=actions.DELETE.icon,
        on_click=_do,
        args=(actions.DELETE, runs),
    ):
        st.rerun()


@st.dialog("Retry all failed runs?", icon=":material/replay:")
def _confirm_retry_all(failed: int) -> None:
    """Say what it costs, then do it."""
    st.markdown(
        f"**{_runs(failed)}** back to the queue, with new tries, each from its last checkpoint, if any. "
        "This uses energy again."
    )
    if st.button(f"Retry {_runs(failed)}", type="primary", icon=actions.RETRY.icon, on_click=_retry_all):
        st.rerun()


def _retry_all() -> None:
    st.session_state[_OUTCOME] = summarise_retries(commands.retry_all_failed())


def summarise_retries(retried: Retried, action: Action = actions.RETRY) -> tuple[str, list[str]]:
    """Say how many runs did as they were asked, and what is known of the others."""
    if retried.error is not None and not retried.outcomes:
        return _no_outcome(action, retried.error)
    done, lines = summarise(action, retried.outcomes)
    if retried.error is not None:
        text, (reason,) = _no_outcome(action, retried.error)
        return done, [*lines, f"Of the others: {text[0].lower()}{text[1:]} {reason}"]
    if retried.left is None:
        return done, [*lines, "How many are left is not known."]
    return done, [*lines, *([f"{_runs(retried.left)} still failed."] if retried.left else [])]


def _no_outcome(action: Action, error: ApiError) -> tuple[str, list[str]]:
    """Say that a request came to nothing, or that nobody knows what came of it."""
    if isinstance(error, ApiRefused):
        return f"None {action.done}:", [fmt.plain(str(error))]
    text = f"It is not known which runs were {action.done}:"
    return text, ["The API does not answer. Look again when it does."]


def _forget_outcome() -> None:
    st.session_state.pop(_OUTCOME, None)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{fmt.count(count)} runs"
