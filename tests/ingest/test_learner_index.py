"""The learner index has every profile, as it is, whatever died or came late; and nothing of who was erased."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from gateway.wiring import initialise
from ingest.commands.erasures import ErasureCall, erase
from ingest.commands.learners import ProfileCall, profile_write, save_profile
from ingest.importers.sample import load_sample
from ingest.learner_index.check import LEARNER_CHECK, LearnerCheckReport, check_learners, fill_learner_index
from ingest.learner_index.indexer import LearnerIndexer
from ingest.learner_index.sync import LearnerCounts, sync_learners
from ingest.workers.worker import Worker
from rules.errors import StoreUnavailable
from rules.learner_search import LearnerDocument, LearnerOrder, LearnerText
from rules.learners import Learner
from rules.moments import microseconds
from stores.events import Message
from stores.learner_search import LearnerQuery, LearnerWrite
from stores.rows import Write
from stores.tables import JOBS, LEARNERS
from stores.topics import PROFILES
from tests.conftest import NOW, Instance
from tests.ingest.interruptions import Interruption, dies


async def indexed(cohort: Instance, *users: str) -> dict[str, LearnerDocument]:
    found = await cohort.stores.learner_search.documents(users)
    return {user: one.document for user, one in found.items()}


async def found(cohort: Instance, text: str) -> list[str]:
    query = LearnerQuery(text=LearnerText.of(text), order=LearnerOrder.RELEVANCE, first=200)
    return [hit.user_id for hit in (await cohort.stores.learner_search.find(query)).hits]


async def settle(cohort: Instance) -> None:
    await cohort.drain()
    await cohort.index_learners()


def event(user: str, name: str, days_ago: int) -> Message:
    profile = {"userId": user, "name": name, "updatedOn": (NOW - timedelta(days=days_ago)).isoformat()}
    return Message(user, orjson.dumps(profile))


async def test_a_profile_is_found_whichever_way_it_came_and_the_newest_wins(cohort: Instance) -> None:
    service = cohort.session()
    await save_profile(service, ProfileCall("Ann Lovelace", {"region": "North"}, "ann", NOW))
    await cohort.stores.events.send(PROFILES.name, event("bob", "Bob Babbage", 2))
    await settle(cohort)
    assert await indexed(cohort, "ann", "bob", "eve") == {
        "ann": LearnerDocument("ann", "Ann Lovelace", {"region": "North"}),
        "bob": LearnerDocument("bob", "Bob Babbage"),
    }
    await cohort.stores.events.send(PROFILES.name, event("ann", "Old Name", 3), event("bob", "Robert", 1))
    await settle(cohort)
    assert await found(cohort, "lovelace") == ["ann"]
    assert await found(cohort, "old") == []
    assert (await found(cohort, "robert"), await found(cohort, "babbage")) == (["bob"], [])


async def test_the_learners_of_the_sample_are_found(embedded: Instance) -> None:
    await load_sample(embedded.shared)
    await settle(embedded)
    query = LearnerQuery(first=200)
    assert (await embedded.stores.learner_search.find(query)).total == 60
    (ada,) = await found(embedded, "oka ada")
    assert (await indexed(embedded, ada))[ada].name == "Ada Okafor"


@pytest.mark.parametrize("after", [False, True])
async def test_a_worker_or_an_indexer_that_dies_anywhere_loses_no_profile(
    embedded: Instance, *, after: bool
) -> None:
    """Its records are not committed, so the next turn begins anew."""
    died = 0
    for step in range(5):
        user = f"u{step}"
        await save_profile(embedded.session(), ProfileCall(f"Name {user}", {}, user, NOW))
        of_worker = Interruption(step, dies, after=after)
        await embedded.drain(Worker(of_worker.of(embedded.shared), wait=0.005))
        of_index = Interruption(0, dies, after=after)
        stores = embedded.stores
        broken = replace(stores, learner_search=of_index._around(stores.learner_search, {"write"}))
        await embedded.index_learners(LearnerIndexer(replace(embedded.shared, stores=broken), wait=0.005))
        assert of_index.happened
        died += of_worker.happened
        assert (await indexed(embedded, user))[user].name == f"Name {user}"
    assert died >= 1


async def test_while_the_search_is_away_the_workers_go_on_and_nothing_is_lost(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> object:
        raise StoreUnavailable("the learners is away")

    engine = type(embedded.stores.learner_search)
    with monkeypatch.context() as while_away:
        for call in ("documents", "write", "find"):
            while_away.setattr(engine, call, away)
        await save_profile(embedded.session(), ProfileCall("Ann", {}, "ann", NOW))
        await embedded.drain()
        assert await embedded.lag() == 0
        with pytest.raises(TimeoutError):
            await embedded.index_learners(within=0.5)
    assert await embedded.unindexed() == 1
    await embedded.index_learners()
    assert await found(embedded, "ann") == ["ann"]


async def test_an_erased_learner_is_gone_for_good_and_a_late_replay_brings_nothing_back(
    cohort: Instance,
) -> None:
    await save_profile(cohort.session(), ProfileCall("Ann Lovelace", {}, "ann", NOW - timedelta(days=2)))
    await save_profile(cohort.session(), ProfileCall("Bob", {}, "bob", NOW - timedelta(days=2)))
    await settle(cohort)
    await erase(cohort.session(), ErasureCall(user_id="ann"))
    await settle(cohort)
    assert (await found(cohort, "ann"), await found(cohort, "bob")) == ([], ["bob"])
    await cohort.stores.events.send(PROFILES.name, event("ann", "Ann Lovelace", 1))
    await settle(cohort)
    assert await indexed(cohort, "ann", "bob") == {"bob": LearnerDocument("bob", "Bob")}

    cohort.sets_clock(NOW + timedelta(hours=1))
    await save_profile(cohort.session("ann"), ProfileCall("Ann anew"))
    await settle(cohort)
    assert await found(cohort, "ann") == ["ann"], "who comes back afterwards is found"


async def test_the_file_forgets_an_erased_learner_although_the_indexer_died_before_it_did(
    embedded: Instance,
) -> None:
    user = "learner-ZQXJ"
    await save_profile(embedded.session(), ProfileCall("Qwertz Uiop", {}, user, NOW))
    await settle(embedded)
    assert b"qwertz" in bytes_of(embedded)
    await erase(embedded.session(), ErasureCall(user_id=user))
    await embedded.drain()
    assert (await sync_learners(embedded.shared, [user])).extra == 1, "and then it dies"
    await embedded.index_learners()
    for trace in (b"ZQXJ", b"Qwertz", b"qwertz"):
        assert trace not in bytes_of(embedded)


def bytes_of(instance: Instance) -> bytes:
    return b"".join(path.read_bytes() for path in instance.data.glob("search-learners.db*"))


async def test_a_profile_that_is_erased_between_its_read_and_the_write_does_not_stay(
    cohort: Instance,
) -> None:
    user = "nobody-else"  # so that the deletion hides no other test's row
    await cohort.stores.rows.write(profile_write(Learner(user, "Ann", {}, NOW)))
    search = cohort.stores.learner_search

    async def erasure() -> None:
        await cohort.stores.rows.write(Write(LEARNERS, (user,), {}, microseconds(NOW) + 1, delete=True))
        assert await sync_learners(cohort.shared, [user]) == LearnerCounts(), "it finds nothing to delete yet"

    slow: Any = Interruption(0, erasure)._around(search, {"write"})
    shared = replace(cohort.shared, stores=replace(cohort.stores, learner_search=slow))
    assert await sync_learners(shared, [user]) == LearnerCounts(missing=1, extra=1)
    assert await indexed(cohort, user) == {}


async def test_who_is_late_overwrites_nothing(cohort: Instance) -> None:
    """The one read the first profile, and writes after another has written the second."""
    await cohort.stores.rows.write(profile_write(Learner("ann", "First", {}, NOW)))

    async def other() -> None:
        await cohort.stores.rows.write(
            profile_write(Learner("ann", "Second", {}, NOW + timedelta(seconds=1)))
        )
        await sync_learners(cohort.shared, ["ann"])

    slow: Any = Interruption(0, other)._around(cohort.stores.learner_search, {"write"})
    await sync_learners(replace(cohort.shared, stores=replace(cohort.stores, learner_search=slow)), ["ann"])
    assert await found(cohort, "second") == ["ann"]
    assert await found(cohort, "first") == []


async def damaged(cohort: Instance) -> None:
    """Ann is missing, Bob has another name, Eve has no profile, Dan is right."""
    for user in ("ann", "bob", "dan"):
        await cohort.stores.rows.write(profile_write(Learner(user, f"Name of {user}", {}, NOW)))
    await sync_learners(cohort.shared, ["bob", "dan"])
    bob = (await cohort.stores.learner_search.documents(["bob"]))["bob"]
    wrong = [
        LearnerWrite("bob", LearnerDocument("bob", "Robert"), bob.revision),
        LearnerWrite("eve", LearnerDocument("eve", "Eve"), None),
    ]
    assert await cohort.stores.learner_search.write(wrong) == []


async def test_a_damaged_index_is_found_and_repaired(cohort: Instance) -> None:
    await damaged(cohort)
    differs = LearnerCounts(missing=1, changed=1, extra=1)
    assert await check_learners(cohort.shared, repair=False) == LearnerCheckReport(3, differs, 0)
    repaired = await check_learners(cohort.shared, repair=True)
    assert repaired == LearnerCheckReport(3, differs, 3)
    assert repaired.remaining == 0
    assert await check_learners(cohort.shared, repair=False) == LearnerCheckReport(3)
    assert set(await indexed(cohort, "ann", "bob", "dan", "eve")) == {"ann", "bob", "dan"}


async def test_init_fills_the_index_of_an_instance_that_had_none_once(cohort: Instance) -> None:
    for number in range(40):
        await cohort.stores.rows.write(profile_write(Learner(f"u{number}", f"Name {number}", {}, NOW)))
    assert "filled the learner index from 40 profiles" in await initialise(cohort.stores)
    assert len(await found(cohort, "name")) == 40
    assert not [line for line in await initialise(cohort.stores) if "learner index" in line]


async def test_a_filling_that_died_goes_on(embedded: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.learner_index.check.PAGE", 5)
    for number in range(40):
        await embedded.stores.rows.write(profile_write(Learner(f"u{number}", f"Name {number}", {}, NOW)))
    engine, calls = type(embedded.stores.learner_search), [0]
    write: Callable[..., Awaitable[Any]] = engine.write

    async def breaks(self: Any, writes: Sequence[LearnerWrite]) -> Any:
        calls[0] += 1
        if calls[0] == 4:
            await dies()
        return await write(self, writes)

    with monkeypatch.context() as broken:
        broken.setattr(engine, "write", breaks)
        with pytest.raises(StoreUnavailable):
            await fill_learner_index(embedded.shared)
    assert 0 < len(await found(embedded, "name")) < 40
    embedded.sets_clock(NOW + timedelta(hours=1))
    assert await fill_learner_index(embedded.shared) == ["filled the learner index from 40 profiles"]
    assert len(await found(embedded, "name")) == 40


async def test_the_job_of_a_check_names_nobody(embedded: Instance) -> None:
    await damaged(embedded)
    await check_learners(embedded.shared, repair=True)
    rows = [
        row
        for token_range in embedded.stores.rows.ranges(1)
        async for page in embedded.stores.rows.walk(JOBS, token_range)
        for row in page.rows
        if row["kind"] == LEARNER_CHECK.name
    ]
    assert rows
    text = repr([[row[name] for name in ("arguments", "checkpoint", "report")] for row in rows])
    for user in ("ann", "bob", "dan", "eve"):
        assert user not in text
