"""Errors a caller can act on: a stable code, a message that says what would be right, the field at fault."""

from collections.abc import Mapping
from typing import ClassVar


class CohortError(Exception):
    """The base of every error that may reach a client.

    ``code`` is stable and documented (docs/api.md); ``message`` is for people; ``field`` is the input's name; ``details``
    are for programs, beside the code.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    retry_after: int | None = None
    """Seconds after which the same call may be sent again (HTTP's Retry-After), where it says so."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.details: Mapping[str, object] = {}


class InvalidInput(CohortError):
    """An input that can never be right: blank, too long, of the wrong form."""

    code = "INVALID_INPUT"


class Absent(InvalidInput):
    """An input that must be there and was left out, or is blank."""


class TooExpensive(CohortError):
    """The request costs more than one may: refused before anything is read, or ended once it had really cost so much."""

    code = "TOO_EXPENSIVE"

    def __init__(self, message: str, *, cost: Mapping[str, int], most: Mapping[str, int]) -> None:
        super().__init__(message)
        self.details = {"cost": cost, "most": most}


class Unauthenticated(CohortError):
    """No bearer token, or one that does not hold."""

    code = "UNAUTHENTICATED"


class Forbidden(CohortError):
    """The viewer is known but may not do or see this."""

    code = "FORBIDDEN"


class NotFound(CohortError):
    """A named collection, content, context or learner that does not exist."""

    code = "NOT_FOUND"


class ContextClosed(CohortError):
    """The context is not open at the time of the call."""

    code = "CONTEXT_CLOSED"


class EnrolmentClosed(CohortError):
    """The context takes no enrolment at this time, or none of this kind."""

    code = "ENROLMENT_CLOSED"


class AlreadyEnrolled(CohortError):
    """The learner is enrolled and active."""

    code = "ALREADY_ENROLLED"


class NotEnrolled(CohortError):
    """The learner has no active enrolment to end."""

    code = "NOT_ENROLLED"


class AlreadyCompleted(CohortError):
    """The learner has completed the collection: only a service ends such an enrolment."""

    code = "ALREADY_COMPLETED"


class ViewNotStarted(CohortError):
    """An update or an end of a view that was never started."""

    code = "VIEW_NOT_STARTED"


class StatusGoesDown(CohortError):
    """A status lower than the stored one was asked for; status never goes down."""

    code = "STATUS_GOES_DOWN"


class LimitReached(CohortError):
    """A group has all the members or activities it may have, or a learner is in all the groups or has all the
    downloads they may."""

    code = "LIMIT_REACHED"


class DocumentTooLarge(CohortError):
    """A GraphQL document is larger than it may be; `extensions` name the limit, the most that is allowed and what was
    found. Never in a payload."""

    code = "DOCUMENT_TOO_LARGE"

    def __init__(self, message: str, *, limit: str, most: int, found: int) -> None:
        super().__init__(message)
        self.details = {"limit": limit, "most": most, "found": found}


class DocumentNotTrusted(CohortError):
    """This gateway answers the documents alone that its operators have loaded; this one is none of them. Never in a
    payload."""

    code = "DOCUMENT_NOT_TRUSTED"


class PersistedQueryNotFound(CohortError):
    """No document is known by this hash: send the document once, with the hash. Never in a payload."""

    # Clients of Apollo's protocol look for the code, or for this message.

    code = "PERSISTED_QUERY_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound")


class LastAdmin(CohortError):
    """The last admin of a group can't leave it or become a member like the others while there are others."""

    code = "LAST_ADMIN"


class GroupSuspended(CohortError):
    """A suspended group can be read, but only reactivated, left or deleted."""

    code = "GROUP_SUSPENDED"


class Erased(CohortError):
    """A call of the past, about what the learner has had deleted since: a late replay brings nothing back."""

    code = "ERASED"


class Conflict(CohortError):
    """Others kept changing the same row; the same call may be sent again."""

    code = "CONFLICT"


class StoreUnavailable(CohortError):
    """A store could not be reached or did not answer in time; the same call may be sent again."""

    # ``message`` may be read by anybody: no path, host or word of a driver is in it. Those are the ``detail``, which
    # goes to the log and the command line, as does the error as a text.

    code = "STORE_UNAVAILABLE"

    def __init__(self, message: str, *, field: str | None = None, detail: str | None = None) -> None:
        super().__init__(message, field=field)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.message}: {self.detail}" if self.detail else self.message


class NotInitialised(StoreUnavailable):
    """A store answers, and what Cohort needs in it was not created yet."""


class DeadlineExceeded(StoreUnavailable):
    """The request's time ran out before every store had answered."""

    code = "DEADLINE_EXCEEDED"


class Busy(StoreUnavailable):
    """The groups store runs as many queries of this kind as it may; the same call may be sent again."""

    code = "GROUPS_BUSY"


class Overloaded(CohortError):
    """The process has as many requests as it can work on, or works for other callers first; the same call may be sent
    again."""

    code = "OVERLOADED"
    retry_after = 1


def loggable(error: BaseException) -> str:
    """What a log may tell of an error: its text if that is about a store, else its kind, as other texts name learners."""
    if isinstance(error, StoreUnavailable):
        return str(error)
    return error.code if isinstance(error, CohortError) else type(error).__name__
