"""Questions to the API that are asked at the same time: a page takes as long as its slowest answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from views.grid import Answer, ask

T = TypeVar("T")


class Questions:
    """Questions of one drawing, each in a thread of its own; answers are taken by the drawing, in any order.

    A thread draws nothing and looks into no session. One that nobody waits for any more ends with its call.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._under_way: dict[str, tuple[Hashable, Future[Any]]] = {}

    def begin(self, name: str, call: Callable[[], T], *, of: Hashable = None) -> None:
        """Ask, unless the same is being asked already."""
        if name in self._under_way and self._under_way[name][0] == of:
            return
        landing: Future[T] = Future()
        thread = threading.Thread(target=_land, args=(call, landing), name=f"ask-{name}", daemon=True)
        add_script_run_ctx(thread, get_script_run_ctx())
        self._under_way[name] = (of, landing)
        thread.start()

    def answer(self, name: str, *, about: Hashable = None) -> Answer[Any]:
        """Wait for an answer; a refusal is one, too. Raises KeyError for what was not asked.

        ``about``: the last answer about the same stands in while the API is silent.
        """
        _, landing = self._under_way[name]
        return ask(name, landing.result, of=about)

    def hand_over(self) -> Questions:
        """Return all that is under way, once: a later drawing asks anew."""
        taken = Questions()
        taken._under_way, self._under_way = self._under_way, {}
        return taken


def _land(call: Callable[[], T], landing: Future[T]) -> None:
    try:
        landing.set_result(call())
    except BaseException as error:  # noqa: BLE001 raised where the answer is waited for
        landing.set_exception(error)
