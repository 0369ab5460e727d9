"""Exhausts in tests: learners with attempts, reports asked for, run and read."""

import asyncio
import csv
import io
from collections.abc import Sequence
from typing import Any

from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.exhausts.order import ExhaustOrder
from ingest.exhausts.requests import ExhaustCall, ExhaustRunner, create_exhaust, run_exhaust
from ingest.jobs.records import JobRecord
from loaders.session import Session
from rules.attempts import Attempt, Question
from rules.exhausts import ExhaustFormat, ExhaustKind
from rules.identifiers import ViewKey
from stores.topics import EXHAUST_GROUP, EXHAUST_REQUESTS
from tests.attempts import store_attempt
from tests.conftest import NOW, Instance


def questions(*ids: str, score: float = 1.0) -> list[Question]:
    return [
        Question(each, NOW, score, 2.0, "mcq", f"Title {each}", "", 3.0, [{"1": "yes"}], [{"value": "1"}])
        for each in ids
    ]


async def attempted(
    instance: Instance,
    user: str,
    attempt_id: str,
    ids: Sequence[str] = ("q1", "q2"),
    *,
    content: str = "b",
    context: str = "batch",
    score: float = 1.0,
    at: Any = NOW,
) -> Attempt:
    """An attempt with these questions, each with this score of 2."""
    key = ViewKey(user, "course", context, content)
    found = questions(*ids, score=score)
    total, most = score * len(found), 2.0 * len(found)
    return await store_attempt(instance.shared, key, attempt_id, total, most, at, questions=found)


async def enrolled(instance: Instance, *users: str, context: str = "batch") -> None:
    """The workers list them under their context."""
    for user in users:
        await enrol(instance.session(user), EnrolmentCall("course", context))
    await instance.drain()


def call(
    kind: ExhaustKind = ExhaustKind.RESPONSES,
    form: ExhaustFormat = ExhaustFormat.CSV,
    context: str = "batch",
    password: str | None = None,
) -> ExhaustCall:
    return ExhaustCall(kind, "course", context, form, password)


async def written(instance: Instance, asked: ExhaustCall, session: Session | None = None) -> JobRecord:
    """An exhaust that is done."""
    job = await create_exhaust(session or instance.session(), asked)
    return await run_exhaust(instance.shared, job.id)


async def content_of(instance: Instance, job: JobRecord) -> bytes:
    name = ExhaustOrder.of(job.arguments).file
    return b"".join([chunk async for chunk in instance.stores.blobs.get(name)])


def read_csv(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))


async def csv_of(instance: Instance, asked: ExhaustCall) -> list[dict[str, str]]:
    return read_csv(await content_of(instance, await written(instance, asked)))


async def exhausts_stored(instance: Instance) -> list[str]:
    return [blob.name async for blob in instance.stores.blobs.below("exhausts")]


async def run_exhausts(instance: Instance, *runners: ExhaustRunner, within: float = 60) -> None:
    """Until no request is left."""
    running = runners or (ExhaustRunner(instance.shared, wait=0.005),)
    tasks = [asyncio.create_task(runner.run()) for runner in running]
    try:
        async with asyncio.timeout(within):
            while any((await instance.stores.events.lag(EXHAUST_GROUP, [EXHAUST_REQUESTS.name])).values()):
                await asyncio.sleep(0.02)
    finally:
        for runner in running:
            runner.stop()
        await asyncio.gather(*tasks)
