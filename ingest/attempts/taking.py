"""The way of one batch of submissions: check, place, leave out what was erased, write, send triggers."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ingest.attempts.erased import without_erased
from ingest.attempts.places import PlacedAttempt, Received, placed
from ingest.attempts.versions import write_newest
from ingest.workers.batch import send_dead_letters
from ingest.workers.dead_letters import dead_letter
from ingest.writes.triggers import trigger_of
from loaders.session import Shared
from rules.assessments import AttemptRules, parse_submission
from rules.errors import InvalidInput
from rules.identifiers import ProgressKey
from rules.triggers import TriggerKind
from stores.events import Message, Record
from stores.topics import TRIGGERS

log = logging.getLogger(__name__)

ALL = AttemptRules()


@dataclass(slots=True)
class Taking:
    """What became of the submissions of a batch.

    - ``written``: attempts that were new, or a newer version of a stored one.
    - ``erased``: submissions from before an erasure, which were ignored.
    - ``dead``: records that can't be taken.
    """

    written: int = 0
    erased: int = 0
    dead: list[Message] = field(default_factory=list)


async def take(shared: Shared, records: Sequence[Record], rules: AttemptRules = ALL) -> Taking:
    """Takes the submissions in these records, and returns what became of them. If it raises, it may be done again.

    The trigger goes out for each submission that is taken, whether it changed a row or not: whoever sent the same before
    may have died before the trigger.
    """
    taking = Taking()
    received = _read(records, taking)
    found, refused = await placed(shared, received, rules)
    taking.dead += [dead_letter(record, f"{InvalidInput.code}: {reason}") for record, reason in refused]
    kept = await without_erased(shared, found)
    answered = [one for one in kept if one.received.submission.events]
    if answered:
        taking.written = await write_newest(shared, answered)
        kept = await without_erased(shared, kept)
    taking.erased = len(found) - len(kept)
    if taking.erased:
        log.info("%d attempts are from before an erasure, and were ignored", taking.erased)
    await send_dead_letters(shared, taking.dead)
    await _send_triggers(shared, kept)
    return taking


def _read(records: Sequence[Record], taking: Taking) -> list[Received]:
    """Returns the submissions. Records that are none are added to the dead ones."""
    received = []
    for record in records:
        try:
            received.append(Received(record, parse_submission(record.value)))
        except InvalidInput as error:
            taking.dead.append(dead_letter(record, f"{error.code}: {error.message}"))
    return received


async def _send_triggers(shared: Shared, kept: Sequence[PlacedAttempt]) -> None:
    """Sends one trigger for each assessment and the place where its attempts are kept."""
    assessments: dict[tuple[ProgressKey, str], list[datetime]] = {}
    for one in kept:
        assessments.setdefault((one.key.progress_key, one.key.content_id), []).append(one.attempted_on)
    messages = [
        trigger_of(TriggerKind.ATTEMPT, place, content, at=shared.day_zone.one_a_day(moments))
        for (place, content), moments in assessments.items()
    ]
    if messages:
        await shared.stores.events.send(TRIGGERS.name, *messages)
