"""Conditional requests: ETag, Cache-Control and 304 (RFC 9110, 13.1.2; RFC 9111)."""

import re
from hashlib import blake2b
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

LONGEST = 4_096
"""Characters of If-None-Match that are looked at: some hundred tags."""
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def conditional(request: Request, response: Response, *, tag_of: bytes, max_age: int) -> Response:
    """The response with the tag of ``tag_of``, or 304 without a body if the client has that tag already.

    ``tag_of`` is the body, or the part of it that does not change with every call: an envelope has a time and an id of
    its own. The tag is weak, as an answer may be compressed on its way. ``max_age`` is in seconds: so long the client may
    use the answer without asking; 0 means that it must ask each time. The response must be a 200 of a call that reads.
    The method may be POST, because the platform reads groups with it.
    """
    tag = _tag(tag_of)
    response.headers["ETag"] = f"W/{tag}"
    response.headers["Cache-Control"] = f"private, max-age={max_age}" if max_age else "private, no-cache"
    response.headers.add_vary_header("Authorization")
    if not _has(request, tag):
        return response
    kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=kept)


def has_already(request: Request, tag_of: bytes) -> bool:
    """Whether ``conditional`` is going to answer 304: then nobody needs to make the body."""
    return _has(request, _tag(tag_of))


def _tag(tag_of: bytes) -> str:
    return f'"{blake2b(tag_of, digest_size=16).hexdigest()}"'


def _has(request: Request, tag: str) -> bool:
    """Whether the client has this tag. The weak comparison is used, which ignores whether a tag is weak."""
    asked = ", ".join(request.headers.getlist("If-None-Match"))[:LONGEST]
    return asked.strip() == "*" or tag in _TAG.findall(asked)
