"""How a run is repeated: what has changed since, a button, lines to copy; and its report."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import streamlit as st
from pydantic import JsonValue

from errors import ApiError, ApiRefused
from schema import RerunRequest, RunReply
from schema.reproduce import FactChange, ReproductionReply, WorkerNow
from views import commands, downloads, may, parts, source
from views import format as fmt
from views.download_links import Offer
from views.look import run_title, short_id

_PANEL: Final = "show"
_OPEN: Final = "reproduce"
_NEW: Final = "reproduce:new"
_PROBLEM: Final = "reproduce:problem"
_NAMES: Final = {
    "git_commit": "commit",
    "git_dirty": "changed files",
    "wattle": "Wattle",
    "os": "system",
    "cpu": "processor",
    "gpu_driver": "GPU driver",
    "python": "Python",
}


def show(run: RunReply) -> None:
    """Draw the buttons of a run that has ended, and below them the panel where it is open."""
    if not run.status.is_final:
        return
    _lead_on(run)
    is_open = st.query_params.get(_PANEL) == _OPEN
    report = f"/api/runs/{quote(run.run_id)}/report"
    name = f"report-{short_id(run.run_id)}"
    with st.container(horizontal=True, gap="small", key="reproduce"):
        st.button(
            "Reproduce",
            icon=":material/expand_less:" if is_open else ":material/restart_alt:",
            help="The same hyperparameters, seed and trainer; what has changed since, and lines to copy.",
            key=f"reproduce:{run.run_id}",
            on_click=_toggle,
            args=(run.run_id,),
        )
        html, markdown = (
            Offer("api", report, f"{name}.html"),
            Offer("api", f"{report}?format=md", f"{name}.md"),
        )
        downloads.button("Report", html, note="One HTML file with its curves", key=f"report:{run.run_id}")
        downloads.button("Report as Markdown", markdown, key=f"report-md:{run.run_id}")
    if is_open:
        with st.container(border=True, key="reproduce-panel"):
            _panel(run)


@st.cache_data(ttl=5, max_entries=32, show_spinner=False)
def _get(iid: str) -> ReproductionReply:
    return source.api().get_reproduction(iid)


def _panel(run: RunReply) -> None:
    try:
        found = source.fetch("reproduction", lambda: _get(run.run_id), of=run.run_id).value
    except ApiRefused as error:
        st.warning(fmt.plain_lines(str(error)), icon=":material/block:")
        return
    if found is None:
        return
    seed = found.hyper_params.get("seed")
    st.markdown(
        f"**{fmt.plain(run_title(run))}** again: the same hyperparameters and trainer"
        + (f", seed {fmt.plain(str(seed))}" if seed is not None else "")
        + "."
    )
    if found.is_possible:
        _differences(found)
        st.button(
            "Rerun as it was",
            type="primary",
            icon=":material/send:",
            key=f"reproduce:queue:{run.run_id}",
            disabled=not may.can_submit(),
            on_click=_queue,
            args=(run, found),
        )
    else:
        st.info(fmt.plain_lines(found.reason or ""), icon=":material/terminal:")
    iid, problem = st.session_state.get(_PROBLEM, (None, ""))
    if iid == run.run_id:
        st.warning(fmt.plain_lines(problem), icon=":material/block:")
    _lines(found)


def _differences(found: ReproductionReply) -> None:
    """Say what is not as it was, the code before all."""
    if not found.is_recorded:
        st.caption("It did not note its packages: whether they are the same now is not known.")
    if not found.workers:
        st.caption("No worker is alive that says what it runs with.")
        return
    same = [worker for worker in found.workers if not worker.changes]
    if same and found.is_recorded:
        names = ", ".join(fmt.plain(worker.name) for worker in same)
        st.caption(f":material/check: Same code, packages and machine type now: {names}.")
    for worker in found.workers:
        if worker.changes:
            _changes(worker)


def _changes(worker: WorkerNow) -> None:
    code = [change for change in worker.changes if change.is_code]
    if code:
        listed = "; ".join(f"{_NAMES[c.name]} {_text(c.then)} → {_text(c.now)}" for c in code)
        st.warning(
            f"**The code is another one now** on {fmt.plain(worker.name)}: {fmt.plain(listed)}.",
            icon=":material/commit:",
        )
    others = [change for change in worker.changes if not change.is_code]
    if others:
        st.caption(f"Different on {fmt.plain(worker.name)}:")
        st.dataframe(
            difference_rows(others), hide_index=True, height="content", key=f"now:{worker.worker_id}"
        )


def difference_rows(changes: Sequence[FactChange]) -> list[dict[str, str]]:
    """List what is different, as it was and as it is."""
    return [
        {"What": _NAMES.get(change.name, change.name), "Then": _text(change.then), "Now": _text(change.now)}
        for change in changes
    ]


def _lines(found: ReproductionReply) -> None:
    body = {"hyper_params": found.hyper_params, **({"options": found.options} if found.options else {})}
    text = json.dumps(body, indent=2, ensure_ascii=False)
    if found.command is None or found.curl is None:
        st.code(json.dumps(found.hyper_params, indent=2, ensure_ascii=False), language=None, height=240)
        return
    command, curl, whole = st.tabs(["Command", "curl", "JSON"], key=f"reproduce:lines:{found.iid}")
    with command:
        st.code(found.command, language=None, wrap_lines=True)
        st.caption("In the folder of Wattle; prints the new run's id. `--wait` waits for its end.")
    with curl:
        st.code(found.curl, language=None, wrap_lines=True)
    with whole:
        st.code(text, language=None, height=240)


def _toggle(iid: str) -> None:
    if st.query_params.get(_PANEL) == _OPEN:
        del st.query_params[_PANEL]
        return
    st.query_params[_PANEL] = _OPEN
    # Of this opening of the panel: however often its button is pressed, one run is queued.
    st.session_state[_key_of(iid)] = uuid.uuid4().hex
    st.session_state.pop(_PROBLEM, None)


def _queue(run: RunReply, found: ReproductionReply) -> None:
    iid = run.run_id
    key = st.session_state.setdefault(_key_of(iid), uuid.uuid4().hex)
    changes: dict[str, JsonValue] = {}
    if run.options.start_at is not None:
        changes["start_at"] = None
    if run.options.carbon is not None:
        changes["carbon"] = found.options.get("carbon") or {}
    try:
        new = commands.rerun(iid, RerunRequest(options=changes), idempotency_key=key)
    except ApiRefused as error:
        st.session_state[_PROBLEM] = (iid, str(error))
    except ApiError:
        unknown = "The API does not answer: it is not known whether it was queued. Press again; it is once."
        st.session_state[_PROBLEM] = (iid, unknown)
    else:
        st.session_state.pop(_key_of(iid), None)
        st.session_state[_NEW] = (iid, new.run_id)


def _lead_on(run: RunReply) -> None:
    """Go to the run that was queued, from the one it repeats."""
    old, new = st.session_state.get(_NEW, (None, ""))
    if old == run.run_id:
        del st.session_state[_NEW]
        parts.give_notice(f"Run {short_id(new)} is queued, made from {short_id(run.run_id)}.")
        parts.go_to("run", {"iid": new})


def _key_of(iid: str) -> str:
    return f"reproduce:key:{iid}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return fmt.MISSING if value is None else str(value)
