"""Exhausts: what is in them, that it is what the API says, who gets them, and what happens when something dies."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, unenrol
from ingest.commands.erasures import ErasureCall, erase
from ingest.commands.exhaust_files import ERASED_MEANWHILE, EXHAUST, EXHAUSTS
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view
from ingest.exhausts import job as job_module
from ingest.exhausts.files import Spool
from ingest.exhausts.reports import ProgressReport, ResponseReport
from ingest.exhausts.requests import ExhaustCall, create_exhaust, request_exhaust, run_exhaust
from ingest.jobs.erasure import erase_learner
from ingest.jobs.runner import Jobs
from ingest.workers.dead_letters import pending
from loaders.attempts import attempt_key
from loaders.questions import whole_attempt_of
from resolvers import enrolments
from resolvers.exhausts import exhaust, exhaust_link
from rules.errors import Conflict, Forbidden, InvalidInput, LimitReached, NotFound, StoreUnavailable
from rules.exhausts import PROGRESS_COLUMNS, RESPONSE_COLUMNS, Cells, ExhaustFormat, ExhaustKind
from rules.jobs import JobState
from rules.viewers import Role
from rules.views import ViewChange
from stores.column_files import ColumnKind, FileFormat, read_file
from stores.events import Message
from stores.tables import ATTEMPTS_WITH_QUESTIONS, JOBS
from stores.topics import EXHAUST_REQUESTS
from tests.archived_files import archive_questions
from tests.conftest import COURSE, NOW, Instance
from tests.ingest.exhausts import (
    attempted,
    call,
    content_of,
    csv_of,
    enrolled,
    exhausts_stored,
    read_csv,
    run_exhausts,
    written,
)
from tests.stores.zips import WrongPassword, unzipped

RESPONSES, PROGRESS = ExhaustKind.RESPONSES, ExhaustKind.PROGRESS
PASSWORD = "correct horse battery"


def told(rows: Sequence[Cells]) -> list[tuple[str, ...]]:
    """Learner, attempt, question and score of each row."""
    return [(row["User UUID"], row["Attempt Id"], row["Question Id"], row["Question Score"]) for row in rows]


# --- what is in them


async def test_responses_are_of_live_rows_and_archive_together_each_question_once(course: Instance) -> None:
    await enrolled(course, "cy", "ada", "bob")
    await attempted(course, "ada", "old")
    await attempted(course, "bob", "old", ["q1"])
    await attempted(course, "bob", "changed", ["q1"])
    await archive_questions(course.shared)
    # A newer version of an archived attempt is live; the archive still has the older one.
    await attempted(course, "bob", "changed", ["q1"], score=2.0, at=NOW + timedelta(minutes=1))
    await attempted(course, "ada", "new", ["q3"])
    await attempted(course, "ada", "elsewhere", ["q9"], context="other")
    rows = await csv_of(course, call())
    assert told(rows) == [
        ("ada", "new", "q3", "1.0"),
        ("ada", "old", "q1", "1.0"),
        ("ada", "old", "q2", "1.0"),
        ("bob", "changed", "q1", "2.0"),
        ("bob", "old", "q1", "1.0"),
    ]
    assert list(rows[0]) == list(RESPONSE_COLUMNS)
    assert list(rows[1].values()) == [
        *("course", "Course", "batch", "Batch batch", "ada", "b", "B", "old", "2026-03-01T12:00:00.000Z"),
        *("q1", "mcq", "Title q1", "", "3.0", "1.0", "2.0", '[{"1":"yes"}]', '[{"value":"1"}]'),
    ]


async def test_an_exhaust_is_the_same_before_and_after_archiving(course: Instance) -> None:
    await enrolled(course, "ada", "bob")
    for user in ("ada", "bob"):
        for number in range(3):
            await attempted(course, user, f"attempt-{number}", at=NOW + timedelta(days=number))
    before = [await csv_of(course, call(kind)) for kind in ExhaustKind]
    await archive_questions(course.shared, which=lambda whole: whole.attempt.attempt_id != "attempt-1")
    assert len(before[0]) == 12
    assert [await csv_of(course, call(kind)) for kind in ExhaustKind] == before


async def worked(course: Instance) -> None:
    """Ada has done a and b of a, b, c, and attempted b twice (2 of 4, then 4 of 4) and c once (1 of 2). Bob has left.
    Cy has done nothing, and nobody knows them."""
    await enrolled(course, "ada", "bob", "cy")
    for content in "ab":
        await start_view(course.session("ada"), ViewCall(content, "course", "batch"))
        await end_view(course.session("ada"), ViewCall(content, "course", "batch"), ViewChange(NOW))
    await attempted(course, "ada", "one")
    await attempted(course, "ada", "two", score=2.0)
    await attempted(course, "ada", "three", ["q5"], content="c")
    await attempted(course, "ada", "of what is no leaf", ["q5"], content="gone", score=2.0)
    await save_profile(course.session("ada"), ProfileCall("Ada", {"state": "Kerala", "school": "=A1"}))
    await unenrol(course.session("bob"), EnrolmentCall("course", "batch"))
    await course.drain()


async def test_progress_has_a_row_for_each_learner_who_is_or_was_enrolled(course: Instance) -> None:
    await worked(course)
    ada, bob, cy = await csv_of(course, call(PROGRESS))
    at = "2026-03-01T12:00:00.000Z"
    assert list(ada) == [*PROGRESS_COLUMNS, "b - Score", "c - Score"]
    assert {name: value for name, value in ada.items() if value} == {
        "Collection Id": "course",
        "Collection Name": "Course",
        "Batch Id": "batch",
        "Batch Name": "Batch batch",
        "User UUID": "ada",
        "User Name": "Ada",
        "State": "Kerala",
        "School Name": "'=A1",
        "Enrolment Date": at,
        "Active": "true",
        "Status": "In Progress",
        "Last Access Date": at,
        # 2 of 3 leaves; the best of b is 4 of 4, of c 1 of 2: 5 of 6.
        "Progress": "66",
        "Completed Count": "2",
        "Required Count": "3",
        "Total Score": "5.0",
        "Total Max Score": "6.0",
        "Score Percentage": "83",
        "Attempts": "3",
        "b - Score": "4.0",
        "c - Score": "1.0",
    }
    assert (bob["User UUID"], bob["Active"], bob["Unenrolment Date"], bob["Progress"]) == (
        *("bob", "false", at, "0"),
    )
    assert (cy["Status"], cy["Total Score"], cy["Attempts"], cy["b - Score"]) == ("Not Started", "", "0", "")


async def test_figures_are_those_that_the_api_tells_of_the_same_learner(course: Instance) -> None:
    """Also before the workers have seen a change, and after a new version requires more."""
    await worked(course)
    for change in ("none", "unseen view", "published anew"):
        if change == "unseen view":
            await start_view(course.session("cy"), ViewCall("a", "course", "batch"))
            await end_view(course.session("cy"), ViewCall("a", "course", "batch"), ViewChange(NOW))
        if change == "published anew":
            more = {"identifier": "e", "name": "E", "mimeType": "application/pdf"}
            await course.publish({**COURSE, "children": [*COURSE["children"], more]})
        for row in await csv_of(course, call(PROGRESS)):
            session = course.session(row["User UUID"])
            api = await enrolments.enrolment(session, row["User UUID"], "course", "batch")
            assert (int(row["Progress"]), int(row["Completed Count"]), int(row["Required Count"])) == (
                api.progress.completion_percentage,
                api.progress.completed_count,
                api.progress.required_count,
            ), (change, row)
            assert row["Status"].replace(" ", "_").upper() == api.progress.status.name
            assert row["Completion Date"] == (api.completed_on.isoformat() if api.completed_on else "")
            assert bool(row["Last Access Date"]) == (api.last_accessed_on is not None)
            api_score = await session.loaders.scores.load(api.enrolment.key)
            assert [
                row[name] for name in ("Total Score", "Total Max Score", "Score Percentage", "Attempts")
            ] == [
                str(value) if value is not None else ""
                for value in (api_score.score, api_score.max_score, api_score.percentage, api_score.attempts)
            ]


async def test_parquet_has_what_csv_has(course: Instance, tmp_path: Path) -> None:
    await worked(course)
    for kind in ExhaustKind:
        as_csv = await csv_of(course, call(kind))
        job = await written(course, call(kind, ExhaustFormat.PARQUET))
        path = tmp_path / f"{kind.value}.parquet"
        path.write_bytes(await content_of(course, job))
        columns = dict.fromkeys(as_csv[0], ColumnKind.TEXT)
        columns["Attempts" if kind is PROGRESS else "Question Score"] = ColumnKind.NUMBER
        rows = [row async for page in read_file(path, columns, FileFormat.PARQUET) for row in page]
        assert len(rows) == len(as_csv) > 2
        for row, line in zip(rows, as_csv, strict=True):
            assert row["User UUID"] == line["User UUID"]
            # Spreadsheets run no Parquet, so its texts are as they are.
            assert str(row.get("School Name") or "") == line.get("School Name", "").removeprefix("'")
        number = "Attempts" if kind is PROGRESS else "Question Score"
        assert [float(row[number]) for row in rows] == [float(line[number]) for line in as_csv]


async def test_assessments_whose_ids_differ_in_case_alone_have_a_column_each(tmp_path: Path) -> None:
    spool, columns = Spool(tmp_path), {"User UUID": str, "do_A - Score": float, "do_a - Score": float}
    await spool.add([{"User UUID": "ada\0", "do_a - Score": 1.0}])
    await spool.add([{"do_A - Score": 2.0, "User UUID": "bob"}])

    async def file(form: ExhaustFormat) -> bytes:
        return b"".join([block async for block in spool.content("x", columns, form, written_on=NOW)])

    (tmp_path / "file.parquet").write_bytes(await file(ExhaustFormat.PARQUET))
    kinds = {"User UUID": ColumnKind.TEXT, "do_A - Score": ColumnKind.NUMBER}
    pages = read_file(
        tmp_path / "file.parquet", kinds | {"do_a - Score (2)": ColumnKind.NUMBER}, FileFormat.PARQUET
    )
    assert [list(row.values()) async for page in pages for row in page] == [
        ["ada\0", None, 1.0],
        ["bob", 2.0, None],
    ]
    assert (await file(ExhaustFormat.CSV)).split(b"\r\n")[0] == b"User UUID,do_A - Score,do_a - Score"


async def test_a_file_with_a_password_is_an_encrypted_zip_and_the_password_is_forgotten(
    course: Instance,
) -> None:
    await enrolled(course, "ada")
    await attempted(course, "ada", "one")
    asked = await create_exhaust(course.session(), call(password=PASSWORD))
    assert asked.arguments["password"] == PASSWORD
    done = await run_exhaust(course.shared, asked.id)
    found = unzipped(await content_of(course, done), PASSWORD)
    (name, content) = found.popitem()
    assert name == "responses-20260301T120000.csv"
    assert told(read_csv(content)) == [("ada", "one", "q1", "1.0"), ("ada", "one", "q2", "1.0")]
    with pytest.raises(WrongPassword):
        unzipped(await content_of(course, done), "another password")
    rows = await course.stores.rows.partition(JOBS, (EXHAUST, done.id))
    assert PASSWORD not in repr(rows)
    assert done.arguments["file"].endswith(".zip")


async def test_the_password_of_an_exhaust_that_fails_is_forgotten_and_nothing_is_written_without_it(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise LimitReached("too many wait")

    asked = await create_exhaust(course.session(), call(password=PASSWORD))
    for refusal in (LimitReached, InvalidInput):
        with monkeypatch.context() as patched:
            if refusal is LimitReached:
                patched.setattr(job_module, "check_limit", full)
            with pytest.raises(refusal):
                await run_exhaust(course.shared, asked.id)
        rows = await course.stores.rows.partition(JOBS, (EXHAUST, asked.id))
        assert PASSWORD not in repr(rows)
    assert [blob async for blob in course.stores.blobs.below("exhausts")] == []


async def test_a_context_without_learners_has_a_file_with_the_names_alone(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    job = await written(embedded, call())
    assert await content_of(embedded, job) == (",".join(RESPONSE_COLUMNS) + "\r\n").encode()
    assert job.steps[0].checkpoint.report["learners"] == 0


# --- what it costs


@pytest.mark.parametrize("kind", ExhaustKind)
async def test_a_chunk_of_learners_costs_the_same_however_many_they_are(
    embedded: Instance, kind: ExhaustKind
) -> None:
    await embedded.publish()
    await embedded.batch()
    users = [f"learner-{number:03}" for number in range(60)]
    await enrolled(embedded, *users)
    for user in users:
        await attempted(embedded, user, "one")
    await archive_questions(embedded.shared, which=lambda whole: whole.attempt.key.user_id < "learner-030")
    await embedded.drain()
    counts = []
    place = await job_module.place_of(embedded.shared, "course", "batch")
    async with embedded.shared.archived_questions.holding() as archive:
        source = (
            ProgressReport(embedded.shared, place)
            if kind is PROGRESS
            else ResponseReport(embedded.shared, place, archive)
        )
        for some in (users[:2], users[:2], users[20:22] + users[40:42], users):
            with embedded.stores.rows.meter.measure() as counted:
                found = [row async for rows in source.rows(some) for row in rows]
            assert len(found) == len(some) * (1 if kind is PROGRESS else 2)
            counts.append(dict(counted))
    assert counts[1] == {
        name: min(count, counts[1].get(name, 0)) for name, count in counts[3].items() if name in counts[1]
    }
    # The first may have read the titles of contents, or the tree, which a process keeps.
    assert counts[1] == counts[2] == counts[3]
    assert sum(counts[3].values()) <= 5


# --- who gets them


async def test_asked_for_over_the_log_an_exhaust_is_written_by_a_runner(course: Instance) -> None:
    await enrolled(course, "ada")
    await attempted(course, "ada", "one")
    mentor = course.session("mo", Role.MENTOR)
    asked = await request_exhaust(mentor, call())
    assert (asked.state, asked.steps) == (JobState.WAITING, [])
    assert await exhausts_stored(course) == []
    await run_exhausts(course)
    found = await exhaust(mentor, asked.id)
    assert (found.state, found.learners, found.learners_total, found.rows) == (JobState.DONE, 1, 1, 2)
    link = await exhaust_link(mentor, found)
    assert link is not None
    assert (
        link.size
        == found.size
        == len(await content_of(course, await Jobs(course.shared).get(EXHAUST, asked.id)))
    )
    assert link.expires_on == NOW + course.shared.link_ttl
    assert found.kept_until == NOW + course.shared.exhaust_ttl
    # The name tells nobody what it is of, and nobody guesses it.
    (name,) = await exhausts_stored(course)
    assert name.split("/")[2].split("-")[2] not in ("", asked.id)
    assert "batch" not in name


async def test_only_who_sees_all_learners_of_the_context_may_ask(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    for session in (embedded.session("ada"), embedded.session("cleo", Role.CREATOR)):
        with pytest.raises(Forbidden):
            await request_exhaust(session, call())
    asked = await request_exhaust(embedded.session("mo", Role.MENTOR), call())
    # Another mentor may have one of their own, but not this one; nor has who may no longer see the learners.
    with pytest.raises(Forbidden):
        await exhaust(embedded.session("other", Role.MENTOR), asked.id)
    with pytest.raises(Forbidden):
        await exhaust(embedded.session("mo", Role.LEARNER), asked.id)
    assert (await exhaust(embedded.session("root", Role.ADMIN), asked.id)).id == asked.id
    with pytest.raises(NotFound):
        await exhaust(embedded.session("mo", Role.MENTOR), "none")


@pytest.mark.parametrize(
    ("asked", "error", "field"),
    [
        (ExhaustCall(RESPONSES, "nothing", "batch"), NotFound, "collectionId"),
        (ExhaustCall(RESPONSES, "unit-1", "batch"), NotFound, "collectionId"),
        (ExhaustCall(RESPONSES, "course", "nothing"), NotFound, "contextId"),
        (ExhaustCall(RESPONSES, "course", "course"), NotFound, "contextId"),
        (ExhaustCall(RESPONSES, "second", "batch"), InvalidInput, "contextId"),
        (ExhaustCall(RESPONSES, "course", " "), InvalidInput, "contextId"),
        (ExhaustCall(RESPONSES, "course", "batch", password="short"), InvalidInput, "password"),
    ],
)
async def test_what_can_not_be_written_is_refused_by_field(
    embedded: Instance, asked: ExhaustCall, error: type[Exception], field: str
) -> None:
    await embedded.publish()
    await embedded.publish({**COURSE, "identifier": "second", "children": [COURSE["children"][0]]})
    await embedded.batch()
    with pytest.raises(error) as refused:
        await request_exhaust(embedded.session(), asked)
    assert refused.value.field == field  # type: ignore[attr-defined]
    assert await Jobs(embedded.shared).list() == []


async def test_a_viewer_has_so_many_files_of_a_context_and_no_more(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "LIVE_MOST", 2)
    await embedded.publish()
    await embedded.batch()
    waiting = await create_exhaust(embedded.session(), call())
    for _ in range(2):
        await written(embedded, call())
    with pytest.raises(LimitReached):
        await request_exhaust(embedded.session(), call())
    with pytest.raises(LimitReached):  # nor does it help to have asked before
        await run_exhaust(embedded.shared, waiting.id)
    await written(embedded, call(), embedded.session("mo", Role.MENTOR))
    embedded.sets_clock(NOW + embedded.shared.exhaust_ttl)
    await request_exhaust(embedded.session(), call())
    assert await exhausts_stored(embedded) == []


async def test_a_file_is_swept_when_its_time_is_over_and_has_no_link_any_more(course: Instance) -> None:
    job = await written(course, call())
    late = course.shared.exhaust_ttl - timedelta(minutes=10)
    course.sets_clock(NOW + late)
    found = await exhaust(course.session(), job.id)
    link = await exhaust_link(course.session(), found)
    assert link is not None
    assert link.expires_on == found.kept_until, "a link does not outlive its file"
    assert await EXHAUSTS.sweep(course.stores.blobs, NOW + late) == 0
    course.sets_clock(found.kept_until)
    assert await EXHAUSTS.sweep(course.stores.blobs, found.kept_until) == 1
    assert await exhausts_stored(course) == []
    assert await exhaust_link(course.session(), found) is None


# --- what dies


class Stuck:
    """Holds up the reading of rows once it has reached so many learners."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
        self.reached, self.goes_on = asyncio.Event(), asyncio.Event()
        original, left = ResponseReport.rows, [after]

        async def rows(report: ResponseReport, user_ids: Sequence[str]) -> AsyncIterator[Sequence[Cells]]:
            left[0] -= len(user_ids)
            if left[0] < 0:
                self.reached.set()
                await self.goes_on.wait()
            async for some in original(report, user_ids):
                yield some

        monkeypatch.setattr(ResponseReport, "rows", rows)
        monkeypatch.setattr(job_module, "LEARNERS_AT_ONCE", 1)
        monkeypatch.setattr(job_module, "OFTEN", 0.0)


