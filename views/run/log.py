"""The log of a run: its newest lines as they come, or those in which something is found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import streamlit as st

from schema import LogLine, LogReply, RunReply
from views import downloads, source
from views import format as fmt
from views.download_links import Offer
from views.run.live_log import live_log

_AT_ONCE: Final = 500
_MOST_SHOWN: Final = 5_000
_LOOKED_AT: Final = 2_000
_MOST_CHARACTERS: Final = 200
_KEPT: Final = "log:kept"


@dataclass
class Kept:
    """What a reader has of a log: of this run, searched for these words, none for all lines."""

    run_id: str
    words: str
    lines: list[LogLine] = field(default_factory=list)
    older: str | None = None
    newest: str | None = None
    most: int = _AT_ONCE
    is_begun: bool = False

    def take_newest(self, reply: LogReply) -> None:
        """Take what came in at the end; what is too much goes at the beginning."""
        if not self.is_begun:
            self.older, self.is_begun = reply.older, True
        self.newest = reply.newest or self.newest
        self.lines += reply.lines
        if len(self.lines) > self.most:
            self.lines = self.lines[-self.most :]
            self.older = self.lines[0].line_id

    def take_older(self, reply: LogReply) -> None:
        """Take what was there before; from now on so much more is shown."""
        self.lines = [*reply.lines, *self.lines]
        self.older = reply.older
        self.most = max(self.most, len(self.lines) + _AT_ONCE)


def show(run: RunReply) -> None:
    """Draw the search, the switch and the lines."""
    with st.container(horizontal=True, vertical_alignment="center"):
        words = _ask_words(run)
        is_following = _ask_following(run)
        _download(run)
    kept = _kept(run.run_id, words)
    if is_following or not kept.is_begun:
        _follow(kept)
    if not kept.lines:
        _say_empty(kept)
        return
    live_log(kept.lines, view=f"{kept.run_id}:{words}", words=words, key=f"log_lines:{run.run_id}")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(fmt.plain(describe(kept)), width="content")
        _older(kept)


def describe(kept: Kept) -> str:
    """Say what of the log is shown."""
    count = fmt.count(len(kept.lines))
    if kept.words:
        found = f"{count} {'line has' if len(kept.lines) == 1 else 'lines have'} “{kept.words}”"
        text = f"{found} so far; older lines are not searched yet" if kept.older else found
    else:
        text = f"The newest {count} lines" if kept.older else f"All {count} lines"
    return f"{text} · times are UTC"


def _ask_words(run: RunReply) -> str:
    text = st.text_input(
        "Search the log",
        key=f"log_words:{run.run_id}",
        placeholder="Search the log",
        icon=":material/search:",
        max_chars=_MOST_CHARACTERS,
        label_visibility="collapsed",
    )
    return (text or "").strip()


def _ask_following(run: RunReply) -> bool:
    """Draw the switch; a run that has ended says nothing new, but for its epilogue."""
    if run.status.is_final:
        return True
    return st.toggle(
        "Follow",
        value=True,
        key=f"log_follow:{run.run_id}",
        help="New lines appear by themselves. Scroll up, and what you read stays where it is.",
    )


def _kept(run_id: str, words: str) -> Kept:
    kept: Kept | None = st.session_state.get(_KEPT)
    if kept is None or (kept.run_id, kept.words) != (run_id, words):
        kept = st.session_state[_KEPT] = Kept(run_id, words)
    return kept


def _follow(kept: Kept) -> None:
    def ask() -> LogReply:
        contains = kept.words or None
        return source.list_log(kept.run_id, after=kept.newest, contains=contains, limit=_AT_ONCE)

    found = source.fetch("log", ask, of=(kept.run_id, kept.words, kept.newest))
    # While the API is silent there is none: what it answered last, was to another question.
    if found.value is not None:
        kept.take_newest(found.value)


def _older(kept: Kept) -> None:
    if kept.older is not None and len(kept.lines) < _MOST_SHOWN:
        st.button(
            "Search older lines" if kept.words else "Older lines",
            icon=":material/expand_less:",
            key="log_older",
            type="tertiary",
            on_click=_look_back,
            args=(kept,),
        )


def _look_back(kept: Kept) -> None:
    """Add older lines: the next so many, or those among the next so many in which it is found."""

    def ask() -> LogReply:
        contains = kept.words or None
        return source.list_log(kept.run_id, before=kept.older, contains=contains, limit=_AT_ONCE)

    found = source.fetch("log:older", ask, of=(kept.run_id, kept.words, kept.older))
    if found.value is not None:
        kept.take_older(found.value)


def _say_empty(kept: Kept) -> None:
    if not kept.words:
        st.caption("The log is empty so far.")
        return
    where = f"the newest {fmt.count(_LOOKED_AT)} lines" if kept.older else "the log"
    st.caption(fmt.plain(f"“{kept.words}” is not in {where}."))
    _older(kept)


def _download(run: RunReply) -> None:
    offer = Offer("log", run.run_id, f"wattle-{run.run_id}.log")
    downloads.button("Download", offer, key=f"log_file:{run.run_id}")
