"""Events that could not be processed. They are kept with the reason, listed, and replayed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from stores.engines import Stores
from stores.events import Message, Record
from stores.topics import DEAD_LETTERS

LONGEST_REASON = 500
LARGEST_VALUE = 900_000
"""In bytes. Kafka takes a record of 1 MB."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """``place`` names the event: its topic, partition and offset. ``died_at`` is when it was put away."""

    place: str
    topic: str
    key: str
    value: bytes
    reason: str
    died_at: datetime


def dead_letter(record: Record, reason: str) -> Message:
    """Returns the message that keeps this record.

    If the record is larger than the log takes beside its headers, the value is cut and the reason says so.
    """
    if len(record.value) > LARGEST_VALUE:
        reason = f"{reason[:LONGEST_REASON]} (cut from {len(record.value)} bytes)"
    headers = {"place": place_of(record), "topic": record.topic, "reason": reason[: LONGEST_REASON + 50]}
    return Message(record.key[:LONGEST_REASON], record.value[:LARGEST_VALUE], headers)


async def pending(stores: Stores) -> AsyncIterator[DeadLetter]:
    """Gives the dead letters not replayed since they died, the oldest first. One that died twice comes once."""
    letters: dict[str, DeadLetter] = {}
    async for record in stores.events.read(DEAD_LETTERS.name):
        place = record.headers["place"]
        if "replayed" in record.headers:
            letters.pop(place, None)
            continue
        died_at = datetime.fromtimestamp(record.appended_at / 1000, UTC)
        letters[place] = DeadLetter(
            place, record.headers["topic"], record.key, record.value, record.headers["reason"], died_at
        )
    for letter in letters.values():
        yield letter


async def replay(stores: Stores, place: str | None = None) -> int:
    """Sends the dead letters, or the one at ``place``, to the topic that they came from. Returns how many.

    If one still can't be processed, it comes back as a new dead letter.
    """
    count = 0
    async for letter in pending(stores):
        if place in (None, letter.place):
            await stores.events.send(letter.topic, Message(letter.key, letter.value))
            mark = Message(letter.key, b"", {"place": letter.place, "replayed": "1"})
            await stores.events.send(DEAD_LETTERS.name, mark)
            count += 1
    return count


def place_of(record: Record) -> str:
    """What names an event: its topic, partition and offset."""
    return f"{record.topic}:{record.partition}:{record.offset}"
