"""Every context of a collection is in the collection's list, whatever died, came late or is from an earlier schema."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway.wiring import initialise
from ingest.commands.contexts import NewContext, create_context, update_context
from ingest.commands.erasures import ErasureCall, erase
from ingest.jobs.context_lists import LISTING, fill_context_lists
from ingest.jobs.runner import Jobs
from ingest.writes.context_lists import list_contexts
from loaders.contexts import context_ids_of, contexts_page
from loaders.contexts_of_people import contexts_of_person
from loaders.library import context_values
from loaders.session import Session, Shared
from rules.contexts import Context, ContextRelation, EnrolmentType
from rules.errors import Conflict, StoreUnavailable
from rules.identifiers import ContextType
from rules.viewers import Role
from stores.columns import Table
from stores.rows import Write
from stores.tables import CONTEXTS, CONTEXTS_OF_COLLECTIONS, CONTEXTS_OF_PEOPLE, TABLES
from tests.conftest import ENGINES, LEAF, NOW, Instance, embedded_urls, empty_keyspace, real_urls
from tests.ingest.interruptions import Interruption, dies

NEW = NewContext(
    *(ContextType.BATCH, "Batch", ("course",), "b"),
    end_date=NOW + timedelta(days=30),
    mentors=frozenset({"mo", "stays"}),
)
LATER = {
    "end_date": NOW + timedelta(days=60),
    "collection_ids": ("other",),
    "mentors": frozenset({"stays", "new"}),
}
PEOPLE = ("mo", "stays", "new")
OTHER = {
    "identifier": "other",
    "name": "Other",
    "children": [{"identifier": "x", "name": "X", "mimeType": LEAF}],
}


async def listed(instance: Instance, collection: str) -> list[str]:
    """The ids of the contexts that readers are shown, in their order."""
    fresh = Shared.of(instance.stores, lambda: NOW)
    page = await contexts_page(
        fresh.stores.rows, fresh.library, collection, lambda _: True, first=200, after=None, until=None
    )
    assert page.end is None
    return [context.context_id for context in page.contexts]


async def mentored(instance: Instance, user: str, relation: ContextRelation | None = None) -> list[str]:
    """The ids of the contexts that readers are shown of somebody."""
    fresh = Shared.of(instance.stores, lambda: NOW)
    found = await contexts_of_person(fresh.stores.rows, fresh.library, user, relation, most=200)
    assert found is not None
    return [context.context_id for context in found]


async def rows_of(instance: Instance, user: str) -> list[tuple[str, str]]:
    found = await instance.stores.rows.partition(CONTEXTS_OF_PEOPLE, (user,))
    return [(row["relation"], row["contextid"]) for row in found]


@pytest.fixture
async def two(cohort: Instance) -> Instance:
    """With two collections."""
    await cohort.publish()
    await cohort.publish(OTHER)
    return cohort


async def test_a_context_is_listed_where_it_is_and_nowhere_else(two: Instance) -> None:
    creator = two.session("cleo", Role.CREATOR)
    await create_context(creator, NEW)
    await create_context(creator, replace(NEW, context_id="a", end_date=None))
    await create_context(creator, replace(NEW, context_id="c", enrolment_type=EnrolmentType.INVITE_ONLY))
    assert await listed(two, "course") == ["c", "b", "a"], "by invitation alone, with an end, without one"
    await update_context(creator, "b", {"end_date": None})
    assert await listed(two, "course") == ["c", "a", "b"]
    await update_context(creator, "b", {"collection_ids": ("course", "other")})
    assert (await listed(two, "course"), await listed(two, "other")) == (["c", "a", "b"], ["b"])
    await update_context(creator, "b", {"collection_ids": ("other",)})
    assert (await listed(two, "course"), await listed(two, "other")) == (["c", "a"], ["b"])
    assert await context_ids_of(two.stores.rows, "course") == ["a", "c"], "what has left has no row"
    await update_context(creator, "b", {"collection_ids": ("course",)})
    assert (await listed(two, "course"), await listed(two, "other")) == (["c", "a", "b"], [])


async def test_a_context_is_listed_with_who_mentors_and_who_created_it(two: Instance) -> None:
    creator = two.session("cleo", Role.CREATOR)
    await create_context(creator, NEW)
    await create_context(creator, replace(NEW, context_id="a", mentors=frozenset({"cleo"})))
    assert [await mentored(two, user) for user in PEOPLE] == [["b"], ["b"], []]
    assert await mentored(two, "cleo") == ["a", "b"], "created both, and mentors one: each is there once"
    assert await mentored(two, "cleo", ContextRelation.MENTOR) == ["a"]
    assert await mentored(two, "cleo", ContextRelation.CREATOR) == ["a", "b"]
    await update_context(creator, "b", LATER)
    assert [await mentored(two, user) for user in PEOPLE] == [[], ["b"], ["b"]]
    assert await rows_of(two, "mo") == [], "who has left has no row"
    await update_context(creator, "b", {"mentors": frozenset({"mo"})})
    assert [await mentored(two, user) for user in PEOPLE] == [["b"], [], []]


async def test_a_learner_who_is_erased_has_no_list(two: Instance) -> None:
    """The context still names them: it is its author's."""
    await create_context(two.session("mo", Role.CREATOR), NEW)
    assert await rows_of(two, "mo") == [("creator", "b"), ("mentor", "b")]
    assert (await erase(two.session("mo"), ErasureCall())).done
    assert await rows_of(two, "mo") == []
    assert await mentored(two, "stays") == ["b"]


