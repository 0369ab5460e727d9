"""Calls for another user: the header that says for whom (P-2.1, R-IDENTITY-3)."""

import re

FOR_HEADER = "X-Authenticated-For"
"""The user that a call is for, where that is not the caller: an id, or the token of a managed user."""
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


def managed_token(value: str | None) -> str | None:
    """Returns the header's value where it is a token; None for an id, or nothing. A token begins with an object in
    base64, which no id of the platform does."""
    token = (value or "").strip()
    return token if token.startswith("eyJ") and _JWT.fullmatch(token) else None
