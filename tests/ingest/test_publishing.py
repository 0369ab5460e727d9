"""Publishing a draft: what learners see after it, what is refused, who runs it, and what readers see meanwhile."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.job_kinds import job_kind
from ingest.jobs.records import JobRecord
from ingest.jobs.runner import Jobs
from ingest.publishing import job as job_module
from ingest.publishing import versions
from ingest.publishing.direct import publish_collection
from ingest.publishing.publisher import Publisher
from ingest.publishing.requests import create_publication, request_publish, run_publication
from ingest.publishing.retiring import republish_without
from ingest.publishing.search_check import check_search
from ingest.workers.dead_letters import pending, replay
from loaders.drafts import drafts_by_id
from loaders.library import Library
from loaders.session import Session, Shared
from resolvers.drafts import retire_content
from rules.contents import ContentKind
from rules.drafts import DraftStatus
from rules.errors import Conflict, Forbidden, InvalidInput, NotFound, StoreUnavailable
from rules.hierarchy import Json, walk
from rules.jobs import JobState
from rules.viewers import Role, Viewer
from stores.events import Message, Record
from stores.rows import Write
from stores.tables import DRAFTS, HIERARCHIES, JOBS, NODE_ROOTS
from stores.topics import PUBLISH_REQUESTS
from tests.conftest import NOW, Instance
from tests.ingest.drafts import leaf_write, save_collection
from tests.ingest.publications import CREATOR, book, job_of, leaf, run_publishers, unit

BEFORE_POINTER = ("validate", "collect", "icons", "status", "package", "hierarchy", "relations", "contents")


def author(cohort: Instance) -> Session:
    return Session(CREATOR, cohort.shared)


async def published(cohort: Instance, identifier: str = "book", **how: Any) -> JobRecord:
    """Asks for a publish and waits for its end."""
    asked = await request_publish(author(cohort), identifier, **how)
    await run_publishers(cohort)
    return await job_of(cohort.shared, asked.id)


async def live_tree(cohort: Instance, identifier: str = "book") -> tuple[int, Json]:
    """The live version and its tree, as a process sees it that has nothing in memory."""
    library = Library(cohort.stores.rows, cohort.stores.cache)
    content = await library.content(identifier, "identifier")
    return content.live_version, (await library.hierarchy(content)).root


async def draft_status(cohort: Instance, identifier: str = "book") -> DraftStatus:
    (draft,) = await drafts_by_id(cohort.stores.rows, [identifier])
    assert draft is not None
    return draft.status


async def save_leaves(cohort: Instance, *writes: Write) -> None:
    await cohort.stores.rows.write(*writes)


# --- the way of a publish


async def test_a_draft_goes_live_whole(cohort: Instance) -> None:
    await save_collection(cohort.stores.rows, book())
    asked = await request_publish(author(cohort), "book")
    assert (asked.state, asked.steps) == (JobState.WAITING, [])
    with pytest.raises(NotFound):
        await Library(cohort.stores.rows, cohort.stores.cache).collection("book")

    await run_publishers(cohort)
    done = await job_of(cohort.shared, asked.id)
    assert (done.state, done.error) == (JobState.DONE, None)
    assert {step.name for step in done.steps} == set(job_module.STEPS)
    assert {step.state for step in done.steps} == {JobState.DONE}

    library = Library(cohort.stores.rows, cohort.stores.cache)
    content = await library.collection("book")
    assert (content.name, content.status, content.live_version) == ("Book", "Live", 1)
    assert content.published_on == NOW
    relations = await library.relation_tree(content)
    assert relations.leaf_nodes == {f"book-{leaf}" for leaf in "abcdef"}
    assert relations.nodes["book-b"].ancestors == {"book", "book-1", "book-2"}
    tree = (await library.hierarchy(content)).root
    assert (tree["leafNodesCount"], tree["totalCompressedSize"], tree["pkgVersion"]) == (6, 60, 1)
    assert (tree["lastPublishedBy"], tree["lastPublishedOn"]) == ("ann", "2026-03-01T12:00:00.000+0000")
    assert tree["downloadUrl"] == "/content/v1/package/book/1/spine"
    assert tree["variants"]["online"]["size"] > 0
    inner = await library.content("book-1-1", "identifier")
    assert (inner.kind, inner.root, inner.leaf_nodes_count) == (ContentKind.UNIT, "book", 2)
    assert (await library.hierarchy(inner)).root["leafNodes"] == ["book-c", "book-d"]
    held = await cohort.stores.rows.partition(NODE_ROOTS, ("book-1-1",))
    assert [row["root"] for row in held] == ["book"]
    assert await draft_status(cohort) is DraftStatus.LIVE


async def test_pass_marks_go_live_with_the_leaves_and_a_wrong_one_is_refused(embedded: Instance) -> None:
    """One that was stored before anybody checked it is named by its place in the tree, and nothing goes live."""
    rows = embedded.stores.rows
    marked = unit("book-1", leaf("book-a", passMark=40), leaf("book-b", passMark=0), leaf("book-c"))
    await save_collection(rows, {**book(), "children": [marked]})
    await run_publication(embedded.shared, (await request_publish(author(embedded), "book")).id)
    library = Library(rows, embedded.stores.cache)
    relations = await library.relation_tree(await library.collection("book"))
    assert relations.pass_marks == {"book-a": 40.0, "book-b": 0.0}

    wrong = unit("book-1", leaf("book-a"), leaf("book-d", passMark=400))
    await save_collection(rows, {**book(), "children": [wrong]})
    asked = await request_publish(author(embedded), "book")
    with pytest.raises(InvalidInput, match="must be a number from 0 to 100") as refused:
        await run_publication(embedded.shared, asked.id)
    assert refused.value.field == "collection.children[0].children[1].passMark"
    assert (await Library(rows, embedded.stores.cache).collection("book")).live_version == 1


async def test_keys_and_their_order_are_those_of_the_draft(embedded: Instance) -> None:
    document = {
        "zeta": 1,
        **book(),
        "alpha": {"b": 1, "a": [None, True, 0.5]},
        "children": [unit("book-1", leaf("book-a", zulu="z", able="a"), zulu="z", able="a")],
    }
    await save_collection(embedded.stores.rows, document)
    await published(embedded)
    _, tree = await live_tree(embedded)
    assert [name for name in tree if name in document] == list(document)
    assert tree["alpha"] == document["alpha"]
    (first,) = tree["children"]
    assert [name for name in first if name in document["children"][0]] == list(document["children"][0])
    assert [*first["children"][0]][:7] == [*document["children"][0]["children"][0]]


async def test_an_unlisted_collection_says_so_everywhere(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    await published(embedded, unlisted=True)
    _, tree = await live_tree(embedded)
    assert {tree["status"], *(child["status"] for child in tree["children"])} == {"Unlisted"}
    assert (
        await Library(embedded.stores.rows, embedded.stores.cache).collection("book")
    ).status == "Unlisted"
    assert await draft_status(embedded) is DraftStatus.UNLISTED


async def test_a_content_without_a_tree_goes_live_in_the_steps_that_it_needs(embedded: Instance) -> None:
    await save_leaves(embedded, leaf_write(leaf("alone"), imported=False, status=DraftStatus.DRAFT))
    done = await published(embedded, "alone")
    assert (done.state, done.total) == (JobState.DONE, len(job_module.OF_A_CONTENT))
    assert {step.name for step in done.steps} == set(job_module.OF_A_CONTENT)
    content = await Library(embedded.stores.rows, embedded.stores.cache).content("alone", "identifier")
    assert (content.kind, content.root, content.live_version) == (ContentKind.CONTENT, "alone", 1)
    assert await draft_status(embedded, "alone") is DraftStatus.LIVE


async def test_what_was_frozen_is_gone_at_the_end(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    asked = await create_publication(author(embedded), "book")
    frozen: set[int] = set()
    rows = embedded.stores.rows

    def look(record: JobRecord) -> None:
        frozen.add(len(record.steps))

    await run_publication(embedded.shared, asked.id, look)
    assert await rows.partition(HIERARCHIES, ("book", f"staged:{asked.id}")) == []
    assert len(frozen) == len(job_module.STEPS) + 1


# --- whose leaves


async def test_leaves_that_were_never_published_are_named_and_nothing_changes(embedded: Instance) -> None:
    await publish_collection(embedded.session(), book(title="Live before"))
    await save_collection(embedded.stores.rows, book())
    new = [leaf_write(leaf(f"book-{one}"), imported=False, status=DraftStatus.DRAFT) for one in "cf"]
    await save_leaves(embedded, *new)
    # The leaves were published with the book: as drafts of their own they never were.
    failed = await published(embedded)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.endswith("can't go live with them: book-c, book-f")
    assert failed.failure == {"code": "INVALID_INPUT", "field": "identifier"}
    version, tree = await live_tree(embedded)
    assert (version, tree["name"]) == (1, "Live before")
    assert await draft_status(embedded) is DraftStatus.DRAFT


async def test_leaves_that_are_not_there_are_named(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    await embedded.stores.rows.write(Write(DRAFTS, ("book-e",), {}, delete=True))
    failed = await published(embedded)
    assert failed.error is not None
    assert "book-e" in failed.error


async def test_retired_leaves_are_left_out_and_named(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    await save_leaves(embedded, leaf_write(leaf("book-b"), status=DraftStatus.RETIRED))
    done = await published(embedded)
    (validated,) = [step for step in done.steps if step.name == "validate"]
    assert (validated.checkpoint.report["retired"], validated.checkpoint.report["retiredCount"]) == (
        ["book-b"],
        1,
    )
    _, tree = await live_tree(embedded)
    assert tree["leafNodes"] == [f"book-{leaf}" for leaf in "acdef"]
    assert [child.get("index") for child in tree["children"][0]["children"]] == [1, 2]


async def test_a_leaf_that_was_published_by_itself_is_as_it_was_published(embedded: Instance) -> None:
    """Whatever its draft says since. It keeps its own pointer, and all of its metadata, however large."""
    large = "text " * 20_000
    await publish_collection(embedded.session(), leaf("book-a", name="As published", body=large))
    await save_collection(embedded.stores.rows, book())
    edited = leaf("book-a", name="As edited")
    await save_leaves(embedded, leaf_write(edited, imported=False, status=DraftStatus.DRAFT))
    await published(embedded)
    _, tree = await live_tree(embedded)
    found = next(node for node in walk(tree) if node["identifier"] == "book-a")
    assert found["name"] == "As published"
    assert (
        await Library(embedded.stores.rows, embedded.stores.cache).content("book-a", "identifier")
    ).root == "book-a"


async def test_a_course_in_a_program_comes_with_its_live_tree(embedded: Instance) -> None:
    await publish_collection(embedded.session(), book("course"))
    program = {**book("program"), "children": [unit("program-1", leaf("course"), leaf("program-x"))]}
    await save_collection(embedded.stores.rows, program)
    await embedded.stores.rows.write(Write(DRAFTS, ("course",), {}, delete=True))
    done = await published(embedded, "program")
    assert done.error is None
    library = Library(embedded.stores.rows, embedded.stores.cache)
    relations = await library.relation_tree(await library.collection("program"))
    assert relations.leaf_nodes == {"program-x", *(f"course-{leaf}" for leaf in "abcdef")}
    assert (await library.collection("course")).live_version == 1


# --- asking


async def test_asked_twice_it_is_one_publication_and_a_newer_draft_is_another(embedded: Instance) -> None:
    rows = embedded.stores.rows
    await save_collection(rows, book())
    first = await request_publish(author(embedded), "book")
    assert (await request_publish(author(embedded), "book")).id == first.id
    unlisted = await request_publish(author(embedded), "book", unlisted=True)
    await save_collection(rows, book(title="Newer"), "second")
    newer = await request_publish(author(embedded), "book")
    assert len({first.id, unlisted.id, newer.id}) == 3
    await run_publishers(embedded)
    assert [job.state for job in await Jobs(embedded.shared).list()] == [JobState.DONE] * 3
    version, tree = await live_tree(embedded)
    assert (version, tree["name"], tree["status"]) == (3, "Newer", "Live")
    again = await published(embedded)
    assert again.id not in {first.id, unlisted.id, newer.id}
    assert (await live_tree(embedded))[0] == 4


async def test_two_who_ask_at_once_get_one_publication(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    asked = await asyncio.gather(*(request_publish(author(embedded), "book") for _ in range(4)))
    assert len({job.id for job in asked}) == 1


async def test_a_publication_that_was_interrupted_is_asked_for_anew(embedded: Instance) -> None:
    """Somebody ran it at a shell, so no publisher goes on with it."""
    await save_collection(embedded.stores.rows, book())
    left = await create_publication(author(embedded), "book")
    with pytest.raises(asyncio.CancelledError):
        await run_publication(embedded.shared, left.id, _cancel_after(3))
    again = await published(embedded)
    assert (again.id != left.id, again.state) == (True, JobState.DONE)


def _cancel_after(count: int) -> Any:
    told: list[JobRecord] = []

    def tell(record: JobRecord) -> None:
        told.append(record)
        if len(told) > count:
            raise asyncio.CancelledError

    return tell


async def test_an_interrupted_publication_is_resumed_as_any_job(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    asked = await create_publication(author(embedded), "book")
    with pytest.raises(asyncio.CancelledError):
        await run_publication(embedded.shared, asked.id, _cancel_after(5))
    resumed = await Jobs(embedded.shared).resume(job_kind("publish"), asked.id)
    assert resumed.state is JobState.DONE
    assert (await live_tree(embedded))[0] == 1


async def test_what_was_only_published_gets_its_draft_and_goes_live_with_packages(embedded: Instance) -> None:
    """As what an instance had before there were drafts, or the sample."""
    await embedded.publish(book())
    asked = await request_publish(author(embedded), "book")
    await run_publishers(embedded)
    done = await job_of(embedded.shared, asked.id)
    assert (done.state, done.error) == (JobState.DONE, None)
    version, tree = await live_tree(embedded)
    assert (version, tree["pkgVersion"], set(tree["variants"])) == (2, 2, {"spine", "online"})
    assert tree["children"][0]["children"][0]["name"] == "Leaf book-a"


@pytest.mark.parametrize("role", [Role.LEARNER, Role.MENTOR, Role.REPORTER])
async def test_only_authors_may_publish(embedded: Instance, role: Role) -> None:
    await save_collection(embedded.stores.rows, book())
    session = Session(Viewer("ada", frozenset({role})), embedded.shared)
    with pytest.raises(Forbidden):
        await request_publish(session, "book")
    with pytest.raises(Forbidden):
        await republish_without(session, "book-a")


async def test_what_can_not_be_published_is_refused_at_once(embedded: Instance) -> None:
    with pytest.raises(NotFound, match="no content book"):
        await request_publish(author(embedded), "book")
    await save_collection(embedded.stores.rows, book())
    with pytest.raises(Conflict) as refused:
        await request_publish(author(embedded), "book", version_key="another")
    assert refused.value.field == "versionKey"
    await save_leaves(embedded, leaf_write(leaf("gone"), status=DraftStatus.RETIRED))
    with pytest.raises(InvalidInput, match="retired"):
        await request_publish(author(embedded), "gone")
    assert await Jobs(embedded.shared).list() == []


async def test_a_draft_that_is_edited_before_its_turn_is_refused_if_its_key_was_named(
    embedded: Instance,
) -> None:
    rows = embedded.stores.rows
    await save_collection(rows, book())
    named = await request_publish(author(embedded), "book", version_key="first")
    await save_collection(rows, book(title="Edited"), "second")
    await run_publishers(embedded)
    failed = await job_of(embedded.shared, named.id)
    assert (failed.state, failed.failure["code"]) == (JobState.FAILED, "CONFLICT")


async def test_an_edit_during_the_publish_stays_a_draft(embedded: Instance) -> None:
    """What goes live is what was read; what was written since waits for the next publish."""
    rows = embedded.stores.rows
    await save_collection(rows, book())
    asked = await create_publication(author(embedded), "book")
    with pytest.raises(asyncio.CancelledError):
        await run_publication(embedded.shared, asked.id, _cancel_after(3))
    await save_collection(rows, book(title="Edited meanwhile"), "second")
    await run_publication(embedded.shared, asked.id)
    assert (await live_tree(embedded))[1]["name"] == "Book"
    assert await draft_status(embedded) is DraftStatus.DRAFT


# --- retiring


async def test_a_retired_leaf_leaves_the_live_trees_and_no_draft_goes_live_by_that(
    embedded: Instance,
) -> None:
    session = embedded.session()
    await publish_collection(session, {**book("one"), "status": "Unlisted"})
    other = {**book("two"), "children": [unit("two-1", leaf("one-b"), leaf("two-a"))]}
    await publish_collection(session, other)
    await publish_collection(session, book("three"))
    await save_collection(embedded.stores.rows, book("one", "Not to be seen"))
    jobs = await republish_without(author(embedded), "one-b")
    assert {job.arguments["identifier"] for job in jobs} == {"one", "two"}
    await run_publishers(embedded)
    version, tree = await live_tree(embedded, "one")
    assert (version, tree["name"], tree["status"]) == (2, "Book", "Unlisted")
    assert tree["leafNodes"] == [f"one-{leaf}" for leaf in "acdef"]
    assert (await live_tree(embedded, "two"))[1]["leafNodes"] == ["two-a"]
    assert (await live_tree(embedded, "three"))[0] == 1
    assert await draft_status(embedded, "one") is DraftStatus.DRAFT
    assert await republish_without(author(embedded), "one-b") == []


async def test_retired_twice_the_second_publication_finds_nothing_to_do(embedded: Instance) -> None:
    await publish_collection(embedded.session(), book())
    first = await republish_without(author(embedded), "book-a")
    second = await republish_without(author(embedded), "book-a")
    await run_publishers(embedded)
    states = {(await job_of(embedded.shared, job.id)).state for job in (*first, *second)}
    assert states == {JobState.DONE}
    assert (await live_tree(embedded))[0] == 2


@pytest.mark.parametrize("steps", [1, len(BEFORE_POINTER) - 1])
async def test_what_is_retired_during_its_publish_does_not_go_live(embedded: Instance, steps: int) -> None:
    await publish_collection(embedded.session(), book())
    await save_collection(embedded.stores.rows, book(title="Next"))
    asked = await create_publication(author(embedded), "book")
    with pytest.raises(asyncio.CancelledError):
        await run_publication(embedded.shared, asked.id, _cancel_after(steps))
    await retire_content(author(embedded), "book")
    await run_publication(embedded.shared, asked.id)
    await assert_retired(embedded)


async def test_what_is_retired_before_it_was_ever_live_does_not_go_live(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    asked = await create_publication(author(embedded), "book")
    with pytest.raises(asyncio.CancelledError):
        await run_publication(embedded.shared, asked.id, _cancel_after(3))
    await retire_content(author(embedded), "book")
    await run_publication(embedded.shared, asked.id)
    await assert_retired(embedded)


async def test_what_is_retired_while_its_pointer_flips_does_not_stay_live(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that retires it sees no version yet, and the publish has seen no retirement."""
    await save_collection(embedded.stores.rows, book())
    flip = versions.flip_pointer

    async def flip_after_a_retirement(*of: Any) -> None:
        await retire_content(author(embedded), "book")
        await flip(*of)

    monkeypatch.setattr(job_module, "flip_pointer", flip_after_a_retirement)
    await published(embedded)
    await assert_retired(embedded)


