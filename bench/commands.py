"""Commands beside the statements and the send that each needs: ``python -m bench commands [real|embedded] [--profile] [WHAT…]``.

Start, update and end of a view and a submitted attempt, by GraphQL; the platform's state update of one content and of twenty, by REST.
At the end, what is part of each: the mark in the cache, and what a request costs whatever it asks.
WHAT: only those whose name has this word. Floor and Cohort go in turns, many short rounds each, since other work on the machine may slow
one round; a round in which a store fails is told and does not count. ``--profile`` writes cProfile's figures of Cohort's rounds at many
at once, by CPU.
"""

import asyncio
import cProfile
import pstats
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from bench.attempts import submission
from bench.bare_views import AT, ENDING, bare_calls, start_row, view
from bench.client import KEY, Client
from bench.floor import EmbeddedFloor, EmbeddedViewerFloor, Floor, ViewerFloor, real_floor, viewer_floor
from bench.population import course
from bench.timing import Call, timed
from gateway.app import create_app
from gateway.gc_tuning import collect_rarely
from gateway.settings import Settings
from loaders.touches import announce
from loaders.views import row_key
from rules.identifiers import ProgressKey
from rules.views import View
from stores.cache import Cache
from tests.conftest import embedded_urls, instance_of, real_urls
from tests.graph.conftest import document

UPDATE = "/course/v1/content/state/update"
SUBMIT = "mutation ($input: SubmitAssessmentInput!) { submitAssessment(input: $input) { attemptId errors { code message } } }"
QUESTIONS = 5
LEAVES, LEARNERS = 200, 20
AT_ONCE = {1: 20, 16: 96}
"""Requests at a time, and how many there are in a round."""
ROUNDS, WARM_UP = 12, 2
Place = tuple[str, int]
"""A learner's number, and that of a leaf."""


