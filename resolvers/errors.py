"""Errors as clients read them, through GraphQL and REST alike."""

import logging

from rules.errors import CohortError, StoreUnavailable

log = logging.getLogger(__name__)


def client_message(error: CohortError) -> str:
    """The message that a client may read. What is only for operators goes to the log, here and nowhere else."""
    if isinstance(error, StoreUnavailable) and error.detail is not None:
        log.warning("answered with %s: %s", error.code, error)
    return error.message


def forget_traces(error: BaseException) -> None:
    """Takes the traces off an error that has been told, and off those that it came from. They hold what ran, which holds the
    errors: all that a request has read would stay until the garbage collector finds it."""
    ahead: list[BaseException | None] = [error]
    while ahead:
        one = ahead.pop()
        if one is None:
            continue
        ahead.append(getattr(one, "original_error", None))  # of GraphQL's errors
        if one.__traceback__ is not None:
            one.__traceback__ = None
            ahead += one.__cause__, one.__context__