async def test_a_retired_collection_stays_retired_when_one_of_its_leaves_is(embedded: Instance) -> None:
    await publish_collection(embedded.session(), book())
    await retire_content(author(embedded), "book")
    await retire_content(author(embedded), "book-a")
    await run_publishers(embedded)
    assert (await republish_without(author(embedded), "book-a")) == []  # it has left the tree nevertheless
    await assert_retired(embedded)


async def assert_retired(cohort: Instance) -> None:
    content = await Library(cohort.stores.rows, cohort.stores.cache).content("book", "identifier")
    assert (content.status, await draft_status(cohort)) == ("Retired", DraftStatus.RETIRED)
    assert await cohort.stores.search.documents("book") == []


# --- publishers


async def test_a_publisher_that_dies_is_followed_by_another_at_once(cohort: Instance) -> None:
    """The first hangs in the middle; the second gets the message again, and does not wait for a sign of life."""
    await save_collection(cohort.stores.rows, book())
    asked = await request_publish(author(cohort), "book")
    hanging = asyncio.Event()

    class Hanging:
        def __init__(self, store: Any) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        async def put(self, *_: Any) -> int:
            hanging.set()
            await asyncio.Event().wait()
            return 0

    stores = replace(cohort.stores, blobs=Hanging(cohort.stores.blobs))
    first = asyncio.create_task(Publisher(Shared.of(stores, lambda: NOW), wait=0.005).run())
    async with asyncio.timeout(60):
        await hanging.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await run_publishers(cohort)
    assert (await job_of(cohort.shared, asked.id)).state is JobState.DONE
    assert (await live_tree(cohort))[0] == 1