async def test_who_goes_on_with_a_cut_off_exhaust_ends_with_the_same_file(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"learner-{number}" for number in range(5)]
    await enrolled(course, *users)
    for user in users:
        await attempted(course, user, "one")
    whole = await content_of(course, await written(course, call()))
    stuck = Stuck(monkeypatch, after=3)
    asked = await create_exhaust(course.session(), call())
    task = asyncio.create_task(run_exhaust(course.shared, asked.id))
    await stuck.reached.wait()
    job = await Jobs(course.shared).get(EXHAUST, asked.id)
    assert (job.done, job.steps[0].checkpoint.report) == (3, {"learners": 5, "rows": 6, "size": 0})
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await Jobs(course.shared).get(EXHAUST, asked.id)).state is JobState.INTERRUPTED
    assert len(await exhausts_stored(course)) == 1, "nobody sees a part of a file"
    stuck.goes_on.set()
    done = await run_exhaust(course.shared, asked.id)
    assert (done.state, done.done) == (JobState.DONE, 5)
    assert done.steps[0].checkpoint.report == {"learners": 5, "rows": 10, "size": len(whole)}
    assert await content_of(course, done) == whole
    assert list((course.data / "copies").glob("tmp*")) == [], "nothing is left on this machine"


async def test_a_runner_that_was_taken_for_dead_stops_and_the_file_stays(
    course: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enrolled(course, "ada", "bob")
    await attempted(course, "ada", "one")
    stuck = Stuck(monkeypatch, after=1)
    asked = await create_exhaust(course.session(), call())
    first = asyncio.create_task(run_exhaust(course.shared, asked.id))
    await stuck.reached.wait()
    stuck.reached.clear()
    rival = asyncio.create_task(run_exhaust(course.shared, asked.id))
    await stuck.reached.wait()  # the rival has the job now, so the first goes on without it
    stuck.goes_on.set()
    second = await rival
    with pytest.raises(Conflict):
        await first
    assert second.state is JobState.DONE
    assert len(read_csv(await content_of(course, second))) == 2


async def test_a_store_that_is_away_is_waited_for(course: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    await enrolled(course, "ada")
    await attempted(course, "ada", "one")
    put, failures = course.stores.blobs.put, [True, True]

    async def away(name: str, content: AsyncIterator[bytes]) -> int:
        if failures:
            failures.pop()
            raise StoreUnavailable("the blob store is away")
        return await put(name, content)

    monkeypatch.setattr(course.stores.blobs, "put", away)
    asked = await request_exhaust(course.session(), call())
    await run_exhausts(course)
    done = await Jobs(course.shared).get(EXHAUST, asked.id)
    assert (done.state, done.error, len(await exhausts_stored(course))) == (JobState.DONE, None, 1)


async def test_an_exhaust_fails_if_archived_questions_are_missing_and_holds_up_nobody(
    course: Instance,
) -> None:
    await enrolled(course, "ada")
    await attempted(course, "ada", "one")
    archive = await archive_questions(course.shared)
    await course.stores.blobs.delete(archive.blob)
    asked = [await request_exhaust(course.session(), call(kind)) for kind in ExhaustKind]
    await run_exhausts(course)
    first, second = [await Jobs(course.shared).get(EXHAUST, each.id) for each in asked]
    assert (first.state, first.failure["code"]) == (JobState.FAILED, "NOT_FOUND")
    assert "archive verify" in (first.error or "")
    assert second.state is JobState.DONE


async def test_a_request_that_names_no_job_is_put_away(course: Instance) -> None:
    messages = [Message("batch", value) for value in (b"no json", b"{}", orjson.dumps({"job": "none"}))]
    await course.stores.events.send(EXHAUST_REQUESTS.name, *messages)
    await run_exhausts(course)
    letters = [letter async for letter in pending(course.stores)]
    assert len(letters) == 3


# --- erasure


async def test_erasing_a_learner_deletes_the_exhausts_of_their_contexts_and_no_others(
    course: Instance,
) -> None:
    await course.batch("batch-2")
    await enrolled(course, "ada", "bob")
    await enrolled(course, "bob", context="batch-2")
    ended = [await written(course, call(context=context)) for context in ("batch", "batch-2")]
    course.sets_clock(NOW + timedelta(minutes=1))
    await erase_learner(course.shared, "ada")
    assert await exhausts_stored(course) == [ended[1].arguments["file"]]
    assert await exhaust_link(course.session(), await exhaust(course.session(), ended[0].id)) is None
    await erase(course.session("bob"), ErasureCall(collection_id="course", context_id="batch-2"))
    assert await exhausts_stored(course) == []


@pytest.mark.parametrize("when", ["reading", "storing"])
async def test_an_exhaust_that_is_being_written_while_a_learner_is_erased_leaves_no_file(
    course: Instance, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    await enrolled(course, "ada", "bob")
    await attempted(course, "ada", "one")
    reached, goes_on = asyncio.Event(), asyncio.Event()
    if when == "reading":
        stuck = Stuck(monkeypatch, after=1)
        reached, goes_on = stuck.reached, stuck.goes_on
    else:
        put = course.stores.blobs.put

        async def slow(name: str, content: Any) -> int:
            reached.set()
            await goes_on.wait()
            return await put(name, content)

        monkeypatch.setattr(course.stores.blobs, "put", slow)
    asked = await create_exhaust(course.session(), call())
    task = asyncio.create_task(run_exhaust(course.shared, asked.id))
    await reached.wait()
    later = replace(course.shared, now=lambda: NOW + timedelta(minutes=1))
    await erase_learner(later, "ada")
    goes_on.set()
    with pytest.raises(Conflict):
        await task
    job = await Jobs(course.shared).get(EXHAUST, asked.id)
    assert (job.state, job.error, job.failure["code"]) == (JobState.FAILED, ERASED_MEANWHILE, "CONFLICT")
    assert await exhausts_stored(course) == []
    # Asked for again, it has the others.
    assert [row["User UUID"] for row in await csv_of(course, call(PROGRESS))] == ["bob"]


async def test_the_questions_row_of_a_test_is_as_the_takers_write_it(embedded: Instance) -> None:
    """Else the tests above would prove nothing of attempts that come from the log."""
    attempt = await attempted(embedded, "ada", "one")
    row = await embedded.stores.rows.get(ATTEMPTS_WITH_QUESTIONS, attempt_key(attempt))
    assert row is not None
    assert whole_attempt_of(row).attempt.version == attempt.version
