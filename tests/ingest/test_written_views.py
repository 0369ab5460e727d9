"""What a process remembers of views that it wrote saves reads, and never counts by itself (loaders/written_views.py)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.erasures import ErasureCall, erase
from ingest.commands.views import Acknowledged, end_view, start_view, update_view
from loaders.session import Session
from loaders.views import row_key, view_of
from loaders.written_views import TRY_EVERY, WrittenViews
from rules.errors import StatusGoesDown, ViewNotStarted
from rules.identifiers import ViewKey
from rules.progress import Status
from rules.views import View, ViewChange
from stores.rows import Write
from stores.tables import VIEWS
from tests.conftest import NOW, Instance

A = ViewCall("a", "course", "batch")


def at(session: Session, seconds: int) -> Session:
    """The same, so many seconds later."""
    return replace(session, shared=replace(session.shared, now=lambda: NOW + timedelta(seconds=seconds)))


async def update(session: Session, seconds: int, **change: object) -> Acknowledged:
    then = at(session, seconds)
    return await update_view(then, A, ViewChange(then.now(), **change))  # type: ignore[arg-type]


async def stored(cohort: Instance) -> View | None:
    rows = await cohort.stores.rows.partition(VIEWS, ("ann", "course"))
    return view_of(rows[0]) if rows else None


@asynccontextmanager
async def another_process(cohort: Instance) -> AsyncIterator[Session]:
    async with cohort.opened() as shared:
        shared = replace(shared, tracking=cohort.shared.tracking)
        yield Session(cohort.session("ann").viewer, shared)


async def test_a_player_s_updates_read_nothing_where_the_same_process_takes_them(published: Instance) -> None:
    session = published.session("ann")
    await start_view(session, A)
    for number in range(1, 4):
        with published.stores.rows.meter.measure() as sent:
            done = await update(session, number, progress=10 * number, time_spent=5, call_id=f"{number}")
        assert dict(sent) == {f"conditional update {VIEWS.name}": 1}
        assert (done.view.progress, done.view.time_spent) == (10 * number, 5 * number)
    with published.stores.rows.meter.measure() as sent:
        then = at(session, 9)
        await end_view(then, A, ViewChange(then.now(), time_spent=1, call_id="end"))
    assert dict(sent) == {f"conditional update {VIEWS.name}": 1}
    view = await stored(published)
    assert view is not None
    assert (view.status, view.progress, view.time_spent) == (Status.COMPLETED, 100, 16)
    assert view.recent_calls == ("1", "2", "3", "end")


async def test_a_call_sent_again_counts_once_whatever_is_remembered(published: Instance) -> None:
    session = published.session("ann")
    await start_view(session, A)
    for _ in range(3):
        await update(session, 1, time_spent=5, call_id="same")
    view = await stored(published)
    assert view is not None
    assert view.time_spent == 5


@pytest.mark.parametrize("older", [False, True], ids=["now", "of before"])
async def test_what_another_process_wrote_meanwhile_stays(published: Instance, *, older: bool) -> None:
    """Also where it tells an older time, so that nothing but the details and the call's id differs."""
    session = published.session("ann")
    await start_view(session, A)
    await update(session, 10, progress=20, time_spent=5, progress_details={"page": 1}, call_id="mine")
    async with another_process(published) as other:
        change = {"progress_details": {"page": 2}, "call_id": "theirs"}
        await update(other, 5 if older else 15, **change if older else {**change, "time_spent": 7})
    done = await update(session, 20, progress=30, call_id="last")
    assert done.whole
    assert done.view.progress_details == {"page": 2}
    view = await stored(published)
    assert view is not None
    assert (view.progress, view.time_spent) == (30, 5 if older else 12)
    assert view.recent_calls == ("mine", "theirs", "last")
    assert view.progress_details == {"page": 2}


async def test_details_are_written_and_never_remembered(published: Instance) -> None:
    session = published.session("ann")
    await start_view(session, A)
    await update(session, 1, progress=1, progress_details={"page": 1})
    assert all(view.progress_details is None for view in published.shared.written_views._kept.values())
    done = await update(session, 2, progress=2)
    assert not done.whole  # whoever asks for the details gets them from the row
    view = await stored(published)
    assert view is not None
    assert view.progress_details == {"page": 1}


async def test_what_another_process_erased_is_not_brought_back(published: Instance) -> None:
    session = published.session("ann")
    await start_view(session, A)
    await update(session, 1, progress=40, time_spent=5, progress_details={"page": 1}, call_id="mine")
    async with another_process(published) as other:
        await erase(at(other, 60), ErasureCall())
        with pytest.raises(ViewNotStarted):
            await update(session, 61, progress=50)
        with pytest.raises(ViewNotStarted):
            await end_view(at(session, 62), A, ViewChange(NOW, time_spent=1))
        assert await stored(published) is None
        await start_view(session, A)  # by a clock that is late, to the same millisecond
        await start_view(at(session, 70), ViewCall("b", "course", "batch"))
    await update(session, 71, progress=1)
    view = await stored(published)
    assert view is not None
    assert (view.progress, view.time_spent, view.progress_details, view.recent_calls) == (1, 0, None, ())


async def test_an_erasure_here_leaves_nothing_in_memory(published: Instance) -> None:
    for user in ("ann", "bob"):
        await start_view(published.session(user), A)
    await erase(at(published.session("ann"), 1), ErasureCall())
    assert {key.user_id for key in published.shared.written_views._kept} == {"bob"}


async def test_a_refusal_by_what_is_remembered_is_one_by_the_row(published: Instance) -> None:
    session = published.session("ann")
    await start_view(session, A)
    with pytest.raises(StatusGoesDown):
        await update(session, 1, status=Status.NOT_STARTED)
    with published.stores.rows.meter.measure() as sent:
        await update(session, 2, progress=5)
    assert sent[f"select {VIEWS.name}"] == 1


def test_a_process_whose_guesses_are_wrong_reads_instead_and_tries_again_now_and_then() -> None:
    written, key = WrittenViews(), ViewKey("ann", "course", "batch", "a")

    def guessed() -> bool:
        written.keep(View(key, Status.IN_PROGRESS))
        return written.guess(key) is not None

    assert guessed()
    for _ in range(3):
        written.tell(right=False)
    assert sum(guessed() for _ in range(2 * TRY_EVERY)) == 2
    for _ in range(10):
        written.tell(right=True)
    assert guessed()


async def test_a_later_access_that_came_alone_is_not_set_back(published: Instance) -> None:
    """As an import brings it: it changes nothing else of the row."""
    session = published.session("ann")
    await start_view(session, A)
    await update(session, 10, progress=20, call_id="mine")
    later = {"last_access_time": NOW + timedelta(seconds=60)}
    await published.stores.rows.write(
        Write(VIEWS, row_key(ViewKey("ann", "course", "batch", "a")), later, insert=False)
    )
    done = await update(session, 30, progress=30, call_id="last")
    view = await stored(published)
    assert view is not None
    assert view.progress == 30
    assert view.last_accessed_on == done.view.last_accessed_on == NOW + timedelta(seconds=60)