async def test_while_a_store_is_away_a_publication_waits(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    asked = await request_publish(author(embedded), "book")
    attempts = 0
    seen: list[JobRecord] = []

    class Away:
        def __getattr__(self, name: str) -> Any:
            return getattr(embedded.stores.blobs, name)

        async def put(self, *given: Any) -> int:
            nonlocal attempts
            attempts += 1
            if attempts < 3:
                raise StoreUnavailable("the blobs are away")
            return await embedded.stores.blobs.put(*given)

    class Watched(Publisher):
        async def _process(self, record: Record) -> None:
            try:
                await super()._process(record)
            finally:
                seen.append(await job_of(embedded.shared, asked.id))

    shared = Shared.of(replace(embedded.stores, blobs=Away()), lambda: NOW)
    publisher = Watched(shared, wait=0.005)
    await run_publishers(embedded, publisher)
    waits = (JobState.INTERRUPTED, "the blobs are away")
    assert [(job.state, job.error) for job in seen] == [waits, waits, (JobState.DONE, None)]
    assert publisher.processed == 1


class NoSearch:
    """A search that is away."""

    def __getattr__(self, _: str) -> Any:
        async def away(*_: Any, **__: Any) -> None:
            raise StoreUnavailable("the search is away")

        return away


async def test_while_the_search_is_away_publications_go_live_and_learners_are_recomputed(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the publication itself nor the next one in the queue waits. The index is mended when the search is back."""
    monkeypatch.setattr("ingest.publishing.search_sync.PATIENCE", 0.0)
    await publish_collection(author(embedded), book())
    await embedded.batch(collection="book")
    await enrol(embedded.session("ada"), EnrolmentCall("book", "batch"))
    await embedded.drain()
    await save_collection(embedded.stores.rows, book(more=2))
    await save_collection(embedded.stores.rows, book("other"))
    asked = [await request_publish(author(embedded), each) for each in ("book", "other")]
    shared = Shared.of(replace(embedded.stores, search=NoSearch()), lambda: NOW)
    await run_publishers(embedded, Publisher(shared, wait=0.005))
    book_job, other = [await job_of(embedded.shared, each.id) for each in asked]
    assert (book_job.state, other.state) == (JobState.DONE, JobState.DONE)
    assert ((await live_tree(embedded))[0], (await live_tree(embedded, "other"))[0]) == (2, 1)
    reports = {step.name: step.checkpoint.report for step in book_job.steps}
    assert (reports["search"], reports["learners"]) == ({"away": True}, {"recomputed": 1})
    assert "cohort search check --repair" in caplog.text
    assert (await check_search(embedded.shared, None, repair=True)).repaired > 0
    assert (await check_search(embedded.shared, None, repair=False)).remaining == 0


async def test_a_search_that_is_away_for_a_moment_is_waited_for(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    asked = await create_publication(author(embedded), "book")
    calls = 0

    class Restarting:
        def __getattr__(self, name: str) -> Any:
            return getattr(embedded.stores.search, name)

        async def documents(self, root: str) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise StoreUnavailable("the search is away")
            return await embedded.stores.search.documents(root)

    shared = Shared.of(replace(embedded.stores, search=Restarting()), lambda: NOW)
    done = await run_publication(shared, asked.id)
    (search,) = [step for step in done.steps if step.name == "search"]
    # The book, its two units, and the unit inside the first.
    assert search.checkpoint.report == {"created": 4, "updated": 0, "deleted": 0}


async def test_one_that_fails_does_not_hold_up_the_next(embedded: Instance) -> None:
    await save_collection(embedded.stores.rows, book())
    await embedded.stores.rows.write(Write(DRAFTS, ("book-e",), {}, delete=True))
    await save_collection(embedded.stores.rows, book("other"))
    failed = await request_publish(author(embedded), "book")
    other = await request_publish(author(embedded), "other")
    await run_publishers(embedded)
    assert (await job_of(embedded.shared, failed.id)).state is JobState.FAILED
    assert (await job_of(embedded.shared, other.id)).state is JobState.DONE


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"job": 7}', b'{"job": "nobody\'s"}'])
async def test_a_message_without_a_job_is_put_away_and_can_be_sent_again(
    embedded: Instance, value: bytes
) -> None:
    events = embedded.stores.events
    await events.send(PUBLISH_REQUESTS.name, Message("book", value))
    await run_publishers(embedded)
    (letter,) = [letter async for letter in pending(embedded.stores)]
    assert (letter.topic, letter.key, letter.value) == (PUBLISH_REQUESTS.name, "book", value)
    assert "job" in letter.reason
    assert await replay(embedded.stores) == 1
    await run_publishers(embedded)
    assert len([letter async for letter in pending(embedded.stores)]) == 1


# --- readers meanwhile


async def test_a_reader_sees_one_version_or_the_next(cohort: Instance) -> None:
    """Tree, relations and names of the book and of a unit, over several publishes: all of them of one version."""
    rows, cache = cohort.stores.rows, cohort.stores.cache

    def edition(version: int) -> Json:
        document = book(title=f"Edition {version}", more=version - 1)
        document["children"][0]["name"] = f"Chapter of {version}"
        return document

    await publish_collection(cohort.session(), edition(1))
    done, seen = asyncio.Event(), set[int]()

    async def read() -> None:
        while not done.is_set():
            library = Library(rows, cache)
            content = await library.collection("book")
            tree, relations = await library.hierarchy(content), await library.relation_tree(content)
            version = tree.version
            assert relations.version == version
            assert content.name == tree.root["name"] == f"Edition {version}"
            assert tree.nodes["book-1"]["name"] == f"Chapter of {version}"
            expected = {f"book-{leaf}" for leaf in "abcdef"} | {f"book-m{n}" for n in range(version - 1)}
            assert relations.leaf_nodes == expected
            assert {node for node in tree.nodes if node in expected} == expected
            # Asked for by itself, a unit may be newer than the book above, but of one version too.
            unit_ = await library.content("book-1", "identifier")
            assert unit_.name == f"Chapter of {unit_.live_version}"
            assert unit_.live_version >= version
            seen.add(version)
            await asyncio.sleep(0)

    readers = [asyncio.create_task(read()) for _ in range(3)]
    for version in range(2, 6):
        await save_collection(rows, edition(version), f"key {version}")
        asked = await create_publication(author(cohort), "book")
        await run_publication(cohort.shared, asked.id)
        await asyncio.sleep(0.05)
    done.set()
    await asyncio.gather(*readers)
    assert {1, 5} <= seen


async def test_a_publication_says_nothing_to_readers_before_its_pointer(embedded: Instance) -> None:
    await publish_collection(embedded.session(), book(title="Before"))
    await save_collection(embedded.stores.rows, book(title="After"))
    asked = await create_publication(author(embedded), "book")
    names = []

    def steps_done(record: JobRecord) -> set[str]:
        return {step.name for step in record.steps if step.state is JobState.DONE}

    for _ in range(60):
        try:
            record = await run_publication(embedded.shared, asked.id, _cancel_after(1))
        except asyncio.CancelledError:
            record = await job_of(embedded.shared, asked.id)
        _, tree = await live_tree(embedded)
        names.append(("pointer" in steps_done(record), tree["name"]))
        if record.state is JobState.DONE:
            break
    assert set(names) == {(False, "Before"), (True, "After")}


async def test_what_a_job_keeps_is_bounded(embedded: Instance) -> None:
    """Its arguments and reports do not grow with the tree."""
    sizes = []
    for more in (1, 400):
        name = f"book{more:03}"
        await save_collection(embedded.stores.rows, book(name, more=more))
        retired = [leaf_write(leaf(f"{name}-m{n}"), status=DraftStatus.RETIRED) for n in range(more - 1)]
        await save_leaves(embedded, *retired)
        done = await published(embedded, name)
        assert done.state is JobState.DONE
        sizes.append(len(orjson.dumps([done.arguments, *(dict(s.checkpoint.report) for s in done.steps)])))
    assert sizes[1] < sizes[0] + 20 * 20


async def test_a_publication_without_a_sign_of_life_does_not_keep_authors_waiting(
    embedded: Instance,
) -> None:
    await save_collection(embedded.stores.rows, book())
    left = await create_publication(author(embedded), "book")
    rows = embedded.stores.rows
    await rows.write(
        Write(JOBS, ("publish", left.id, ""), {"state": "running", "updated_on": NOW}, insert=False)
    )
    assert (await create_publication(author(embedded), "book")).id == left.id
    later = Shared.of(embedded.stores, lambda: NOW + timedelta(minutes=2))
    assert (await create_publication(Session(CREATOR, later), "book")).id != left.id
