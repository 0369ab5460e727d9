"""A course that is taken by itself and as a part of two programs, all under one context: each has figures of its own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ingest.aggregation import aggregate
from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from ingest.jobs.reconcile import reconcile
from ingest.jobs.upgrade import upgrade
from loaders.session import Session, Shared
from resolvers.metrics import activity_metrics
from rules.aggregates import AggregateKey
from rules.identifiers import ContextType
from rules.metric_queries import metric_query
from rules.metrics import Metric
from rules.plans import AggregationMode, Source
from rules.viewers import Role, Viewer
from rules.views import ViewChange
from stores.former_tables import AGGREGATES_V1, FORMER_TABLES
from stores.rows import Write
from stores.tables import AGGREGATES, TABLES
from tests.conftest import LEAF, NOW, Instance, embedded_urls, instance_of, real_urls


def leaf(identifier: str) -> dict[str, Any]:
    return {"identifier": identifier, "name": identifier, "mimeType": LEAF}


def node(identifier: str, *children: dict[str, Any]) -> dict[str, Any]:
    return {"identifier": identifier, "name": identifier, "children": list(children)}


COURSE = node("course", node("first", leaf("a")), node("second", leaf("b")))
ONE, OTHER = node("one", COURSE, leaf("z")), node("other", COURSE)
TERM = "cb:term"

# By hand, (enrolled, completed) by collection and activity. Ann is enrolled in the course and in both programs, Bob in
# the other one. Ann completes a and b in the first program, of which z is left, and a in the course by itself. Bob
# completes a in the other program. A unit counts those who have begun it there.
FIGURES = {
    ("course", "course"): (1, 0),
    ("course", "first"): (1, 1),
    ("one", "one"): (1, 0),
    ("one", "course"): (1, 1),
    ("one", "first"): (1, 1),
    ("one", "second"): (1, 1),
    ("other", "other"): (2, 0),
    ("other", "course"): (1, 0),
    ("other", "first"): (1, 1),
}
# And (completed, required) leaves of Ann's.
OF_ANN = {
    ("course", "course"): (1, 2),
    ("one", "course"): (2, 2),
    ("one", "one"): (2, 3),
    ("other", "other"): (0, 2),
}


async def lives(cohort: Instance) -> None:
    """Loaded in this order, the course becomes a part of the programs after it was published by itself."""
    for document in (COURSE, ONE, OTHER):
        await cohort.publish(document)
    collections = ("course", "one", "other")
    await create_context(cohort.session(), NewContext(ContextType.BATCH, "Term", collections, "term"))
    for user, collection in (("ann", "course"), ("ann", "one"), ("ann", "other"), ("bob", "other")):
        await enrol(cohort.session(user), EnrolmentCall(collection, "term"))
    views = (("ann", "one", "a"), ("ann", "one", "b"), ("ann", "course", "a"), ("bob", "other", "a"))
    for user, collection, content in views:
        call = ViewCall(content, collection, "term")
        await start_view(cohort.session(user), call)
        await end_view(cohort.session(user), call, ViewChange(NOW))


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.stack)])
async def programs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Instance]:
    """With Druid, where the others are real."""
    urls = embedded_urls() if request.param == "embedded" else real_urls()
    async with instance_of(urls, tmp_path, groups=True) as instance:
        yield instance


async def counted(cohort: Instance, mode: AggregationMode) -> dict[tuple[str, str], tuple[int, int]]:
    """As a dashboard shows them: collections, then units, each in its collection."""
    shared = Shared.of(cohort.stores, cohort.shared.now, answers_ttl=0)
    session = Session(Viewer("rita", frozenset({Role.REPORTER})), shared)
    metrics = [Metric.ENROLLED_COUNT, Metric.COMPLETED_COUNT]
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for dimensions in (["collection"], ["collection", "unit"]):
        query = metric_query(metrics=metrics, dimensions=dimensions, context_ids=["term"])
        answered = await activity_metrics(session, query, mode=mode)
        assert answered.complete
        assert answered.plan.source is (Source.TOTALS if mode is AggregationMode.BATCH else Source.STATES)
        for *key, enrolled, completed in answered.table.rows:
            found[key[0], key[-1]] = (enrolled, completed)  # type: ignore[index,assignment]
    return found


async def shown(
    cohort: Instance, mode: AggregationMode, within: float = 60
) -> dict[tuple[str, str], tuple[int, int]]:
    """Once the groups store has what was sent to it."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    async with asyncio.timeout(within):
        while (found := await counted(cohort, mode)) != FIGURES:
            await asyncio.sleep(0.2)
    return found


