"""Answers that a client need not be sent twice: ETag, Cache-Control and 304 (RFC 9110, 13.1.2; RFC 9111)."""

import re
from hashlib import blake2b
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def conditional(request: Request, response: Response, *, tag_of: bytes, max_age: int) -> Response:
    """The response with the tag of ``tag_of``, or 304 without a body where the client has that already.

    ``tag_of`` is what the client cares for: the body, or the part of it that does not change with every call (an
    envelope has a time and an id of its own); the tag is strong in the first case and weak in the second. ``max_age``:
    seconds that the client may use it without asking; 0 if it has to ask each time. For a 200 of a call that reads:
    whether its method is GET or the POST that the platform reads groups with is the route's to know.
    """
    tag = f'"{blake2b(tag_of, digest_size=16).hexdigest()}"'
    response.headers["ETag"] = tag if tag_of == response.body else f"W/{tag}"
    response.headers["Cache-Control"] = f"private, max-age={max_age}" if max_age else "private, no-cache"
    response.headers.add_vary_header("Authorization")
    if not _has(request, tag):
        return response
    kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=kept)


def _has(request: Request, tag: str) -> bool:
    """By the weak comparison, which ignores whether a tag is weak."""
    asked = ", ".join(request.headers.getlist("If-None-Match"))
    return asked.strip() == "*" or tag in _TAG.findall(asked)
