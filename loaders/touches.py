"""The learner's hash in the cache: the short form of each of their views under one (user, collection, context).

A hash is trusted only while it is whole and no call is under way:

- a reader that went to the rows fills it and sets the field ``whole``; commands add their view to it in any case.
  Every value grows with the view (status, progress, times), and the larger one stays, so neither order does harm.
- a command announces itself by a field ``!<call>`` before it touches the row, and takes it back with the view once its
  trigger is sent. Until then readers go to the rows; for a call that died in between they also send the trigger.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from rules.identifiers import ProgressKey
from rules.moments import milliseconds, moment
from rules.progress import status_of
from rules.standings import Touch
from rules.views import View
from stores.cache import Cache
from stores.turns import portions

TTL = 900.0
"""Seconds a hash lives after its last change."""
DEAD_AFTER = timedelta(seconds=30)
"""A call that is older than this has died; its mark may be taken away by whoever healed it."""

_WHOLE = "whole"
_MARK = "!"
_CONTENT = "c:"


def hash_key(key: ProgressKey) -> str:
    """Ids hold no control characters, so no two keys have one name."""
    return f"views:{key.user_id}\n{key.collection_id}\n{key.context_id}"


async def announce(cache: Cache, key: ProgressKey, call: str, now: datetime) -> None:
    """Announces a call, before it touches the row."""
    await cache.raise_fields(hash_key(key), {_MARK + call: _encode_time(now)}, TTL)


def settle(cache: Cache, key: ProgressKey, views: Iterable[View], call: str) -> "asyncio.Future[None]":
    """Puts views of one key in and takes the mark away, at once, after the rows were written and the trigger sent. It happens soon:
    the rows are right meanwhile. Returns what is done then."""
    fields = {
        _CONTENT + view.key.content_id: _encode(
            Touch(view.status, view.progress, view.last_accessed_on, view.completed_on)
        )
        for view in views
    }
    return cache.raise_soon(hash_key(key), fields, TTL, drop=[_MARK + call])


async def forget(cache: Cache, keys: Sequence[ProgressKey]) -> None:
    """Deletes the hashes of rows that are gone: what they say would be raised again with the next views."""
    await cache.delete(*map(hash_key, keys))


async def withdraw(cache: Cache, key: ProgressKey, *calls: str) -> None:
    """Takes the marks of calls away, after a refusal, which changed nothing, or once a dead call was healed."""
    await cache.raise_fields(hash_key(key), {}, TTL, drop=[_MARK + call for call in calls])


async def distrust(cache: Cache, keys: Sequence[ProgressKey]) -> None:
    """Makes the next readers fill these hashes anew: a process that could not reach the cache may have left them
    without a view."""
    await cache.drop_field(_WHOLE, [hash_key(key) for key in keys])


async def fill(cache: Cache, key: ProgressKey, touches: Mapping[str, Touch]) -> None:
    """Fills the hash with every view that the rows have."""
    fields: dict[str, bytes] = {}
    async for portion in portions([*touches.items()]):
        fields |= {_CONTENT + content: _encode(touch) for content, touch in portion}
    await cache.raise_fields(hash_key(key), {**fields, _WHOLE: b"1"}, TTL)


async def trusted(fields: Mapping[str, bytes]) -> dict[str, Touch] | None:
    """The touches by content; None if the hash cannot be trusted."""
    if _WHOLE not in fields or any(name.startswith(_MARK) for name in fields):
        return None
    touches: dict[str, Touch] = {}
    async for portion in portions([*fields.items()]):
        touches |= {
            name.removeprefix(_CONTENT): _decode(value)
            for name, value in portion
            if name.startswith(_CONTENT)
        }
    return touches


def dead_calls(fields: Mapping[str, bytes], now: datetime) -> Iterable[str]:
    """Calls that announced themselves so long ago that they must have died."""
    for name, value in fields.items():
        if name.startswith(_MARK):
            announced = _decode_time(value)
            if announced is None or now - announced > DEAD_AFTER:
                yield name.removeprefix(_MARK)


def _encode(touch: Touch) -> bytes:
    """Fixed widths, so that bytes compare as the view grows: status, progress, completed, last accessed."""
    head = f"{touch.status}{touch.progress:03d}".encode()
    return head + _encode_time(touch.completed_on) + _encode_time(touch.last_accessed_on)


def _decode(value: bytes) -> Touch:
    return Touch(
        status=status_of(int(value[:1])),
        progress=int(value[1:4]),
        completed_on=_decode_time(value[4:19]),
        last_accessed_on=_decode_time(value[19:34]),
    )


def _encode_time(at: datetime | None) -> bytes:
    return f"{0 if at is None else milliseconds(at):015d}".encode()


def _decode_time(value: bytes) -> datetime | None:
    stored = int(value)
    return moment(stored) if stored else None
