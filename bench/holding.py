"""How long the heaviest requests hold the event loop: ``python -m bench.holding``.

Each is sent alone, and then with others like it, through the application as a server has it, with limits on what a request may
cost as they are by default. Told are the longest turn of the loop, in CPU and as it passed, and what the request took altogether: a request of
somebody else, ``/health/live`` among them, waits for one such turn at each of its own steps.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bench.client import KEY, Client
from gateway.app import create_app
from gateway.settings import Settings
from ingest.commands.group_members import visit_groups
from ingest.commands.learner_groups import GroupCall, NewGroup, create_group, update_group
from rules.group_changes import AddMember
from rules.learner_groups import Activity, GroupRole
from tests.conftest import Instance, embedded_urls, instance_of
from tests.graph.conftest import document
from tests.graph.test_big_learners import LONG, MANY, Size, course_id, fill
from tests.holding import watched

SIZE = Size(collections=500, contexts=4, leaves_of_unit=500, contexts_of_large=1, alone=2_000)
"""2,000 enrolments of one learner, and a collection of 10,000 leaves."""

NAMES = "{ collections(identifiers: %s) { leafNodes(first: 200) { edges { node { identifier name mimeType } } } } }"
VIEWS = """{ collections(identifiers: %s) { leafNodes(first: 200) { edges { node {
  identifier name mimeType viewerView { status progress lastAccessedOn } } } } } }"""
CHILDREN = '{ collection(identifier: "large") { children { children { identifier name %s } } } }'
ENROLMENTS = """{ me { enrolments(first: %d) { edges { node { id collectionId contextId active enrolledOn lastAccessedOn
  status completionPercentage completedCount requiredCount collection { identifier name leafNodesCount }
  context { contextId name } %s } } } } }"""
IDS = "query($ids: [String!]!) { collections(identifiers: $ids) { name } }"
GROUP = "g"
AT_ONCE = 4
"""Requests of the same kind under way at a time."""


@dataclass(frozen=True)
class Heavy:
    """A request. ``user`` is who sends it."""

    what: str
    query: str
    user: str = LONG
    variables: Any = None


def heavy() -> Iterator[Heavy]:
    def lists(count: int) -> str:
        return orjson.dumps([course_id(number) for number in range(count)]).decode()

    large = orjson.dumps(["large"] * 200).decode()
    yield Heavy("200 × 200 leaves, by name", NAMES % large)
    yield Heavy("20 × 200 leaves with their views", VIEWS % orjson.dumps(["large"] * 20).decode())
    yield Heavy("200 × 200 leaves with their views", VIEWS % large)
    yield Heavy("3 leaves of 200 collections with views", VIEWS % lists(200))
    yield Heavy("10,000 leaves as nodes", CHILDREN % "mimeType kind optional")
    yield Heavy(
        "10,000 leaves as nodes, with views", CHILDREN % "viewerView { status progress lastAccessedOn }"
    )
    yield Heavy("hierarchy of 10,000 leaves", '{ collection(identifier: "large") { hierarchy } }')
    trees = " ".join(f"a{number}: hierarchy" for number in range(12))
    yield Heavy("hierarchy of 10,000 leaves, 12 ×", f'{{ collection(identifier: "large") {{ {trees} }} }}')
    yield Heavy("200 enrolments", ENROLMENTS % (200, ""), MANY)
    yield Heavy(
        "200 enrolments with contentStatus", ENROLMENTS % (200, "contentStatus { contentId status }"), MANY
    )
    lists_of = " ".join(
        f"a{number}: enrolments(first: 200) {{ edges {{ node {{ collectionId completionPercentage }} }} }}"
        for number in range(20)
    )
    yield Heavy("200 enrolments, 20 ×", f"{{ me {{ {lists_of} }} }}", MANY)
    yield Heavy("a group of 150 in 20 activities", document("group_page"), "m000", {"group": GROUP})
    yield Heavy("1 MB of variables", IDS, variables={"ids": ["x" * 8] * 85_000})
    yield Heavy("1 MB of wrong variables", IDS, variables={"ids": [1] * 400_000})
    yield Heavy("a usual list: 100 enrolments", ENROLMENTS % (100, ""), MANY)
    yield Heavy("a usual small query", '{ collection(identifier: "list-001") { identifier name } }', MANY)


async def fill_group(instance: Instance) -> None:
    """Of 150 members, in 20 activities."""
    session = instance.session()
    members = tuple(
        AddMember(f"m{number:03d}", GroupRole.ADMIN if number == 0 else GroupRole.MEMBER)
        for number in range(150)
    )
    await create_group(session, NewGroup("Class", members=members, group_id=GROUP))
    activities = tuple(Activity(course_id(number), "Course") for number in range(20))
    await update_group(session, GroupCall(GROUP, add_activities=activities))
    for member in members:
        await visit_groups(instance.session(member.user_id), [GROUP])


async def holding(
    urls: dict[str, str] | None = None,
) -> list[tuple[str, float, float, float, float, float, int]]:
    """What was asked, the longest turn in ms of CPU, alone and beside others like it, and in ms of time, ms of time and of CPU
    altogether, and bytes."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = embedded_urls() if urls is None else urls
        instance = await stack.enter_async_context(instance_of(urls, folder))
        await fill(instance, SIZE)
        await fill_group(instance)
        settings = Settings(**instance.urls, data=instance.data, jwt_key=KEY, request_timeout=60)  # type: ignore[arg-type]
        app = create_app(settings)
        await stack.enter_async_context(app.router.lifespan_context(app))
        client = Client(app, settings)
        told = []
        for asked in heavy():
            body = orjson.dumps({"query": asked.query, "variables": asked.variables})
            status, sent = await client.send(asked.user, "POST", "/graphql", body)
            answer = orjson.loads(sent)
            if "errors" in answer:
                print(asked.what, status, str(answer["errors"])[:300])
            async with watched() as holds:
                began, cpu = time.perf_counter(), time.thread_time()
                await client.send(asked.user, "POST", "/graphql", body)
                took, used = time.perf_counter() - began, time.thread_time() - cpu
            async with watched() as of_many:
                await asyncio.gather(
                    *(client.send(asked.user, "POST", "/graphql", body) for _ in range(AT_ONCE))
                )
            told.append(
                (
                    asked.what,
                    holds.longest * 1000,
                    of_many.longest * 1000,
                    holds.longest_wall * 1000,
                    took * 1000,
                    used * 1000,
                    len(sent),
                )
            )
        every = [
            (
                asked.user,
                "POST",
                "/graphql",
                orjson.dumps({"query": asked.query, "variables": asked.variables}),
            )
            for asked in heavy()
        ]
        async with watched() as of_all:
            began, cpu = time.perf_counter(), time.thread_time()
            await asyncio.gather(*(client.send(*sent) for sent in every * AT_ONCE))
            took, used = time.perf_counter() - began, time.thread_time() - cpu
        turns = (of_all.longest * 1000, of_all.longest * 1000, of_all.longest_wall * 1000)
        told.append(("all of these, as many times", *turns, took * 1000, used * 1000, 0))
        return told


async def main() -> None:
    table = Table(
        "request",
        "longest turn, CPU ms",
        f"{AT_ONCE} at once, CPU ms",
        "ms",
        "altogether, ms",
        "CPU ms",
        "bytes",
    )
    for what, *figures in await holding():
        table.add_row(
            what, *(f"{figure:,.1f}" if isinstance(figure, float) else f"{figure:,}" for figure in figures)
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