@dataclass
class Rounds:
    """Milliseconds a call in each round: by the clock, and of this process's CPU."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, taken: tuple[float, float]) -> None:
        self.wall.append(taken[0])
        self.cpu.append(taken[1])


@dataclass
class Figure:
    what: str
    has_floor: bool
    floor: Rounds = field(default_factory=Rounds)
    cohort: Rounds = field(default_factory=Rounds)


@dataclass
class Command:
    """What is measured: the bare calls and Cohort's, for a learner's number and that of a leaf. ``step``: how many leaves one takes.
    ``has_floor``: False for what needs no store: it shows what every request costs."""

    what: str
    bare: Callable[[str, int], Awaitable[object]]
    cohort: Callable[[str, int], Awaitable[object]]
    step: int = 1
    has_floor: bool = True


def commands_of(client: Client, floor: Floor, viewer: ViewerFloor, cache: Cache) -> list[Command]:
    """Each of the same views goes through start, update and end; attempts and states are of learners of their own."""
    record, change = document("record_view"), {"progress": 40, "timeSpent": 30}

    def of_view(operation: str, bare: Callable[[View], Awaitable[None]]) -> Command:
        sent = change if operation == "Update" else {}

        async def asked(user: str, leaf: int) -> None:
            mine = view(f"caller-{user}", leaf).key
            given = {"contentId": mine.content_id, "collectionId": "big", "contextId": "batch"} | sent
            await client.ask(mine.user_id, record, operation, **given)

        return Command(
            f"view {operation.lower()}", lambda user, leaf: bare(view(f"bare-{user}", leaf)), asked
        )

    def of_states(count: int) -> Command:
        async def asked(user: str, leaf: int) -> None:
            contents = [
                {"contentId": f"big-leaf-{leaf + n}", "courseId": "big", "batchId": "batch", "status": 1}
                for n in range(count)
            ]
            await client.rest(f"teller-{count}-{user}", "PATCH", UPDATE, {"contents": contents})

        async def bare(user: str, leaf: int) -> None:
            started = [view(f"bare-{count}-{user}", leaf + n) for n in range(count)]
            await viewer.states([row_key(one.key) for one in started])
            await viewer.start_all([start_row(one) for one in started])
            await viewer.send(started[0].key.user_id)

        return Command(f"states, {count} new", bare, asked, count)

    events = orjson.loads(submission("x"))["events"][:QUESTIONS]

    async def submit(user: str, leaf: int) -> None:
        given = {"contentId": f"big-leaf-{leaf}", "collectionId": "big", "contextId": "batch"}
        await client.ask(f"caller-{user}", SUBMIT, None, input={**given, "attemptId": "1", "events": events})

    async def ask_nothing(user: str, _: int) -> None:
        await client.ask(f"caller-{user}", "{ __typename }")

    async def refused(user: str, _: int) -> None:
        variables = {"contentId": "none", "collectionId": "big", "contextId": "batch"}
        body = orjson.dumps({"query": record, "variables": variables, "operationName": "Start"})
        assert b"NOT_FOUND" in await client.post(f"caller-{user}", body)

    async def mark(user: str, leaf: int) -> None:
        await announce(cache, ProgressKey(f"caller-{user}", "big", "batch"), f"bench-{leaf}", AT)

    async def nothing(_user: str, _leaf: int) -> None:
        await asyncio.sleep(0)

    attempt = orjson.dumps({**orjson.loads(submission("bare")), "events": events})

    return [
        *(of_view(operation, bare) for operation, bare in bare_calls(floor).items()),
        of_states(1),
        of_states(20),
        Command("attempt", lambda user, _: floor.submit(user, attempt), submit),
        Command("mark in the cache", nothing, mark, has_floor=False),
        Command("nothing asked", nothing, ask_nothing, has_floor=False),
        Command("view start refused", nothing, refused, has_floor=False),
    ]


async def figures_of(commands: Sequence[Command], profile: cProfile.Profile | None) -> list[Figure]:
    found = []
    for command in commands:
        places = _places(command.step)
        for at_once, count in AT_ONCE.items():
            figure = Figure(f"{command.what}, {at_once} at once", command.has_floor)
            for number in range(WARM_UP + ROUNDS):
                part = list(islice(places, count if command.step == 1 else 2 * at_once))

                def calls(
                    of: Callable[[str, int], Awaitable[object]], part: list[Place] = part
                ) -> list[Call]:
                    return [partial(of, *place) for place in part]

                try:
                    bare = await timed(calls(command.bare), at_once)
                    if profile is not None and at_once > 1:
                        profile.enable()
                    cohort = await timed(calls(command.cohort), at_once)
                except Exception as error:  # noqa: BLE001 - a busy server; told
                    print(f"{figure.what}: a round failed: {error!r:.200}")
                    continue
                finally:
                    if profile is not None:
                        profile.disable()
                if number >= WARM_UP:
                    figure.floor.add(bare)
                    figure.cohort.add(cohort)
            found.append(figure)
    return found


def _places(step: int) -> Iterator[Place]:
    """Few learners: a call each would be the first of its learner, whose token is checked then."""
    learners = LEARNERS * min(step, 3)
    return ((f"{number % learners}", number // learners * step) for number in range(LEARNERS * LEAVES))


async def main(engines: str = "real", *options: str) -> None:
    collect_rarely()
    urls, words = real_urls() if engines == "real" else embedded_urls(), {*options} - {"--profile"}
    profile = cProfile.Profile(time.thread_time) if "--profile" in options else None
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        instance = await stack.enter_async_context(instance_of(urls, data))
        await instance.publish(course("big", LEAVES))
        await instance.batch("batch", "big")
        settings = Settings(**instance.urls, data=data, jwt_key=KEY)  # type: ignore[arg-type]
        app = create_app(settings)
        await stack.enter_async_context(app.router.lifespan_context(app))
        floor: Floor = EmbeddedFloor(instance.stores)
        viewer: ViewerFloor = EmbeddedViewerFloor(instance.stores)
        if engines == "real":
            kafka, row = urls["events"].removeprefix("kafka://"), start_row(view("x", 0))
            floor = await stack.enter_async_context(
                real_floor(urls["rows"], kafka, urls["prefix"], row, ENDING)
            )
            viewer = await stack.enter_async_context(
                viewer_floor(urls["rows"], kafka, urls["prefix"], row, ENDING)
            )
        measured = commands_of(Client(app, settings), floor, viewer, app.state.cohort.stores.cache)
        figures = await figures_of(
            [one for one in measured if not words or any(word in one.what for word in words)], profile
        )
    _tell(figures, f"{engines} engines")
    if profile is not None:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(80)


def _tell(figures: list[Figure], title: str) -> None:
    table = Table("what", "floor, ms", "Cohort, ms", "ratio", "CPU: floor", "Cohort", "ratio", title=title)
    for one in figures:
        if not one.floor.wall:
            continue
        told = [one.what]
        for mine, bare in ((one.cohort.wall, one.floor.wall), (one.cohort.cpu, one.floor.cpu)):
            ratio = statistics.median(m / b for m, b in zip(mine, bare, strict=True))
            told += [_least_and_median(bare), _least_and_median(mine), f"{ratio:.2f}"]
            if not one.has_floor:
                told[-3] = told[-1] = ""
        table.add_row(*told)
    Console(width=120).print(table)


def _least_and_median(taken: list[float]) -> str:
    least, median = min(taken), statistics.median(taken)
    return f"{least:.3f} / {median:.3f}" if median < 0.1 else f"{least:.2f} / {median:.2f}"
