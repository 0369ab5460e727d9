"""Opaque texts for clients: global ids and cursors. A JSON list, base64url, without padding."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

import orjson

from resolvers.nouns import InvalidInput


def encode(*parts: str) -> str:
    return urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()


def decode(text: str, field: str) -> Sequence[str]:
    """InvalidInput that names ``field`` where the text is none of ours."""
    try:
        parts = orjson.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except ValueError:  # not ASCII, not base64, not JSON: all of them are ValueErrors
        parts = None
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise InvalidInput(f"{field} must be one that this API gave out", field=field)
    return parts


def decode_cursor(text: str | None, length: int, field: str = "after") -> tuple[str, ...] | None:
    """The place in a list after which a page begins, or before which it ends. InvalidInput that names ``field``."""
    if text is None:
        return None
    parts = decode(text, field)
    if len(parts) != length:
        raise InvalidInput(f"{field} must be a cursor of this list", field=field)
    return tuple(parts)
