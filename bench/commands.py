"""Commands beside the statements and the send that each needs: ``python -m bench commands [real|embedded] [--profile]``.

Start, update and end of a view, by GraphQL. Floor and Cohort go in turns, many short rounds each, since other work on the
machine may slow one round. ``--profile`` writes cProfile's figures of Cohort's rounds at many at once, by CPU.
"""

import cProfile
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.bare_views import ENDING, bare_calls, start_row, view
from bench.client import KEY, Client
from bench.floor import EmbeddedFloor, Floor, real_floor
from bench.population import course
from bench.timing import Call, timed
from gateway.app import create_app
from gateway.gc_tuning import collect_rarely
from gateway.settings import Settings
from rules.views import View
from tests.conftest import embedded_urls, instance_of, real_urls
from tests.graph.conftest import document

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

    async def add(self, calls: list[Call], at_once: int) -> None:
        wall, cpu = await timed(calls, at_once)
        self.wall.append(wall)
        self.cpu.append(cpu)


@dataclass
class Figure:
    what: str
    floor: Rounds
    cohort: Rounds


async def figures_of(client: Client, floor: Floor, profile: cProfile.Profile | None) -> list[Figure]:
    """Each of the same views goes through all three."""
    record, change = document("record_view"), {"progress": 40, "timeSpent": 30}
    found = []
    for operation, bare in bare_calls(floor).items():
        places = _places()
        for at_once, count in AT_ONCE.items():
            figure = Figure(f"view {operation.lower()}, {at_once} at once", Rounds(), Rounds())
            for number in range(WARM_UP + ROUNDS):
                part = list(islice(places, count))
                sent = change if operation == "Update" else {}

                def asked(place: Place, operation: str = operation, sent: Any = sent) -> Call:
                    mine = view(f"caller-{place[0]}", place[1]).key
                    given = {"contentId": mine.content_id, "collectionId": "big", "contextId": "batch"} | sent
                    return lambda: client.ask(mine.user_id, record, operation, **given)

                def needed(place: Place, bare: Callable[[View], Any] = bare) -> Call:
                    return lambda: bare(view(f"bare-{place[0]}", place[1]))

                counted = number >= WARM_UP
                await (figure.floor if counted else Rounds()).add([*map(needed, part)], at_once)
                if profile is not None and at_once > 1:
                    profile.enable()
                await (figure.cohort if counted else Rounds()).add([*map(asked, part)], at_once)
                if profile is not None:
                    profile.disable()
            found.append(figure)
    return found


def _places() -> Iterator[Place]:
    return ((f"{number % LEARNERS}", number // LEARNERS) for number in range(LEARNERS * LEAVES))


async def main(engines: str = "real", *options: str) -> None:
    collect_rarely()
    urls = real_urls() if engines == "real" else embedded_urls()
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
        if engines == "real":
            kafka, row = urls["events"].removeprefix("kafka://"), start_row(view("x", 0))
            floor = await stack.enter_async_context(
                real_floor(urls["rows"], kafka, urls["prefix"], row, ENDING)
            )
        figures = await figures_of(Client(app, settings), floor, profile)
    _tell(figures, f"{engines} engines")
    if profile is not None:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(80)


def _tell(figures: list[Figure], title: str) -> None:
    table = Table("what", "floor, ms", "Cohort, ms", "ratio", "CPU: floor", "Cohort", "ratio", title=title)
    for one in figures:
        told = [one.what]
        for mine, bare in ((one.cohort.wall, one.floor.wall), (one.cohort.cpu, one.floor.cpu)):
            ratio = statistics.median(m / b for m, b in zip(mine, bare, strict=True))
            told += [_least_and_median(bare), _least_and_median(mine), f"{ratio:.2f}"]
        table.add_row(*told)
    Console(width=120).print(table)


def _least_and_median(taken: list[float]) -> str:
    return f"{min(taken):.2f} / {statistics.median(taken):.2f}"
