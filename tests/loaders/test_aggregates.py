"""Rows of the workers, read by whole partitions."""

from typing import Any

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from loaders import standings
from loaders.aggregates import (
    aggregate_place,
    aggregates_by_key,
    aggregates_by_place,
    aggregates_to_compare,
)
from rules.aggregates import COLLECTION_TYPE, UNIT_TYPE, AggregateKey
from rules.identifiers import ProgressKey
from rules.progress import Status
from rules.viewers import Role
from rules.views import ViewChange
from stores.rows import Write
from stores.tables import AGGREGATES
from tests.aggregates import figures_key
from tests.conftest import NOW, Instance


async def finish(cohort: Instance, user: str, content: str, context: str) -> None:
    call = ViewCall(content, "course", context)
    await start_view(cohort.session(user), call)
    await end_view(cohort.session(user), call, ViewChange(NOW, time_spent=7))


@pytest.mark.parametrize(("learners", "reads"), [(100, [6]), (2, [2, 2, 2]), (0.5, [1] * 6)])
async def test_no_read_brings_more_statuses_than_are_decoded_in_a_moment(
    course: Instance, monkeypatch: pytest.MonkeyPatch, learners: float, reads: list[int]
) -> None:
    """Where that is all leaves in both batches of so many ``learners``. The batches of a learner are one partition, read once."""
    await course.batch("other")
    users = [f"user-{number}" for number in range(6)]
    await course.stores.rows.write(
        *(
            Write(
                AGGREGATES,
                (COLLECTION_TYPE, "course", user, context, "course"),
                {"version": 7, "seen_version": 1, "status": 1, "content_status": {"a": 2, "b": number}},
            )
            for number, user in enumerate(users)
            for context in ("cb:batch", "cb:other")
        )
    )
    _, tree = (await course.shared.library.published(["course"]))["course"]
    assert tree is not None
    session, asked = course.session("admin", Role.ADMIN), list[int]()
    monkeypatch.setattr(standings, "STATUSES_AT_ONCE", learners * 2 * len(tree.leaf_nodes))
    read = aggregates_by_key

    async def counted(rows: Any, keys: Any, columns: Any) -> Any:
        asked.append(len({key.user_id for key in keys}))
        return await read(rows, keys, columns)

    monkeypatch.setattr(standings, "aggregates_by_key", counted)
    keys = [ProgressKey(user, "course", context) for context in ("batch", "other") for user in users]
    found = await session.loaders.figures_of_page(keys, statuses=True)
    assert asked == reads
    assert [one and one.statuses for one in found] == [{"a": 2, "b": number} for number in range(6)] * 2


async def test_a_learners_rows_of_all_contexts_with_all_that_a_state_says(course: Instance) -> None:
    """Ada completed a in the batch that she is enrolled in, a and b in another: of the required a, b, c."""
    await course.batch("other")
    await enrol(course.session("ada"), EnrolmentCall("course", "batch"))
    for content, context in (("a", "batch"), ("a", "other"), ("b", "other")):
        await finish(course, "ada", content, context)
    await course.drain()
    of_ada, of_bob = ((COLLECTION_TYPE, "course", user) for user in ("ada", "bob"))
    asked = [of_ada, (UNIT_TYPE, "unit-2", "ada"), of_bob, of_ada]
    found = await aggregates_by_place(course.stores.rows, asked)
    assert found.keys() == set(asked)
    assert found[of_bob] == []
    assert [
        (
            a.key.context_id,
            a.completed_count,
            a.required_count,
            a.status,
            a.time_spent,
            a.active,
            a.enrolled_on,
        )
        for a in found[of_ada]
    ] == [
        ("cb:batch", 1, 3, Status.IN_PROGRESS, 7, True, NOW),
        ("cb:other", 2, 3, Status.IN_PROGRESS, 14, False, None),
    ]
    (unit,) = found[UNIT_TYPE, "unit-2", "ada"]
    assert unit.key == ("unit-2", "course", "cb:other", "ada")
    assert (unit.completed_count, unit.required_count) == (1, 2)


async def compared(cohort: Instance, keys: list[AggregateKey]) -> tuple[list[bool], int]:
    """Whether each row shows what is stored of it and nothing else, and how many statements it took to know."""
    rows = cohort.stores.rows
    whole = await aggregates_by_key(rows, keys)
    with rows.meter.measure() as counts:
        found = await aggregates_to_compare(rows, keys)
    told = []
    for stored, one in zip(whole, found, strict=True):
        assert stored is not None
        assert one is not None
        statuses = dict(sorted(stored.content_status.items()))
        others: tuple[dict[str, int], ...] = ({}, {**statuses, "z": 1}, dict.fromkeys(statuses, 1))
        told.append(one.shows(statuses) and not any(one.shows(other) for other in others))
    return told, counts.total()


async def test_statuses_are_compared_unread_unless_a_program_of_before_schema_10_wrote_the_row(
    course: Instance,
) -> None:
    for content in ("a", "b"):
        await finish(course, "ada", content, "batch")
    await course.drain()
    keys = [figures_key(activity, "ada") for activity in ("course", "unit-1", "unit-2")]
    rows = course.stores.rows
    assert await compared(course, keys) == ([True] * 3, 2)
    assert [one and one.content_status for one in await aggregates_to_compare(rows, keys)] == [{}] * 3
    # The collection's row as an older program left it, and a unit's that such a program wrote after a newer one.
    stored = await aggregates_by_key(rows, keys[:2])
    assert stored[0]
    assert stored[1]
    later = stored[1].version + 1
    await rows.write(
        Write(
            AGGREGATES, aggregate_place(keys[0]), {"status_digest": None}, stored[0].version + 1, insert=False
        ),
        Write(AGGREGATES, aggregate_place(keys[1]), {"content_status": {"a": 2}, "version": later}, later),
    )
    assert await compared(course, keys) == ([True] * 3, 4)
    found = await aggregates_to_compare(rows, keys)
    assert [one and one.content_status for one in found] == [{"a": 2, "b": 2}, {"a": 2}, {}]


@pytest.mark.parametrize("activity_type", ["Quiz", "CourseUnit"])
async def test_of_another_type_of_activity_there_is_nothing(embedded: Instance, activity_type: str) -> None:
    await embedded.publish()
    await embedded.batch()
    await finish(embedded, "ada", "a", "batch")
    await embedded.drain()
    rows = embedded.stores.rows
    own, other = ((kind, "course", "ada") for kind in (COLLECTION_TYPE, activity_type))
    found = await aggregates_by_place(rows, [own, other])
    assert [len(found[place]) for place in (own, other)] == [1, 0]


async def test_a_hundred_learners_of_an_activity_are_one_statement(course: Instance) -> None:
    places = [(COLLECTION_TYPE, "course", f"user-{number}") for number in range(100)]
    with course.stores.rows.meter.measure() as counted:
        assert await aggregates_by_place(course.stores.rows, places) == {place: [] for place in places}
    assert counted == {"select user_activity_agg_v2": 1}
