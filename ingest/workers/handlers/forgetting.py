"""An erasure, of a learner or of one place, has come to its end. This deletes what is left.

What is left are records in the log, and whatever the rows' files keep of deleted rows. The last trigger of an erasure
asks for it: by then the workers have taken away all that they wrote.
"""

from collections.abc import Mapping, Sequence

import orjson

from ingest.workers.work import Handler, Work
from ingest.writes.triggers import learner_erased
from loaders.session import Shared
from rules.triggers import Trigger, TriggerKind
from stores.events import Record, RecordFilter
from stores.topics import ACTIVE_DAYS, ASSESSMENTS, DEAD_LETTERS, LEARNER_CHANGES, PROFILES, STATES, TRIGGERS


def _ask(work: Work, trigger: Trigger, record: Record) -> None:
    work.forgotten.append(trigger)


async def _finish(shared: Shared, work: Work) -> None:
    """Takes erased learners out of the learner index, makes the log forget its records and the rows' files forget what was
    deleted. May be repeated.

    The log forgets a record once every group has done with it. Servers do both in their own time (docs/operations.md).
    """
    gone = [trigger.user_id for trigger in work.forgotten if trigger.progress_key is None]
    if gone:
        # Before the log is told to forget: then it forgets these records too, once an indexer has done with them.
        await shared.stores.events.send(LEARNER_CHANGES.name, *map(learner_erased, gone))
    for trigger in work.forgotten:
        for topic, subjects in subjects_of(trigger).items():
            await shared.stores.events.forget(topic, *subjects)
    if work.forgotten:
        await shared.stores.rows.scrub()


def subjects_of(erased: Trigger) -> Mapping[str, Sequence[RecordFilter]]:
    """Returns, by topic, the filters for its records about the learner, or about the learner in the place."""
    user = erased.user_id
    if erased.collection_id is None or erased.context_id is None:
        return {
            TRIGGERS.name: [RecordFilter(user)],
            PROFILES.name: [RecordFilter(user)],
            LEARNER_CHANGES.name: [RecordFilter(user)],
            ASSESSMENTS.name: [RecordFilter(user), RecordFilter(holding=[_text(user)])],
            STATES.name: [RecordFilter(user, [_pair("user_id", user)])],
            ACTIVE_DAYS.name: [RecordFilter(user, [_pair("user_id", user)])],
            DEAD_LETTERS.name: [RecordFilter(user), RecordFilter(holding=[_text(user)])],
        }
    collection, context = erased.collection_id, erased.context_id
    place = [_pair("collectionId", collection), _pair("contextId", context)]
    state = [_pair("user_id", user), _pair("collection_id", collection), f":{_text(context)[1:]}"]
    return {
        TRIGGERS.name: [RecordFilter(user, place)],
        ASSESSMENTS.name: [
            RecordFilter(user, [_text(collection), _text(context)]),
            RecordFilter(holding=[_text(user), _text(collection), _text(context)]),
        ],
        STATES.name: [RecordFilter(user, state)],
        ACTIVE_DAYS.name: [RecordFilter(user, state)],
        DEAD_LETTERS.name: [RecordFilter(user, [_text(collection), _text(context)])],
    }


def _text(value: str) -> str:
    return orjson.dumps(value).decode()


def _pair(name: str, value: str) -> str:
    return f"{_text(name)}:{_text(value)}"


HANDLER = Handler(TriggerKind.FORGET, _ask, finish=_finish)
