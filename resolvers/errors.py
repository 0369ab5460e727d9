"""Errors as clients read them, through GraphQL and REST alike."""

import logging

from rules.errors import CohortError, StoreUnavailable

log = logging.getLogger(__name__)


def client_message(error: CohortError) -> str:
    """The message that a client may read. What is only for operators goes to the log, here and nowhere else."""
    if isinstance(error, StoreUnavailable) and error.detail is not None:
        log.warning("answered with %s: %s", error.code, error)
    return error.message
