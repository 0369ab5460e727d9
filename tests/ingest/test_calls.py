"""What the protocol of a call promises (ingest/calls/acknowledgement.py), whoever dies between any two of its steps."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.closing import close_own_idle_views
from ingest.commands.content_states import update_states
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view, update_view
from ingest.jobs.reconcile import reconcile
from ingest.modes.strategies import Copy, Strict
from ingest.writes.announcement import Announcement
from loaders.session import Session
from loaders.touches import DEAD_AFTER, hash_key
from resolvers.enrolments import enrolments_page
from rules.content_states import ContentState
from rules.errors import InvalidInput, StoreUnavailable
from rules.identifiers import ProgressKey
from rules.progress import Status
from rules.tracking import TrackingMode
from rules.views import ViewChange
from stores.tables import VIEWS
from tests.conftest import NOW, Instance
from tests.ingest.interruptions import Interruption, dies

pytestmark = pytest.mark.long

ALWAYS = '{"rules": [{"type": "always"}]}'
LONG_AGO = NOW - timedelta(days=40)
A = ViewCall("a", "course", "batch")


async def starts_another(session: Session) -> None:
    await start_view(session, ViewCall("b", "course", "batch"))


async def updates(session: Session) -> None:
    await update_view(session, A, ViewChange(NOW, progress=60, call_id="update"))


async def ends(session: Session) -> None:
    await end_view(session, A, ViewChange(NOW))


async def sends_states(session: Session) -> None:
    states = [ContentState(c, Status.COMPLETED, "course", "batch") for c in "ab"]
    for outcome in await update_states(session, states):
        if isinstance(outcome, Exception):
            raise outcome


async def closes(session: Session) -> None:
    await close_own_idle_views(session, timedelta(days=30))


async def enrols(session: Session) -> None:
    await enrol(session, EnrolmentCall("course", "batch", at=None))


STARTED, COMPLETED = Status.IN_PROGRESS, Status.COMPLETED
CALLS: Mapping[str, tuple[Callable[[Session], Awaitable[None]], dict[str, Status], int]] = {
    # The mark, the scope, the row, the trigger, the hash; a scope that is known is not written again.
    "start": (starts_another, {"a": STARTED, "b": STARTED}, 4),
    "update": (updates, {"a": STARTED}, 4),
    "end": (ends, {"a": COMPLETED}, 4),
    "states": (sends_states, {"a": COMPLETED, "b": COMPLETED}, 4),
    # After these four, triggers of what was closed before: none.
    "closing": (closes, {"a": COMPLETED}, 5),
}
"""What each does, the views in the end, and how many steps change something."""


async def rows_say(cohort: Instance, user: str) -> dict[str, Status]:
    rows = await cohort.stores.rows.partition(VIEWS, (user, "course"))
    return {row["contentid"]: Status(row["status"]) for row in rows if row["contextid"] == "batch"}


async def reads_say(cohort: Instance, user: str, after: timedelta) -> dict[str, Status]:
    """What a reader sees so long after the call."""
    cohort.sets_clock(NOW + after)
    touches = await cohort.session(user).loaders.touches.load(ProgressKey(user, "course", "batch"))
    cohort.sets_clock(NOW)
    return {content: touch.status for content, touch in touches.items()}


async def is_whole(cohort: Instance, user: str) -> None:
    """Readers see what the rows say; a look heals, and then the workers leave nothing that differs from a recount."""
    assert await reads_say(cohort, user, timedelta(0)) == await rows_say(cohort, user)
    later = DEAD_AFTER + timedelta(seconds=1)
    assert await reads_say(cohort, user, later) == await rows_say(cohort, user)
    await cohort.shared.background.settled()
    await cohort.drain()
    assert (await reconcile(cohort.shared, user_id=user)).drifted == 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", CALLS)
async def test_killed_at_any_step_a_call_is_done_or_not_and_may_be_sent_again(
    published: Instance, name: str, *, after: bool
) -> None:
    call, wanted, steps = CALLS[name]
    step, reached = 0, True
    while reached:
        user = f"learner-{step}"
        await start_view(published.session(), ViewCall("a", "course", "batch", user, LONG_AGO))
        await published.shared.background.settled()
        await published.drain()
        before = await rows_say(published, user)
        interruption = Interruption(step, dies, after=after)
        dying = Session(published.session(user).viewer, interruption.of(published.shared, cache=True))
        with suppress(StoreUnavailable):
            await call(dying)
        await published.shared.background.settled()
        reached = interruption.happened
        assert await rows_say(published, user) in (before, wanted)
        await is_whole(published, user)
        await call(published.session(user))
        await published.shared.background.settled()
        assert await rows_say(published, user) == wanted
        await is_whole(published, user)
        step += 1
    assert step - 1 == steps


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_step_views_that_follow_from_others_are_there_in_the_end(
    published: Instance, *, after: bool
) -> None:
    """Copies into a new enrolment: the workers, who write them too, end what a dead call began."""
    published.track(TrackingMode.COPY, ALWAYS)
    step, reached = 0, True
    while reached:
        user = f"learner-{step}"
        session = published.session(user)
        await start_view(session, ViewCall("a"))
        await end_view(session, ViewCall("a"), ViewChange(NOW))
        await published.shared.background.settled()
        await published.drain()
        interruption = Interruption(step, dies, after=after)
        dying = Session(session.viewer, interruption.of(published.shared, cache=True))
        with suppress(StoreUnavailable):
            await enrols(dying)
        await published.shared.background.settled()
        reached = interruption.happened
        await enrolments_page(published.session(user), user, first=10, after=None, active=True)
        await is_whole(published, user)
        await enrols(published.session(user))
        await published.shared.background.settled()
        await published.drain()
        assert await rows_say(published, user) == {"a": COMPLETED}
        await is_whole(published, user)
        step += 1
    # The enrolment, the scope, the mark, the copies, the hash, the trigger.
    assert step - 1 == 6


async def test_a_refusal_takes_its_mark_back_and_a_store_that_is_away_leaves_it(published: Instance) -> None:
    key = ProgressKey("ann", "course", "batch")

    async def marks() -> int:
        (fields,) = await published.stores.cache.hashes([hash_key(key)])
        return sum(name.startswith("!") for name in fields)

    session = published.session("ann")
    with pytest.raises(Exception, match="start it first"):
        await end_view(session, A, ViewChange(NOW))
    assert await marks() == 0
    interruption = Interruption(2, dies)  # the row
    dying = Session(session.viewer, interruption.of(published.shared, cache=True))
    with pytest.raises(StoreUnavailable):
        await start_view(dying, A)
    assert await marks() == 1
    assert await reads_say(published, "ann", timedelta(0)) == await rows_say(published, "ann") == {}


@pytest.mark.parametrize("name", CALLS)
async def test_no_row_is_written_before_the_cache_has_the_mark(published: Instance, name: str) -> None:
    """Whatever else goes on beside the mark: a reader would trust a hash that lacks the change."""
    call, wanted, _ = CALLS[name]
    await start_view(published.session(), ViewCall("a", "course", "batch", "ann", LONG_AGO))
    await published.shared.background.settled()
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    interruption = Interruption(0, waits)
    held = Session(published.session("ann").viewer, interruption.of(published.shared, cache=True))
    calling = asyncio.ensure_future(call(held))
    while not interruption.happened:
        await asyncio.sleep(0)
    for _ in range(5):
        assert await rows_say(published, "ann") == {"a": STARTED}
    assert not calling.done()
    gate.set()
    await calling
    assert await rows_say(published, "ann") == wanted


async def test_what_is_refused_beside_the_mark_leaves_no_mark(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the cache is slow to set it: else readers would go to the rows until a call that was never made counts as dead."""
    cache, key = published.shared.stores.cache, ProgressKey("ann", "course", "batch")
    sound, calls = cache.raise_fields, []

    async def slow_at_first(*args: Any, **more: Any) -> None:
        calls.append(args)
        if len(calls) == 1:
            await asyncio.sleep(0.05)
        await sound(*args, **more)

    async def refused() -> None:
        while not calls:
            await asyncio.sleep(0)
        raise InvalidInput("not so", field="views")

    monkeypatch.setattr(cache, "raise_fields", slow_at_first)
    with pytest.raises(InvalidInput):
        async with Announcement(published.shared).writing([key], refused()):
            raise AssertionError("nothing may be written")
    await asyncio.sleep(0.1)
    (fields,) = await cache.hashes([hash_key(key)])
    assert len(calls) == 2, "the mark, and its taking back"
    assert not [name for name in fields if name.startswith("!")]


