"""`cohort exhaust`, and the runner that runs beside a worker."""

import asyncio
import re
from pathlib import Path

import pytest

from gateway.commands import run
from gateway.settings import load_settings
from gateway.wiring import running
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.exhausts.requests import ExhaustCall, create_exhaust, request_exhaust
from ingest.publishing.direct import publish_collection
from resolvers.exhausts import exhaust
from rules.exhausts import PROGRESS_COLUMNS, RESPONSE_COLUMNS, ExhaustKind
from rules.identifiers import ContextType
from rules.jobs import JobState
from tests.conftest import COURSE
from tests.gateway.test_cli import cohort
from tests.ingest.exhausts import read_csv
from tests.stores.zips import unzipped

OF_BATCH = ("--collection", "course", "--context", "batch")


async def learned() -> None:
    """Ada is enrolled, and the worker has seen it."""
    async with running(load_settings(), worker=True) as instance, asyncio.timeout(60):
        operator = instance.operator()
        await publish_collection(operator, COURSE)
        await create_context(operator, NewContext(ContextType.BATCH, "Batch", ("course",), "batch"))
        await enrol(operator, EnrolmentCall("course", "batch", "ada"))
        asked = await request_exhaust(operator, ExhaustCall(ExhaustKind.PROGRESS, "course", "batch"))
        while (found := await exhaust(operator, asked.id)).state is not JobState.DONE:
            assert found.failure is None, found.failure
            await asyncio.sleep(0.05)


@pytest.fixture
def with_learners(initialised: None) -> None:
    run(learned())


@pytest.mark.usefixtures("with_learners")
def test_an_exhaust_is_written_here_saved_linked_to_and_listed(tmp_path: Path) -> None:
    out = tmp_path / "progress.csv"
    with_key = {"COHORT_JWT_KEY": "k" * 32}
    done = cohort("exhaust", "run", "--kind", "progress", *OF_BATCH, "--out", str(out), **with_key)
    assert done.returncode == 0, done.stderr
    line, link = done.stdout.splitlines()
    assert re.fullmatch(r"\S+  progress  csv     course under batch: done, 1 of 1 learners, 1 rows", line)
    assert re.fullmatch(rf"{out.stat().st_size} bytes, until \S+Z: /blobs/exhausts/\S+", link)
    (row,) = read_csv(out.read_bytes())
    assert (list(row), row["User UUID"]) == (list(PROGRESS_COLUMNS), "ada")
    assert out.stat().st_mode & 0o077 == 0, "only its owner may read it"

    shown = cohort("exhaust", "show", line.split()[0])
    assert shown.stdout.splitlines() == [line, "no link: links can't be given here: no signing key is set"]
    # `cohort dev` keeps a key of its own in the data directory, and its gateway takes links that were signed with it.
    key = load_settings().data / "jwt.key"
    key.write_text("d" * 32)
    linked = cohort("exhaust", "show", line.split()[0]).stdout.splitlines()
    assert re.fullmatch(r"\d+ bytes, until \S+Z: /blobs/exhausts/\S+", linked[1])
    key.unlink()
    # The worker wrote one too; the newest comes first.
    listed = cohort("exhaust", "list").stdout.splitlines()
    assert (listed[0], len(listed)) == (line, 2)
    assert cohort("blobs", "sweep").stdout == "0 deleted\n"


@pytest.mark.usefixtures("with_learners")
def test_a_password_comes_of_a_file_and_is_nowhere_shown(tmp_path: Path) -> None:
    password, out = tmp_path / "password", tmp_path / "responses.zip"
    password.write_text("correct horse battery\nnot this\n")
    given = ("--password-file", str(password), "--out", str(out))
    done = cohort("exhaust", "run", "--kind", "responses", *OF_BATCH, *given)
    assert done.returncode == 0, done.stderr
    (content,) = unzipped(out.read_bytes(), "correct horse battery").values()
    assert content == (",".join(RESPONSE_COLUMNS) + "\r\n").encode()
    told = [done, cohort("exhaust", "list"), cohort("jobs", "list")]
    assert "correct horse" not in "".join(each.stdout + each.stderr for each in told)
    password.write_text("short\n")
    refused = cohort("exhaust", "run", "--kind", "responses", *OF_BATCH, *given)
    assert (refused.returncode, refused.stderr) == (1, "cohort: password must have 8 to 128 characters\n")


@pytest.mark.usefixtures("with_learners")
def test_what_was_asked_for_and_not_begun_is_resumed_at_the_command_line() -> None:
    async def waiting() -> str:
        async with running(load_settings()) as instance:
            call = ExhaustCall(ExhaustKind.PROGRESS, "course", "batch")
            return (await create_exhaust(instance.operator(), call)).id

    job_id = run(waiting())
    resumed = cohort("jobs", "resume", "exhaust", job_id)
    assert (resumed.returncode, resumed.stdout) == (0, f"exhaust {job_id}: done, 1 done\n")


@pytest.mark.usefixtures("initialised")
def test_what_makes_no_sense_is_a_line_and_an_exit_code() -> None:
    wrong = cohort("exhaust", "run", "--kind", "everything", *OF_BATCH)
    assert wrong.returncode == 2
    assert "'everything' is none of responses, progress" in wrong.stderr
    unknown = cohort("exhaust", "run", "--kind", "progress", *OF_BATCH)
    assert (unknown.returncode, unknown.stderr) == (1, "cohort: there is no collection course\n")
    assert cohort("exhaust", "show", "none").stderr == "cohort: there is no exhaust none\n"
