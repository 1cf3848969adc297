"""Which runs are compared: those of the URL, and ways to add some to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import streamlit as st

from schema import RunReply
from views import format as fmt
from views import parts, source
from views.compare.groups import group_runs, list_groupings
from views.look import run_name, short_id
from views.source import Listing

MOST: Final = 20
_CHOICE: Final = "compare:choice"
_TAG: Final = "tag"
# Of what a tag may have.
_LONGEST_TAG: Final = 64


def choose_runs() -> list[str]:
    """Draw the box of what is compared; the runs are those in the URL."""
    _add_tagged()
    wanted = list(dict.fromkeys(st.query_params.get_all("run")))
    page = source.fetch("run:list", lambda: source.list_runs(Listing(), None))
    parts.silence_banner(page.problem)
    listed = page.value.reply.results if page.value else []
    titles = {run.run_id: run_name(run) for run in listed}
    others = [iid for iid in wanted if iid not in titles]
    st.session_state[_CHOICE] = wanted
    st.multiselect(
        "Runs",
        [*others, *titles],
        format_func=lambda iid: titles.get(iid, short_id(iid)),
        key=_CHOICE,
        on_change=_remember_choice,
        placeholder="Choose runs to compare",
        label_visibility="collapsed",
    )
    if listed:
        with st.popover("Add a group", icon=":material/group_work:", width="content"):
            _offer_groups(listed)
    return wanted


def _add_tagged() -> None:
    """Take the newest runs of the tag that the URL asks for, as of a sweep; it names them from then on."""
    tag = st.query_params.get(_TAG, "").strip()
    if not tag:
        return
    asked = Listing(q=f"tag:{json.dumps(tag[:_LONGEST_TAG], ensure_ascii=False)}")
    page = source.fetch("run:tagged", lambda: source.list_runs(asked, None), of=tag)
    if page.value is None:
        return
    tagged = [run.run_id for run in page.value.reply.results if tag in run.options.tags]
    if not tagged:
        st.info(fmt.plain(f"No run has the tag {tag}."), icon=":material/label_off:")
    _add(tagged)
    del st.query_params[_TAG]


def _offer_groups(listed: Sequence[RunReply]) -> None:
    """Draw what adds the newest runs of a tag, a network, a dataset or whatever they say of themselves."""
    by = st.selectbox("Runs that share", list_groupings(listed), key="compare:add_by")
    groups = {f"{group.name} ({len(group.run_ids)})": group.run_ids for group in group_runs(listed, by)}
    name = st.selectbox("Group", list(groups), key="compare:add_group")
    st.caption(f"Of the newest {fmt.count(len(listed))} runs; {MOST} at most are compared.")
    st.button("Add", key="compare:add", icon=":material/add:", on_click=_add, args=(groups[name][:MOST],))


def _add(run_ids: Sequence[str]) -> None:
    st.query_params["run"] = list(dict.fromkeys([*st.query_params.get_all("run"), *run_ids]))


def _remember_choice() -> None:
    st.query_params["run"] = st.session_state[_CHOICE]