async def dies_before_its_trigger(
    cohort: Instance, user: str, call: Callable[[Session], Awaitable[None]]
) -> None:
    """The call has written all its rows, and nothing comes after."""
    events = cohort.shared.stores.events

    class Silent:
        def __getattr__(self, name: str) -> object:
            return getattr(events, name)

        async def send(self, *_: object) -> None:
            raise StoreUnavailable("this process died here")

    stores = replace(cohort.shared.stores, events=Silent())  # type: ignore[arg-type]
    with suppress(StoreUnavailable):
        await call(Session(cohort.session(user).viewer, replace(cohort.shared, stores=stores)))
    await cohort.shared.background.settled()


async def test_an_enrolment_whose_trigger_is_lost_gets_its_copies_by_any_other_trigger(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks, nobody sends the call again; the learner starts another view there."""
    published.track(TrackingMode.COPY, ALWAYS)
    session = published.session("ann")
    await start_view(session, ViewCall("a"))
    await end_view(session, ViewCall("a"), ViewChange(NOW))
    await published.drain()
    with monkeypatch.context() as patched:
        patched.setattr(Copy, "copy_into", Strict.copy_into)
        await dies_before_its_trigger(published, "ann", enrols)
    await start_view(session, ViewCall("b", "course", "batch"))
    await published.drain()
    assert await rows_say(published, "ann") == {"a": COMPLETED, "b": STARTED}


async def test_a_view_whose_trigger_is_lost_is_copied_although_another_trigger_came_first(
    published: Instance,
) -> None:
    """The workers have seen the partition's change by a trigger that names another content."""
    published.track(TrackingMode.COPY, ALWAYS)
    await published.batch("other")
    session = published.session("ann")
    for context in ("batch", "other"):
        await enrol(session, EnrolmentCall("course", context))
    await starts_another(session)
    await start_view(session, A)
    await published.shared.background.settled()
    await published.drain()
    await dies_before_its_trigger(published, "ann", ends)
    await update_view(session, ViewCall("b", "course", "batch"), ViewChange(NOW, progress=9, call_id="b"))
    await published.shared.background.settled()
    await published.drain()
    later = DEAD_AFTER + timedelta(seconds=1)
    assert (await reads_say(published, "ann", later))["a"] is COMPLETED
    await published.shared.background.settled()
    await published.drain()
    rows = await published.stores.rows.partition(VIEWS, ("ann", "course"), prefix=("course", "other"))
    assert [(row["contentid"], row["status"]) for row in rows] == [("a", COMPLETED)]


async def test_states_of_which_some_were_written_leave_their_mark(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no reader trusts the hash: of two writes the first was applied, and others keep changing the second."""
    monkeypatch.setattr("ingest.commands.content_states.LARGEST_WRITE", 1)
    rows, written = published.shared.stores.rows, 0
    sound = rows.write_together

    async def once(*arguments: Any) -> bool:
        nonlocal written
        written += 1
        return await sound(*arguments) if written == 1 else False

    monkeypatch.setattr(rows, "write_together", once)
    session = published.session("ann")
    states = [ContentState(c, COMPLETED, "course", "batch") for c in "ab"]
    with pytest.raises(StoreUnavailable, match="being changed by others"):
        await update_states(session, states)
    assert await rows_say(published, "ann") == {"a": COMPLETED}
    assert await reads_say(published, "ann", timedelta(0)) == {"a": COMPLETED}
    await is_whole(published, "ann")
