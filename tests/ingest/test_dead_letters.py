"""What can't be processed is kept with its reason, and replayed once the cause is mended."""

import orjson

from ingest.workers.dead_letters import DeadLetter, pending, replay
from ingest.writes.triggers import trigger_of
from loaders.aggregates import aggregates_by_key
from rules.identifiers import ProgressKey
from rules.triggers import TriggerKind
from stores.events import Message
from stores.rows import Write
from stores.tables import ENROLMENTS, VIEWS
from stores.topics import PROFILES, TRIGGERS
from tests.aggregates import figures_key
from tests.conftest import COURSE, NOW, Instance


async def letters(cohort: Instance) -> dict[str, DeadLetter]:
    """By their value."""
    return {letter.value.decode(): letter async for letter in pending(cohort.stores)}


async def test_dead_letters_from_first_to_last(cohort: Instance) -> None:
    await cohort.publish()
    await cohort.batch()
    await cohort.publish(
        {"identifier": "gone", "name": "Gone", "children": [{"identifier": "x", "name": "X"}]}
    )
    no_collection = trigger_of(TriggerKind.VIEW, ProgressKey("ada", "missing", "missing"))
    no_context = trigger_of(TriggerKind.ENROLMENT, ProgressKey("bob", "course", "missing"))
    malformed = Message("ada", b'{"kind": "view"}')
    no_profile = Message("cleo", orjson.dumps({"userId": "cleo", "updatedOn": "soon"}))
    good = Message("dan", orjson.dumps({"userId": "dan", "updatedOn": NOW.isoformat(), "name": "Dan"}))
    # A view of a collection that comes to be known only later.
    row = ("ada", "missing", "missing", "missing", "a")
    await cohort.stores.rows.write(Write(VIEWS, row, {"status": 2, "last_completed_time": NOW}))
    await cohort.stores.events.send(TRIGGERS.name, no_collection, malformed, no_context)
    await cohort.stores.events.send(PROFILES.name, no_profile, good)
    worker = await cohort.drain()
    assert (worker.processed, worker.dead) == (5, 4)

    found = await letters(cohort)
    reasons = {value: (letter.topic, letter.key, letter.reason) for value, letter in found.items()}
    assert reasons == {
        no_collection.value.decode(): (TRIGGERS.name, "ada", "NOT_FOUND: there is no collection missing"),
        no_context.value.decode(): (TRIGGERS.name, "bob", "NOT_FOUND: there is no context missing"),
        malformed.value.decode(): (TRIGGERS.name, "ada", "INVALID_INPUT: userId must be a text"),
        no_profile.value.decode(): (
            PROFILES.name,
            "cleo",
            "INVALID_INPUT: updatedOn must be a moment such as 2026-01-31T12:00:00Z",
        ),
    }
    assert len({letter.place for letter in found.values()}) == 4
    assert {letter.place.split(":")[0] for letter in found.values()} == {TRIGGERS.name, PROFILES.name}

    # One at a time: nothing is mended, so it dies again, with the same reason and a place of its own.
    first = found[malformed.value.decode()]
    assert await replay(cohort.stores, first.place) == 1
    assert len(await letters(cohort)) == 3
    assert await replay(cohort.stores, first.place) == 0
    await cohort.drain()
    again = (await letters(cohort))[malformed.value.decode()]
    assert again.reason == first.reason
    assert again.place != first.place
    assert await replay(cohort.stores, "triggers:0:999999") == 0

    # The collection is published: of all four, that one is done, and replaying it twice does no harm.
    await cohort.publish({**COURSE, "identifier": "missing"})
    for _ in range(2):
        await cohort.stores.events.send(TRIGGERS.name, no_collection)
        assert await replay(cohort.stores) in (4, 3)
        assert await letters(cohort) == {}
        await cohort.drain()
        assert set(await letters(cohort)) == set(found) - {no_collection.value.decode()}
    aggregates = await aggregates_by_key(cohort.stores.rows, [figures_key("missing", "ada", "co:missing")])
    assert [a and (a.completed_count, a.required_count) for a in aggregates] == [(1, 3)]
    assert await cohort.stores.rows.partition(ENROLMENTS, ("ada",)) == []


async def test_a_long_reason_is_cut(embedded: Instance) -> None:
    trigger = {"kind": "view", "userId": "u", "collectionId": "c" * 256, "contextId": "c" * 256}
    await embedded.stores.events.send(
        TRIGGERS.name, Message("u", orjson.dumps({**trigger, "userId": "x" * 9999}))
    )
    await embedded.stores.events.send(TRIGGERS.name, Message("u", orjson.dumps(trigger)))
    await embedded.drain()
    reasons = sorted(letter.reason for letter in (await letters(embedded)).values())
    assert reasons[0] == "INVALID_INPUT: userId must have at most 256 characters"
    assert reasons[1] == f"NOT_FOUND: there is no collection {'c' * 256}"
