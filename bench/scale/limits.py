"""What breaks first: each default and each single thing, and how many times OULAD it holds for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.scale.costs import COSTS, STATES_OF_A_KEY
from bench.scale.lag import capacity
from bench.scale.load import Load
from bench.scale.machines import CORES, statements
from bench.scale.partitions import BUCKETS, GOOD

MOST = 100_000.0
"""Times OULAD: beyond that it is no limit."""
PARTITIONS = 4
"""Of a topic, as ``cohort init`` makes it."""
STATES_OF_A_TASK = 2_000
"""That a task of Druid's reads in a second (docs/operations.md)."""
SHARD = 50e9
"""Bytes of a shard of OpenSearch that it works well with."""
AGGREGATION, COMPARISON = 0.25, 0.44
"""Milliseconds of CPU for each learner and collection of a run over everything (`scripts/bench jobs`)."""
NIGHT = 8 * 3_600


@dataclass(frozen=True, slots=True)
class Limit:
    """``holds``: times OULAD up to which it does. ``then``: what is to be done before."""

    what: str
    holds: float
    then: str


def limits() -> list[Limit]:
    """The first to break first."""
    return sorted(_limits(), key=lambda limit: limit.holds)


def _limits() -> Iterator[Limit]:
    yield _limit(
        f"{PARTITIONS} partitions of `triggers`, a worker each",
        lambda load: _triggers(load) / (PARTITIONS * capacity()),
        "more partitions, before there is data: learners keep theirs",
    )
    yield _limit(
        "one task of Druid's that reads states",
        lambda load: _triggers(load) * STATES_OF_A_KEY / STATES_OF_A_TASK,
        "`taskCount` in `druid_specs/`, up to the partitions",
    )
    yield _limit(
        f"a context's list of learners in {BUCKETS} buckets",
        lambda load: load.largest_course() / BUCKETS * COSTS.roster_row / GOOD,
        "contexts for parts of the course",
    )
    yield _limit(
        "one shard of the learners' index",
        lambda load: load.learners * COSTS.learner_document * 2 / SHARD,
        "a new index with a shard for each 50 GB",
    )
    yield _limit(
        "an aggregation of everything in a night, one process",
        lambda load: load.enrolments * AGGREGATION / 1_000 / NIGHT,
        "aggregate what was touched; places side by side",
    )
    yield _limit(
        "a comparison of everything (`cohort reconcile`) in a night, one process",
        lambda load: load.enrolments * COMPARISON / 1_000 / NIGHT,
        "by collection, or several in parts",
    )
    yield _limit(
        f"three nodes of Cassandra with {CORES} cores",
        lambda load: (
            sum(
                count * cpu
                for count, cpu in zip(
                    statements(load).values(),
                    (
                        COSTS.conditional_cpu + 4 * COSTS.copy_cpu,
                        COSTS.write_cpu + 2 * COSTS.copy_cpu,
                        COSTS.read_cpu,
                    ),
                    strict=True,
                )
            )
            / 1_000
            / (0.4 * 3 * CORES)
        ),
        "more nodes: nothing else changes",
    )
    yield _limit(
        "one Redis of 64 GB",
        lambda load: load.active_at_once() * COSTS.live_hash * 2 / 48e9,
        "several, by instance: Cohort uses no cluster of Redis",
    )


def _triggers(load: Load) -> float:
    return sum(call.triggers * count for call, count in load.peak().items())


def _limit(what: str, used: Callable[[Load], float], then: str) -> Limit:
    """``used``: the part of the limit that a load takes. Found by halving: not all of them are linear."""
    low, high = 0.0, MOST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if used(Load(max(middle, 1e-3))) < 1 else (low, middle)
    return Limit(what, low, then)
