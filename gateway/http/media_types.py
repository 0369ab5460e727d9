"""Media types as they are compared: without their parameters and in small letters (RFC 9110, 8.3.1 and 12.5.1)."""

from collections.abc import Sequence
from email.message import Message
from functools import lru_cache

JSON = "application/json"
LONGEST = 1_000
"""Characters of a header that are looked at: clients send some hundreds at most, and each range takes its time."""


def is_json(content_type: str | None) -> bool:
    """Whether a body of this Content-Type is JSON, in UTF-8: there is no other JSON between systems (RFC 8259, 8.1)."""
    return content_type is not None and len(content_type) <= LONGEST and _is_json(content_type)


@lru_cache(256)
def _is_json(content_type: str) -> bool:
    """Nearly all requests say one of a few."""
    told = Message()
    told["Content-Type"] = content_type
    charset = told.get_content_charset("utf-8")
    return told.get_content_type() == JSON and charset in ("utf-8", "utf8")


def preferred(accept: str, offers: Sequence[str]) -> str | None:
    """Returns the offer that the value of an Accept header likes best; None if it takes none of them.

    Of offers that it likes alike, the one that it names first wins, and then the first offer. A blank header likes all. What stands behind LONGEST characters is not looked at.
    """
    return _preferred(
        accept if len(accept) <= LONGEST else accept[:LONGEST].rpartition(",")[0], tuple(offers)
    )


@lru_cache(256)
def _preferred(whole: str, offers: tuple[str, ...]) -> str | None:
    ranges = [_range(part) for part in whole.split(",") if part.strip()] or [("*/*", 1.0)]
    best, liked = None, (0.0, 0)
    for offer in offers:
        named = {name: (quality, -place) for place, (name, quality) in reversed([*enumerate(ranges)])}
        pattern = next((name for name in (offer, f"{offer.split('/')[0]}/*", "*/*") if name in named), None)
        if pattern is not None and named[pattern][0] > 0 and (best is None or named[pattern] > liked):
            best, liked = offer, named[pattern]
    return best


def _range(part: str) -> tuple[str, float]:
    """A range of media types, and how much it is liked: from 0, not at all, to 1. What is no number counts as 0."""
    name, *parameters = (piece.strip() for piece in part.split(";"))
    told = dict(parameter.partition("=")[::2] for parameter in parameters)
    try:
        quality = float(told.get("q", 1))
    except ValueError:
        quality = 0.0
    return name.lower(), quality if 0 <= quality <= 1 else 0.0
