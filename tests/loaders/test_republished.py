"""What readers see when a collection or a context changed behind what a process remembers."""

import asyncio
from copy import deepcopy
from dataclasses import replace
from typing import Any

from ingest.calls.placing import ViewCall
from ingest.commands.contexts import update_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from ingest.jobs.reconcile import reconcile
from loaders.healing import Healing
from loaders.session import Session, Shared
from rules.errors import StoreUnavailable
from rules.identifiers import ProgressKey
from rules.viewers import Role
from rules.views import ViewChange
from stores.events import Message
from stores.topics import TRIGGERS
from tests.conftest import COURSE, NOW, Instance

KEY = ProgressKey("ada", "course", "batch")


async def finish(cohort: Instance, *contents: str) -> None:
    for content in contents:
        call = ViewCall(content, "course", "batch")
        await start_view(cohort.session("ada"), call)
        await end_view(cohort.session("ada"), call, ViewChange(NOW))
    await cohort.shared.background.settled()


def without(leaf: str) -> Any:
    document: Any = deepcopy(COURSE)
    for unit in document["children"]:
        unit["children"] = [child for child in unit["children"] if child["identifier"] != leaf]
    return document


async def test_a_leaf_that_left_and_came_back_counts_again_everywhere(embedded: Instance) -> None:
    """c is done, leaves with version 2, where a worker recomputes, and is back in version 3: 1 of a, b, c."""
    await embedded.publish()
    await embedded.batch()
    await finish(embedded, "c")
    await embedded.publish(without("c"))
    await reconcile(embedded.shared)
    await embedded.drain()
    await embedded.publish()
    for session in (embedded.session("ada"), Session(embedded.session("ada").viewer, embedded.shared)):
        tree = await embedded.shared.library.relation_tree(await embedded.shared.library.collection("course"))
        standing = await session.loaders.standings.load(KEY)
        assert standing is not None
        assert standing.progress(tree).completed_count == 1
        assert (await session.loaders.touches.load(KEY)).keys() == {"c"}


async def test_a_pointer_from_before_two_publications_is_read_anew(embedded: Instance) -> None:
    """Another process published twice within the seconds that this one remembers the pointer for."""
    await embedded.publish()
    elsewhere = Instance(embedded.urls, embedded.data)
    elsewhere.shared = Shared.of(embedded.stores, lambda: NOW)
    library = embedded.shared.library
    content = await library.collection("course")
    assert (await library.relation_tree(content)).version == 1
    for leaf in ("a", "c"):
        await elsewhere.publish(without(leaf))
    library.relations.forget(("course", 1))
    library.trees.forget(("course", "course", 1))
    assert (await library.relation_tree(content)).version == 3
    assert (await library.hierarchy(content)).version == 3


async def test_a_renamed_context_reaches_the_copies_on_enrolments(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    await enrol(embedded.session("ada"), EnrolmentCall("course", "batch"))
    await embedded.drain()
    await update_context(embedded.session("boss", Role.ADMIN), "batch", {"name": "Renamed"})
    assert (await reconcile(embedded.shared)).drifted == 1
    await embedded.drain()
    enrolment = await embedded.session("ada").loaders.enrolments.load(KEY)
    assert enrolment is not None
    assert (enrolment.copies.collection_name, enrolment.copies.context_name) == ("Course", "Renamed")
    assert (await reconcile(embedded.shared)).drifted == 0


async def test_reads_do_not_wait_for_a_log_that_is_away(embedded: Instance, monkeypatch: Any) -> None:
    """The call's trigger could not be sent; its learner reads on at once, and right."""
    await embedded.publish()
    await embedded.batch()
    await finish(embedded, "a")
    await embedded.stores.cache.delete("views:ada\ncourse\nbatch")

    tried, told = asyncio.Event(), asyncio.Event()

    async def away(topic: str, *messages: Message) -> None:
        tried.set()
        await told.wait()
        raise StoreUnavailable(f"{topic} is away")

    monkeypatch.setattr(embedded.stores.events, "send", away)
    assert (await embedded.session("ada").loaders.touches.load(KEY)).keys() == {"a"}
    await tried.wait()
    told.set()
    await embedded.shared.background.settled()
    monkeypatch.undo()
    sent = [record async for record in embedded.stores.events.read(TRIGGERS.name)]
    shared = replace(
        embedded.shared,
        healing=Healing(embedded.stores.events, embedded.shared.library, embedded.shared.background),
    )
    await embedded.stores.cache.delete("views:ada\ncourse\nbatch")
    await Session(embedded.session("ada").viewer, shared).loaders.touches.load(KEY)
    await shared.background.settled()
    assert len([record async for record in embedded.stores.events.read(TRIGGERS.name)]) == len(sent) + 1
