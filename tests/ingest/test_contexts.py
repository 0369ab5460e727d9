"""What a creator may rely on when they create and change a batch."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ingest.commands.contexts import NewContext, create_context, update_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from loaders.context_learners import learners_in
from rules.contexts import Context, EnrolmentType, bucket_of
from rules.errors import Conflict, Forbidden, InvalidInput, NotFound
from rules.identifiers import ContextType
from rules.viewers import Role
from stores.tables import ENROLMENTS_BY_CONTEXT
from tests.conftest import COURSE, NOW, Instance

NEW = NewContext(
    ContextType.BATCH,
    "Batch",
    ("course",),
    "b",
    description="For all",
    start_date=NOW + timedelta(microseconds=1500),
    end_date=NOW + timedelta(days=30),
    opens_on=NOW - timedelta(days=3),
    enrolment_end_date=NOW + timedelta(days=10),
    enrolment_type=EnrolmentType.INVITE_ONLY,
    mentors=frozenset({"mia", "max"}),
)


@pytest.fixture
async def without_batch(embedded: Instance) -> Instance:
    await embedded.publish()
    return embedded


async def test_a_context_is_read_back_as_created_and_a_retry_answers_the_same(cohort: Instance) -> None:
    await cohort.publish()
    cleo = cohort.session("cleo", Role.CREATOR)
    created = await create_context(cleo, NEW)
    assert (created.created_by, created.created_on, created.updated_on) == ("cleo", NOW, NOW)
    assert created.start_date == NOW + timedelta(milliseconds=1)
    assert created.mentors == {"mia", "max"}
    assert await cohort.shared.library.context("b") == created
    assert await create_context(cleo, NEW) == created
    for other in (
        replace(NEW, name="Another"),
        replace(NEW, mentors=frozenset()),
        replace(NEW, end_date=None),
    ):
        with pytest.raises(InvalidInput) as refused:
            await create_context(cleo, other)
        assert refused.value.field == "contextId"
    assert await cohort.shared.library.context("b") == created

    changes: dict[str, Any] = {"name": "Renamed", "end_date": None, "mentors": frozenset({"mia"})}
    changed = await update_context(cleo, " b ", changes)
    wanted = replace(created, **changes, updated_on=changed.updated_on)
    assert changed == wanted
    assert await cohort.shared.library.context("b") == wanted
    async with cohort.opened() as another_process:
        assert await another_process.library.context("b") == wanted


async def test_a_context_without_an_id_gets_one(without_batch: Instance) -> None:
    creator = without_batch.session("cleo", Role.CREATOR)
    first, second = [await create_context(creator, replace(NEW, context_id=None)) for _ in range(2)]
    assert first.context_id != second.context_id
    assert await without_batch.shared.library.context(first.context_id) == first


async def test_a_context_keeps_the_buckets_that_the_setting_said_when_it_was_created(
    cohort: Instance,
) -> None:
    """Its learners are found in all of them, also by who has another setting."""
    await cohort.publish()
    usual = cohort.shared
    cohort.shared = replace(usual, context_buckets=64)
    creator = cohort.session("cleo", Role.CREATOR)
    new = replace(NEW, start_date=None, opens_on=None, enrolment_end_date=None)
    created = await create_context(creator, new)
    learners = sorted(f"u{number}" for number in range(40))
    for learner in learners:
        await enrol(cohort.session(), EnrolmentCall("course", "b", learner))
    await cohort.drain()
    places = {bucket_of(learner, 64) for learner in learners}
    found = await cohort.stores.rows.partitions(
        ENROLMENTS_BY_CONTEXT, [("b", "course", bucket) for bucket in range(64)], ("userid",)
    )
    assert {key[2] for key, rows in found.items() if rows} == places
    assert max(places) >= 16

    cohort.shared = usual
    creator = cohort.session("cleo", Role.CREATOR)
    assert created.buckets == (await create_context(creator, new)).buckets == 64
    assert (await update_context(creator, "b", {"name": "Renamed"})).buckets == 64
    assert (await create_context(creator, replace(NEW, context_id="c"))).buckets == 16
    pages = learners_in(cohort.stores.rows, cohort.shared.library, "b", "course")
    assert [learner async for page in pages for learner in page] == learners


async def test_of_two_changes_at_once_one_is_a_conflict(without_batch: Instance) -> None:
    """Each read the same context; the one that came second would undo what it never saw."""
    moments = iter(NOW + timedelta(seconds=number) for number in range(9))
    shared = replace(without_batch.shared, now=lambda: next(moments))
    without_batch.shared = shared
    creator = without_batch.session("cleo", Role.CREATOR)
    await create_context(creator, replace(NEW, start_date=None, opens_on=None))
    outcomes = await asyncio.gather(
        *(update_context(without_batch.session(), "b", {"name": name}) for name in ("One", "Two")),
        return_exceptions=True,
    )
    (kept,) = [outcome for outcome in outcomes if isinstance(outcome, Context)]
    (lost,) = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert lost.code == "CONFLICT"
    assert (await without_batch.shared.library.context("b")).name == kept.name


@pytest.mark.parametrize(
    ("wrong", "error", "field"),
    [
        ({"context_id": " "}, InvalidInput, "contextId"),
        ({"context_id": "course"}, InvalidInput, "contextId"),
        ({"name": " "}, InvalidInput, "name"),
        ({"collection_ids": ()}, InvalidInput, "collectionIds"),
        ({"collection_ids": ("",)}, InvalidInput, "collectionIds"),
        ({"collection_ids": ("course", "nowhere")}, NotFound, "collectionIds"),
        ({"collection_ids": ("unit-1",)}, NotFound, "collectionIds"),
        ({"mentors": frozenset({""})}, InvalidInput, "mentors"),
        ({"type": ContextType.COLLECTION}, InvalidInput, "type"),
        ({"end_date": NOW - timedelta(days=1)}, InvalidInput, "endDate"),
        ({"end_date": datetime(2027, 1, 1)}, InvalidInput, "endDate"),  # noqa: DTZ001
    ],
)
async def test_a_context_that_can_not_be_is_refused_by_field(
    without_batch: Instance, wrong: dict[str, Any], error: type[Exception], field: str
) -> None:
    with pytest.raises(error) as refused:
        await create_context(without_batch.session(), replace(NEW, **wrong))
    assert getattr(refused.value, "field") == field  # noqa: B009
    with pytest.raises(NotFound):
        await without_batch.shared.library.context("b")


@pytest.mark.parametrize("role", [Role.LEARNER, Role.MENTOR, Role.REPORTER])
async def test_only_those_who_create_may(without_batch: Instance, role: Role) -> None:
    await create_context(without_batch.session(), NEW)
    with pytest.raises(Forbidden):
        await create_context(without_batch.session("ada", role), replace(NEW, context_id="mine"))
    with pytest.raises(Forbidden):
        await update_context(without_batch.session("ada", role), "b", {"name": "Mine"})


async def test_a_change_that_makes_no_sense_changes_nothing(without_batch: Instance) -> None:
    created = await create_context(without_batch.session(), NEW)
    for changes, field in (
        ({"end_date": NOW - timedelta(days=9)}, "endDate"),
        ({"name": ""}, "name"),
        ({"collection_ids": ("nowhere",)}, "collectionIds"),
    ):
        with pytest.raises((InvalidInput, NotFound)) as refused:
            await update_context(without_batch.session(), "b", changes)
        assert getattr(refused.value, "field") == field  # noqa: B009
    assert await without_batch.shared.library.context("b") == created
    with pytest.raises(NotFound):
        await update_context(without_batch.session(), "nowhere", {"name": "x"})


async def test_a_context_may_have_several_collections(without_batch: Instance) -> None:
    await without_batch.publish({**COURSE, "identifier": "course-2"})
    new = replace(NEW, type=ContextType.PROGRAM, collection_ids=("course-2", "course", "course"))
    assert (await create_context(without_batch.session(), new)).collection_ids == ("course", "course-2")
