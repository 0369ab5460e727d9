"""What learners may rely on when they take their enrolments along, and who runs the store they are kept in."""

import re
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import orjson
import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.exports import LIVE_MOST, delete_exports, exports_of, sweep_exports, write_export
from ingest.commands.views import end_view, start_view
from loaders.session import Session
from resolvers import summaries
from resolvers.summaries import DIRECT, download, read_summary, summaries_page
from rules.errors import Forbidden, LimitReached, NotFound, StoreUnavailable, Unauthenticated
from rules.progress import Progress, Status
from rules.scores import Score
from rules.summaries import CollectionNote, SummaryFormat
from rules.viewers import Role, Viewer
from rules.views import ViewChange
from stores.rows import Write
from stores.tables import ATTEMPTS, ENROLMENTS
from tests.conftest import COURSE, NOW, Instance

CERTIFICATE = {"identifier": "c-1", "name": "Course done", "token": "t"}


async def learn(course: Instance, user: str = "ada") -> None:
    """Enrolled, with a and b of the required a, b, c done; c begun; two attempts at b."""
    session = course.session(user)
    await enrol(session, EnrolmentCall("course", "batch"))
    for content in "abc":
        await start_view(session, ViewCall(content, "course", "batch"))
    for content in "ab":
        await end_view(session, ViewCall(content, "course", "batch"), ViewChange(NOW))
    attempts = {("batch", "1"): 3.0, ("batch", "2"): 8.0, ("other", "3"): 9.0}
    await course.stores.rows.write(
        *(
            Write(
                ATTEMPTS,
                (user, "course", context, "b", attempt),
                {"total_score": score, "total_max_score": 10.0},
            )
            for (context, attempt), score in attempts.items()
        ),
        Write(ENROLMENTS, (user, "course", "batch"), {"certificates": [CERTIFICATE]}, insert=False),
    )


async def content_of(instance: Instance, url: str) -> bytes:
    """What is behind the link, as a client gets it: of S3 over HTTP, of files through the gateway (test_blobs.py there)."""
    if url.startswith("http"):
        async with httpx.AsyncClient(timeout=60) as client:
            return (await client.get(url)).raise_for_status().content
    name = unquote(urlsplit(url).path).removeprefix("/blobs/")
    return b"".join([chunk async for chunk in instance.stores.blobs.get(name)])


async def stored(instance: Instance) -> list[str]:
    return [blob.name async for blob in instance.stores.blobs.below("exports")]


async def test_one_enrolment_tells_all_that_the_platforms_summary_tells(course: Instance) -> None:
    await course.publish({**COURSE, "description": "All of it", "appIcon": "logo.png"})
    await learn(course)
    found = await read_summary(course.session("ada"), "ada", "course", "batch")
    assert (found.key.collection_id, found.key.context_id, found.active) == ("course", "batch", True)
    assert found.enrolled_on == NOW
    assert found.progress == Progress(Status.IN_PROGRESS, 2, 3)
    assert found.content_status == {"a": 2, "b": 2, "c": 1}
    assert found.scores == {"b": Score(8.0, 10.0)}
    assert found.certificates == (CERTIFICATE,)
    assert found.collection == CollectionNote("course", "Course", 4, "logo.png", "All of it")
    assert (found.completed_on, found.last_accessed_on) == (None, NOW)
    with pytest.raises(NotFound):
        await read_summary(course.session("ada"), "ada", "course", "elsewhere")


async def test_an_enrolment_is_told_although_its_collection_is_gone(embedded: Instance) -> None:
    row = {"active": True, "enrolled_on": NOW, "status": 1, "progress": 2}
    await embedded.stores.rows.write(Write(ENROLMENTS, ("ada", "gone", "gone"), row))
    found = await read_summary(embedded.session("ada"), "ada", "gone", "gone")
    assert (found.collection, found.content_status, found.scores) == (None, {}, {})
    assert (found.progress.status, found.progress.completed_count) == (Status.IN_PROGRESS, 2)