@pytest.mark.parametrize("after", [False, True])
async def test_a_call_that_dies_anywhere_leaves_no_context_out(embedded: Instance, *, after: bool) -> None:
    await embedded.publish()
    await embedded.publish(OTHER)
    died = 0
    for step in range(4):
        name = f"b{step}"
        for call in (partial(create, name), partial(move, name)):
            interruption = Interruption(step, dies, after=after)
            try:
                await call(Session(embedded.session().viewer, interruption.of(embedded.shared)))
            except StoreUnavailable:
                died += 1
            await agrees(embedded, name)
            await call(embedded.session())
            await agrees(embedded, name)
    assert died >= 5, "a create changes two things, an update three"


async def create(context_id: str, session: Session) -> Context:
    return await create_context(session, replace(NEW, context_id=context_id))


async def move(context_id: str, session: Session) -> Context:
    return await update_context(session, context_id, LATER)


async def agrees(instance: Instance, context_id: str) -> None:
    """What the lists say of a context is what its own row says."""
    row = await instance.stores.rows.get(CONTEXTS, (context_id,))
    collections = set() if row is None else row["collections"]
    for collection in ("course", "other"):
        assert (context_id in await listed(instance, collection)) == (collection in collections)
    people = set() if row is None else row["mentors"]
    for user in PEOPLE:
        assert (context_id in await mentored(instance, user)) == (user in people)


async def test_who_loses_against_another_call_leaves_the_lists_as_the_other_made_them(two: Instance) -> None:
    moments = iter(NOW + timedelta(seconds=number) for number in range(20))
    two.shared = replace(two.shared, now=lambda: next(moments))
    await create_context(two.session(), NEW)
    for _ in range(3):
        wanted: list[dict[str, Any]] = [{"collection_ids": ("other",)}, {"end_date": None}]
        outcomes = await asyncio.gather(
            *(update_context(two.session(), "b", change) for change in wanted), return_exceptions=True
        )
        assert any(isinstance(outcome, Context) for outcome in outcomes)
        assert all(isinstance(outcome, Context | Conflict) for outcome in outcomes)
        await agrees(two, "b")
        await update_context(two.session(), "b", {"collection_ids": ("course",), "end_date": NEW.end_date})
        await agrees(two, "b")


async def test_a_late_write_of_an_earlier_form_brings_nothing_back(two: Instance) -> None:
    earlier = await create_context(two.session(), NEW)
    await update_context(two.session(), "b", LATER)
    await list_contexts(two.stores.rows, [earlier])
    assert await context_ids_of(two.stores.rows, "course") == []
    assert await listed(two, "other") == ["b"]
    assert await rows_of(two, "mo") == []


# --- from a database of the former schema


