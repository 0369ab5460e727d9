"""Whose a call is, by its headers: those of the caller, and the one that says for whom it is (P-2.1, R-IDENTITY-3)."""

import re

from starlette.requests import HTTPConnection

from gateway.http.heads import texts_in
from rules.errors import InvalidInput

FOR_HEADER = "X-Authenticated-For"
"""The user that a call is for, where that is not the caller: an id, or the token of a managed user."""
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


def only(request: HTTPConnection, name: str) -> str | None:
    """The value of a header that says who is asking; None without it. InvalidInput where it stands twice: a proxy in front may
    have looked at the other one."""
    values = texts_in(request.scope, name.lower().encode())
    if len(values) > 1:
        raise InvalidInput(f"{name} must be sent once", field=name)
    return values[0] if values else None


def managed_token(value: str | None) -> str | None:
    """Returns the header's value where it is a token; None for an id, or nothing. A token begins with an object in
    base64, which no id of the platform does."""
    token = (value or "").strip()
    return token if token.startswith("eyJ") and _JWT.fullmatch(token) else None