async def test_a_file_has_every_enrolment_and_its_link_expires(course: Instance) -> None:
    await learn(course)
    await course.batch("a-batch")
    await enrol(course.session("ada"), EnrolmentCall("course", "a-batch"))
    await unenrol(course.session("ada"), EnrolmentCall("course", "a-batch"))

    as_csv = await download(course.session("ada"), "ada", SummaryFormat.CSV)
    assert (as_csv.rows, as_csv.expires_on) == (2, NOW + timedelta(hours=1))
    assert as_csv.url is not None
    content = await content_of(course, as_csv.url)
    assert len(content) == as_csv.size
    assert content.decode() == (
        "courseid,batchid,status,completionpercentage,progress,completedon,enrolleddate,"
        "lastcontentaccesstime,certificatescount\r\n"
        "course,a-batch,0,0,0,,2026-03-01T12:00:00.000Z,,0\r\n"
        "course,batch,1,66,2,,2026-03-01T12:00:00.000Z,2026-03-01T12:00:00.000Z,1\r\n"
    )

    as_json = await download(course.session("ada"), "ada", SummaryFormat.JSON)
    assert as_json.url is not None
    ended, going_on = orjson.loads(await content_of(course, as_json.url))["summary"]
    assert (ended["contextId"], ended["active"], ended["status"]) == ("a-batch", False, 0)
    assert going_on["contentStatus"] == {"a": 2, "b": 2, "c": 1}
    assert going_on["assessmentStatus"] == {"b": {"score": 8.0, "max_score": 10.0}}
    assert going_on["issuedCertificates"] == [CERTIFICATE]
    assert going_on["collection"] == {"identifier": "course", "name": "Course", "leafNodesCount": 4}

    assert all(name.startswith(f"{exports_of('ada')}/") for name in await stored(course))
    # As a whole part: the random ones are hexadecimal, and hold "ada" by chance now and then.
    assert "ada" not in re.split(r"[^0-9a-z]+", as_csv.url)
    assert await delete_exports(course.stores.blobs, "ada") == 2
    assert await stored(course) == []