def former_tables() -> list[Table]:
    """The tables as schema version 4 had them."""
    return [
        replace(table, columns={name: column for name, column in table.values.items() if column.since <= 4})
        for table in TABLES
        if table.since <= 4
    ]


@pytest.fixture(params=ENGINES)
async def former(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """As an instance of schema version 4 left it: contexts, one without any date, and no lists."""
    urls = embedded_urls()
    if request.param == "real":
        run = uuid4().hex[:10]
        urls = real_urls() | {"rows": f"{real_urls()['rows'].rpartition('/')[0]}/test_{run}"}
        urls |= {name: embedded_urls()[name] for name in ("events", "cache", "groups", "blobs")}
    instance = Instance(urls, tmp_path)
    async with instance.opened() as instance.shared:
        await instance.stores.rows.init(former_tables())
        for number in range(30):
            collections = ("course",) if number % 2 else ("course", "other")
            context = Context(
                *(f"b{number:02}", ContextType.BATCH, "Batch", collections),
                mentors=frozenset({"mo"} if number % 3 else {}),
                created_by="cleo",
                updated_on=NOW,
            )
            await write(instance, context)
        await write(instance, Context("old", ContextType.BATCH, "Migrated", ("other",)))
        yield instance
    if request.param == "real":
        await empty_keyspace(urls["rows"])


async def write(instance: Instance, context: Context) -> None:
    row = {"contextid": context.context_id, **context_values(context)}
    assert (await instance.stores.rows.insert_if_absent(CONTEXTS, row)).applied


OF_COURSE = [f"b{number:02}" for number in range(30)]
OF_OTHER = [*OF_COURSE[::2], "old"]


async def test_init_lists_the_contexts_of_an_earlier_schema(former: Instance) -> None:
    assert not await former.stores.rows.exists(CONTEXTS_OF_COLLECTIONS)
    said = await initialise(former.stores)
    assert said[-1] == "listed 31 contexts in context_by_collection and context_by_person"
    assert (await listed(former, "course"), await listed(former, "other")) == (OF_COURSE, OF_OTHER)
    assert await mentored(former, "mo") == [name for number, name in enumerate(OF_COURSE) if number % 3]
    assert await mentored(former, "cleo") == OF_COURSE
    assert await initialise(former.stores) == [], "the second time there is nothing to do"


async def test_init_fills_the_list_that_came_later_where_the_earlier_ones_are_full(
    embedded: Instance,
) -> None:
    """As an instance of schema version 7 is: its job was asked for no list by person. The context is in none here."""
    await Jobs(embedded.shared).start(LISTING, {})
    mentors = frozenset({"mo"})
    await write(embedded, Context("b", ContextType.BATCH, "Batch", ("course",), mentors=mentors))
    assert await mentored(embedded, "mo") == []
    assert len(await fill_context_lists(embedded.shared)) == 1
    assert await mentored(embedded, "mo") == ["b"]


async def test_an_init_that_was_broken_off_goes_on_and_undoes_no_change_made_meanwhile(
    embedded: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await embedded.publish()
    await embedded.publish(OTHER)
    for number in range(30):
        await write(
            embedded, Context(f"b{number:02}", ContextType.BATCH, "Batch", ("course",), updated_on=NOW)
        )
    with pytest.raises(StoreUnavailable):
        await fill_context_lists(Interruption(20, dies).of(embedded.shared))
    for number in range(30):
        await update_context(embedded.session(), f"b{number:02}", {"collection_ids": ("other",)})
    assert await fill_context_lists(embedded.shared) == [
        "listed 30 contexts in context_by_collection and context_by_person"
    ]
    assert (await listed(embedded, "course"), await listed(embedded, "other")) == ([], OF_COURSE)
    assert await context_ids_of(embedded.stores.rows, "course") == []


async def test_an_instance_without_contexts_has_nothing_to_list(embedded: Instance) -> None:
    assert await fill_context_lists(embedded.shared) == []
    await embedded.stores.rows.write(Write(CONTEXTS_OF_COLLECTIONS, ("x", NOW, "gone"), {"type": "batch"}))
    assert await listed(embedded, "x") == [], "a row without a context is passed over"