async def leaves_of_ann(cohort: Instance) -> dict[tuple[str, str], tuple[int, int]]:
    rows = await cohort.stores.rows.get_many(
        AGGREGATES,
        [_place(AggregateKey(activity, collection, TERM, "ann")) for collection, activity in OF_ANN],
    )
    return {
        (row["collection_id"], row["activity_id"]): (
            int(row["aggregates"]["completedCount"]),
            int(row["aggregates"]["requiredCount"]),
        )
        for row in rows.values()
    }


def _place(key: AggregateKey) -> tuple[str, ...]:
    return key.activity_type, key.activity_id, key.user_id, key.context_id, key.collection_id


async def test_each_has_the_figures_of_a_count_by_hand_in_rows_states_and_totals(programs: Instance) -> None:
    await lives(programs)
    await programs.drain()
    assert await leaves_of_ann(programs) == OF_ANN
    await programs.arrived()
    assert await shown(programs, AggregationMode.QUERY) == FIGURES
    await aggregate(programs.shared)
    assert await shown(programs, AggregationMode.BATCH) == FIGURES
    # Two enrolments of Ann's shared a row, and each run found the other one drifted.
    for _ in range(2):
        assert (await reconcile(programs.shared, rate=100_000)).drifted == 0
    await programs.drain()
    assert await leaves_of_ann(programs) == OF_ANN


async def test_what_was_stored_in_the_old_form_is_carried_over(programs: Instance) -> None:
    """As version 3 left it: whoever came last had written the row of the course and those of its units, also where a unit
    was not begun."""
    await lives(programs)
    await programs.stores.rows.init((*TABLES, *FORMER_TABLES))
    completed_on = NOW.replace(year=2025)
    old = {
        ("course", "ann"): ("one", 2, 2),
        ("first", "ann"): ("other", 0, 1),
        ("second", "ann"): ("one", 1, 1),
        ("one", "ann"): ("one", 2, 3),
        ("other", "ann"): ("other", 0, 2),
        ("course", "bob"): ("other", 1, 2),
        ("other", "bob"): ("other", 1, 2),
    }
    await programs.stores.rows.write(
        *(
            Write(
                AGGREGATES_V1,
                ("Course", activity, user, TERM),
                {
                    "aggregates": {"completedCount": float(done), "requiredCount": float(required)},
                    "status": 2 if done == required else min(done, 1),
                    "completed_on": completed_on if done == required else None,
                    "collection_id": collection,
                    "active": True,
                    "enrolled_on": NOW,
                    "version": 7,
                },
                timestamp=7,
            )
            for (activity, user), (collection, done, required) in old.items()
        )
    )
    said = await upgrade(programs.shared)
    assert said[0] == "carried 6 rows of user_activity_agg over to user_activity_agg_v2"
    assert await upgrade(programs.shared) == [], "the second time there is nothing to do"
    for table in FORMER_TABLES:
        assert not await programs.stores.rows.exists(table)
    await programs.drain()
    assert await leaves_of_ann(programs) == OF_ANN
    key = AggregateKey("second", "one", TERM, "ann")
    row = await programs.stores.rows.get(AGGREGATES, _place(key))
    assert row is not None
    assert row["completed_on"] == completed_on, "a date that was given once stays"
    await programs.arrived()
    assert await shown(programs, AggregationMode.QUERY) == FIGURES
    report = await aggregate(programs.shared)
    assert report.everything
    assert await shown(programs, AggregationMode.BATCH) == FIGURES
    assert (await reconcile(programs.shared, rate=100_000)).drifted == 0
