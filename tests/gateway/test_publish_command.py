"""`cohort publish`, `cohort jobs resume publish`, and the publisher that runs beside a worker."""

import asyncio
import itertools
import re
from types import SimpleNamespace

import pytest

from gateway.commands import run
from gateway.commands.publish import publish
from gateway.settings import load_settings
from gateway.wiring import running
from ingest.jobs.records import JobRecord
from ingest.publishing.job import STEPS
from ingest.publishing.requests import create_publication, request_publish, run_publication
from rules.jobs import JobState
from stores.rows import Write
from stores.tables import ENROLMENTS_BY_CONTEXT
from tests.conftest import NOW
from tests.gateway.test_cli import cohort
from tests.ingest.drafts import save_collection
from tests.ingest.publications import book, job_of
from tests.stack.small import free_port


async def draft(name: str = "book") -> None:
    async with running(load_settings()) as instance:
        await save_collection(instance.stores.rows, book(name))


@pytest.mark.usefixtures("initialised")
def test_drafts_are_published_one_after_the_other_step_by_step() -> None:
    run(draft("one"))
    run(draft("two"))
    done = cohort("publish", "one", "two", "--unlisted")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * (len(STEPS) + 2)
    assert re.fullmatch(r"one: publication \S+", lines[0])
    assert [line.split()[0] for line in lines[1 : len(STEPS) + 1]] == list(STEPS)
    assert "leafNodesCount=6" in lines[1 + STEPS.index("status")]
    assert lines[len(STEPS) + 1] == "one: live, version 1"
    assert lines[-1] == "two: live, version 1"


@pytest.mark.usefixtures("initialised")
def test_long_steps_tell_their_rate_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five collections, the root among them, and seven leaves; six learners are told of the second version. A second goes by each time
    that the command looks at its clock."""
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: float(next(ticks)))
    monkeypatch.setattr("gateway.commands.progress.time", clock)
    monkeypatch.setattr("gateway.commands.progress.LINE_EVERY", 0.0)
    for size in ("NODES_AT_ONCE", "TREES_AT_ONCE"):
        monkeypatch.setattr(f"ingest.publishing.job.{size}", 2)
    monkeypatch.setattr("ingest.publishing.learners.PAGE", 1)
    run(draft())

    async def second() -> None:
        async with running(load_settings()) as instance:
            job = await create_publication(instance.operator(), "book")
            await run_publication(instance.shared, job.id)
            enrolled = {"active": True, "enrolled_on": NOW}
            keys = [("book", "book", 0, f"u{number}") for number in range(6)]
            await instance.stores.rows.write(*(Write(ENROLMENTS_BY_CONTEXT, key, enrolled) for key in keys))
            await save_collection(instance.stores.rows, book(more=1))

    run(second())
    publish(["book"])
    told = capsys.readouterr()
    steps = [line.split()[0] for line in told.out.splitlines()[1:-1]]
    assert steps == list(STEPS)
    lines = told.err.splitlines()
    for name, total in (("hierarchy", 5), ("relations", 12), ("contents", 11)):
        of_it = [line for line in lines if line.startswith(f"{name}: ")]
        assert of_it[-1] == f"{name}: {total} of {total}", of_it
        assert any(re.fullmatch(rf"{name}: \d+ of {total}, \d+ a second, \d+ s left", line) for line in of_it)
    learners = [line for line in lines if line.startswith("learners: ")]
    assert learners[-1] == "learners: 1 of 1, 6 told"
    assert any(re.fullmatch(r"learners: 0 of 1, [1-6] told, \d+ a second", line) for line in learners)


@pytest.mark.usefixtures("initialised")
def test_what_can_not_be_published_is_a_line_and_an_exit_code() -> None:
    done = cohort("publish", "nothing")
    assert (done.returncode, done.stderr) == (1, "cohort: there is no content nothing\n")


@pytest.mark.usefixtures("initialised")
def test_an_interrupted_publication_is_resumed_at_the_command_line() -> None:
    async def interrupted() -> str:
        await draft()
        told: list[JobRecord] = []

        def tell(record: JobRecord) -> None:
            told.append(record)
            if len(told) > 4:
                raise asyncio.CancelledError

        async with running(load_settings()) as instance:
            job = await create_publication(instance.operator(), "book")
            with pytest.raises(asyncio.CancelledError):
                await run_publication(instance.shared, job.id, tell)
            return job.id

    job_id = run(interrupted())
    (listed,) = cohort("jobs", "list").stdout.splitlines()
    assert listed.startswith(f"publish        {job_id}")
    assert listed.endswith("  book")
    resumed = cohort("jobs", "resume", "publish", job_id)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.startswith(f"publish {job_id}: done")


@pytest.mark.usefixtures("initialised")
def test_without_the_search_it_is_live_and_the_command_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(draft())
    monkeypatch.setattr("ingest.publishing.search_sync.PATIENCE", 0.0)
    monkeypatch.setenv("COHORT_SEARCH", f"opensearch://127.0.0.1:{free_port()}")
    done = cohort("publish", "book")
    assert done.returncode == 0, done.stderr
    left = "not in the search, which is away: `cohort search check --repair`"
    assert done.stdout.splitlines()[-1] == f"book: live, version 1; {left}"


@pytest.mark.usefixtures("initialised")
async def test_a_worker_publishes_what_was_asked_for() -> None:
    await draft()
    settings = load_settings(public_url="https://cohort.example")
    async with running(settings, worker=True) as instance, asyncio.timeout(60):
        asked = await request_publish(instance.operator(), "book")
        while (await job_of(instance.shared, asked.id)).state is not JobState.DONE:
            await asyncio.sleep(0.05)
        content = await instance.shared.library.collection("book")
        tree = (await instance.shared.library.hierarchy(content)).root
    assert tree["downloadUrl"] == "https://cohort.example/content/v1/package/book/1/spine"