async def test_a_small_file_is_answered_itself_where_that_is_asked_for(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    found = await download(embedded.session("eve"), "eve", SummaryFormat.JSON, direct=True)
    assert (found.content, found.url, found.rows) == (b'{"summary":[]}', None, 0)
    await learn(embedded)
    found = await download(embedded.session("ada"), "ada", SummaryFormat.CSV, direct=True)
    assert found.content is not None
    assert found.content.count(b"\r\n") == 2
    assert found.size == len(found.content)
    assert await stored(embedded) == []


async def test_only_who_may_see_a_learner_gets_their_file(embedded: Instance) -> None:
    with pytest.raises(Forbidden):
        await download(embedded.session("eve"), "ada", SummaryFormat.CSV)
    with pytest.raises(Unauthenticated):
        await download(Session(Viewer(), embedded.shared), "ada", SummaryFormat.CSV)
    for role in (Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE):
        assert (await download(embedded.session("eve", role), "ada", SummaryFormat.CSV)).url
    for call in (
        summaries_page(embedded.session("eve"), "ada", first=1, after=None),
        read_summary(embedded.session("eve"), "ada", "course", "batch"),
    ):
        with pytest.raises(Forbidden):
            await call


async def test_what_has_expired_goes_with_the_learners_next_download_and_with_a_sweep(
    embedded: Instance,
) -> None:
    for user in ("ada", "ben"):
        await download(embedded.session(user), user, SummaryFormat.CSV)
    later = replace(embedded.shared, now=lambda: NOW + timedelta(hours=1))
    before = await stored(embedded)
    await download(Session(embedded.session("ada").viewer, later), "ada", SummaryFormat.CSV)
    left = await stored(embedded)
    assert len(left) == 2
    assert len(set(left) & set(before)) == 1, "only ben's is left of those before"
    assert await sweep_exports(embedded.stores.blobs, NOW + timedelta(minutes=59)) == 0
    assert await sweep_exports(embedded.stores.blobs, NOW + timedelta(hours=1)) == 1
    assert await delete_exports(embedded.stores.blobs, "ben") == 0
    assert len(await stored(embedded)) == 1


async def test_a_viewer_has_only_so_many_files_of_a_learner_and_locks_nobody_else_out(
    embedded: Instance,
) -> None:
    for _ in range(LIVE_MOST):
        await download(embedded.session("ada"), "ada", SummaryFormat.CSV)
    with pytest.raises(LimitReached, match="20 downloads"):
        await download(embedded.session("ada"), "ada", SummaryFormat.CSV)
    mentor = embedded.session("mo", Role.MENTOR)
    for _ in range(LIVE_MOST):
        await download(mentor, "ben", SummaryFormat.CSV)
    with pytest.raises(LimitReached, match="wait for you"):
        await download(mentor, "ben", SummaryFormat.CSV)
    await download(embedded.session("ben"), "ben", SummaryFormat.CSV)


async def test_a_file_that_could_not_be_finished_is_not_there(embedded: Instance) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half of it"
        raise StoreUnavailable("the rows are away")

    with pytest.raises(StoreUnavailable, match="the rows are away"):
        await write_export(embedded.session("ada"), "ada", "summary.csv", broken())
    assert await stored(embedded) == []


def test_names_tell_nobody_whose_they_are_and_differ() -> None:
    assert exports_of("ada") != exports_of("ben")
    assert "ada" not in exports_of("ada").removeprefix("exports/")


MANY = 2_000


@pytest.fixture
async def busy(course: Instance) -> Instance:
    """Ada, enrolled in 2,000 batches of one course."""
    await course.stores.rows.write(
        *(
            Write(
                ENROLMENTS,
                ("ada", "course", f"b{number:04}"),
                {"active": True, "enrolled_on": NOW, "changed_at": 1, "seen_changed_at": 1},
            )
            for number in range(MANY)
        )
    )
    return course


async def test_two_thousand_enrolments_cost_the_same_statements_a_page_and_are_never_in_memory_together(
    busy: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: list[dict[str, int]] = []
    alive: list[int] = []
    page_of: Callable[..., Any] = summaries._page

    async def counted(*args: Any, **kwargs: Any) -> Any:
        with busy.stores.rows.meter.measure() as counts:
            page = await page_of(*args, **kwargs)
        costs.append(dict(counts))
        alive.append(len(page.members))
        return page

    monkeypatch.setattr(summaries, "_page", counted)
    found = await download(busy.session("ada"), "ada", SummaryFormat.JSON, direct=True)
    assert (found.rows, found.content) == (MANY, None), f"more than {DIRECT}: a link"
    assert alive == [200] * 10
    # What is kept of the collection and of contexts is read with the first; the last has no row after its own.
    assert all(cost == costs[1] for cost in costs[2:]), costs
    assert sum(costs[1].values()) <= 12, costs[1]
    assert found.url is not None
    told = orjson.loads(await content_of(busy, found.url))["summary"]
    assert [one["contextId"] for one in told] == [f"b{number:04}" for number in range(MANY)]
    await delete_exports(busy.stores.blobs, "ada")


async def test_a_file_ten_times_as_long_takes_no_more_memory(embedded: Instance) -> None:
    async def content(pages: int) -> AsyncIterator[bytes]:
        for _ in range(pages):
            yield b"x" * 500_000

    async def peak(pages: int) -> int:
        tracemalloc.start()
        await write_export(embedded.session("ada"), "ada", "summary.csv", content(pages))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    await peak(1)
    assert await peak(40) < await peak(4) + 4_000_000  # 18 MB less than what comes
