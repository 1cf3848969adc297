"""The error tree. ``str(error)`` is a sentence for the user that says what to do.

WattleError
├── InvalidInput            422  a value the user sent; ``details`` names each field
├── NotFound                404  a run, trainer or file that does not exist
├── Conflict                409  the request contradicts what is stored
│   └── LeaseLost           409  a worker's write came after another attempt began
├── TooLarge                413  more than a setting allows; the sentence names it
├── StoreUnavailable        503  Redis cannot be reached, or refuses commands
├── StoreTooNew             503  a newer version of Wattle wrote the store; this one is to be upgraded
├── StoreFull               503  Redis has room for runs alone, not for step metrics
├── ArchiveUnavailable      503  the archive of old runs cannot be reached
├── LiveUnavailable         503  no more live connections are taken here, or none at all
├── PlaceUnavailable        503  a place for files cannot take or give one now
├── DatasetUnavailable      422  files that are neither on disk nor downloadable
│   └── DownloadInterrupted 503  the network or the other side failed; it may go well the next time
├── CheckpointInvalid       500  a checkpoint is torn, or not one of ours
├── TrainingFailed          500  the training itself went wrong, and would again (a NaN loss)
│   └── TrainerDied         500  a process of the training died; it may go well the next time
└── ApiError                     what the HTTP client met
    ├── ApiUnavailable      503  no answer at all
    └── ApiRefused               an answer that says no; carries the API's own status
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar, NamedTuple


class FieldError(NamedTuple):
    """One reason why one field of an input is not valid; ``field`` is a dotted path."""

    field: str
    message: str


class WattleError(Exception):
    """Any failure Wattle explains to its user."""

    http_status: ClassVar[int] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, details: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)


class InvalidInput(WattleError):
    """A value the user sent is not valid; ``details`` names each field and the remedy."""

    http_status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid_input"


class TokenNeeded(WattleError):
    """Who asks has shown no API token, or none that is valid; the message says how to make one."""

    http_status = HTTPStatus.UNAUTHORIZED
    code = "token_needed"


class NotAllowed(WattleError):
    """The token that was shown does not reach so far; the message names what it lacks."""

    http_status = HTTPStatus.FORBIDDEN
    code = "not_allowed"


class TooMany(WattleError):
    """A limit is used up; the message names it, and when to come again."""

    http_status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotFound(WattleError):
    """What was asked for by name does not exist."""

    http_status = HTTPStatus.NOT_FOUND
    code = "not_found"


class Conflict(WattleError):
    """The request contradicts what is stored."""

    http_status = HTTPStatus.CONFLICT
    code = "conflict"


class LeaseLost(Conflict):
    """A worker wrote to a run that it no longer holds; the write was refused as a whole."""

    code = "lease_lost"


class TooLarge(WattleError):
    """What was sent is larger than a setting allows, alone or with what is there already."""

    http_status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "body_too_large"


class StoreUnavailable(WattleError):
    """Redis cannot be reached, or cannot take commands now."""

    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "store_unavailable"


class StoreTooNew(WattleError):
    """The store has a layout that this version does not know; the message names both and the remedy."""

    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "store_too_new"


class StoreFull(WattleError):
    """Redis is so full that what is left is for runs; the message says what to do."""

    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "store_full"


class ArchiveUnavailable(WattleError):
    """The database or the files of archived runs cannot be reached; runs in Redis are not concerned."""

    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "archive_unavailable"


class LiveUnavailable(WattleError):
    """A live connection cannot be held here now; everything else can be asked for."""

    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "live_unavailable"


class PlaceUnavailable(WattleError):
    """The place for files is full, away, or busy; the message says what it said."""

    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "place_unavailable"


class DatasetUnavailable(WattleError):
    """A dataset is neither on disk nor downloadable; the message says which files go where."""

    http_status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "dataset_unavailable"


class DownloadInterrupted(DatasetUnavailable):
    """A dataset is not on disk, and its download met a network or a server that may work again soon."""

    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "download_interrupted"


class CheckpointInvalid(WattleError):
    """A checkpoint is torn, was changed, or belongs to another run or version; the message says which."""

    code = "checkpoint_invalid"


class TrainingFailed(WattleError):
    """The training went wrong in a way that the message explains."""

    code = "training_failed"


class TrainerDied(TrainingFailed):
    """A process of the training died, or failed as foreign code may; tried again, it may go well."""

    code = "trainer_died"


class ApiError(WattleError):
    """The HTTP client could not do what it was asked."""


class ApiUnavailable(ApiError):
    """The API gave no usable answer: not started, still starting, or unreachable."""

    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "api_unavailable"


class ApiRefused(ApiError):
    """The API answered with an error; status, code and details are the API's own."""

    def __init__(
        self, message: str, *, status: int, error_code: str, details: Sequence[FieldError] = ()
    ) -> None:
        super().__init__(message, details=details)
        self.status = status
        self.error_code = error_code
