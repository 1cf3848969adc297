"""Entries of a waiting list that another program wrote: the original kept whole JSON records there."""

from __future__ import annotations

import json
import logging
from typing import Final, Protocol

from pydantic import JsonValue, ValidationError

from errors import InvalidInput, TooMany
from schema import Record, Run, Validate
from store.connection import Connection
from store.keys import Keys

log = logging.getLogger(__name__)

_MAX_ENTRIES: Final = 100


class Submit(Protocol):
    """The part of ``Queue.submit`` that an adoption needs."""

    def __call__(self, hyper_params: dict[str, JsonValue], *, run_id: str) -> Run:
        """Queue a run."""


class ForeignRecord(Record, extra="ignore"):
    """An entry as the original wrote it; what else it held is dropped."""

    iid: str
    hyper_params: dict[str, JsonValue]


def adopt(connection: Connection, keys: Keys, submit: Submit, validate: Validate) -> list[str]:
    """Submit every entry that is a valid record, move the others to ``queue:rejected``.

    An entry leaves ``queue:foreign`` after its run exists, and a run that exists is not submitted twice: a
    kill in between costs nothing.
    """
    foreign = keys.of("foreign")
    adopted: list[str] = []
    for _ in range(_MAX_ENTRIES):
        entry: str | None = connection.call("LINDEX", foreign, -1)
        if entry is None:
            break
        try:
            adopted.append(_submit(entry, submit, validate))
            connection.call("LREM", foreign, -1, entry)
        except TooMany as error:
            log.info("entries of a waiting list are adopted later: %s", error)
            break
        except InvalidInput as error:
            connection.run("reject", [foreign, keys.of("rejected")], [entry])
            log.warning("entry of a waiting list rejected entry=%.200r reason=%s", entry, error)
    return adopted


def _submit(entry: str, submit: Submit, validate: Validate) -> str:
    try:
        record = ForeignRecord.model_validate(json.loads(entry))
    except (ValidationError, ValueError, RecursionError) as error:
        raise InvalidInput('it is neither a run id nor a JSON record {"iid", "hyper_params"}') from error
    return submit(_complete(record.hyper_params, validate), run_id=record.iid).run_id


def _complete(hyper_params: dict[str, JsonValue], validate: Validate) -> dict[str, JsonValue]:
    try:
        return validate(hyper_params)
    except InvalidInput:
        raise
    except Exception as error:
        # Around a trainer of somebody else: one entry must not end the housekeeping of every program.
        log.exception("hyper_params of a foreign entry could not be checked")
        raise InvalidInput(f"checking its hyper_params raised {type(error).__name__}: {error}") from error
