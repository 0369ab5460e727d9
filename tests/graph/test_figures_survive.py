"""Dashboards on the real servers tell what a recount of the rows tells, whatever happened to workers and learners."""

from collections import defaultdict
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view
from loaders.session import Session, Shared
from rules.viewers import Role, Viewer
from rules.views import ViewChange
from stores.tables import ENROLMENTS, LEARNERS, VIEWS
from tests.conftest import NOW, Instance, instance_of, real_urls
from tests.graph.conftest import data
from tests.ingest.histories import live_through, send_again_shuffled
from tests.ingest.member_process import member_process, one_of_two_killed
from tests.ingest.test_failures import lag_below
from tests.ingest.test_sample import rows_of

TABLE = """
    {
      activityMetrics(query: {
        metrics: [ENROLLED_COUNT, COMPLETED_COUNT, AVERAGE_PROGRESS, TIME_SPENT],
        dimensions: [DISTRICT], activityIds: ["course"]
      }) { rows source complete }
    }
"""
REQUIRED = frozenset("abc")
_looks = count(1)


async def told(cohort: Instance) -> dict[str | None, tuple[Any, ...]]:
    """By district, of the course; what is kept is an hour old each time."""
    later = NOW + timedelta(hours=next(_looks))
    session = Session(Viewer("reporter", frozenset({Role.REPORTER})), Shared.of(cohort.stores, lambda: later))
    table = (await data(session, TABLE))["activityMetrics"]
    assert (table["source"], table["complete"]) == ("STATES", True)
    return {row[0]: tuple(row[1:]) for row in table["rows"]}


async def recounted(cohort: Instance) -> dict[str | None, tuple[Any, ...]]:
    """The same from enrolments, views and profiles; required of the course are a, b and c."""
    views: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in await rows_of(cohort.shared, VIEWS):
        views[row["userid"]][row["contentid"]] = row
    living = {row["userid"]: row["attributes"] or {} for row in await rows_of(cohort.shared, LEARNERS)}
    districts: dict[str | None, list[tuple[int, int]]] = defaultdict(list)
    for row in await rows_of(cohort.shared, ENROLMENTS):
        if row["active"]:
            seen = views[row["userid"]]
            done = sum(seen[leaf]["status"] == 2 for leaf in REQUIRED & seen.keys())
            seconds = sum(view["timespent"] or 0 for view in seen.values())
            districts[living.get(row["userid"], {}).get("district")].append((done, seconds))
    return {
        district: (
            len(those),
            sum(done == 3 for done, _ in those),
            round(sum(100 * done // 3 for done, _ in those) / len(those), 2),
            sum(seconds for _, seconds in those),
        )
        for district, those in districts.items()
    }


async def check(cohort: Instance) -> dict[str | None, tuple[Any, ...]]:
    """Once Druid has everything that was sent. Gives the figures."""
    await cohort.arrived()
    figures = await told(cohort)
    assert figures == await recounted(cohort)
    return figures


async def finish(cohort: Instance, user: str, content: str) -> None:
    session, call = cohort.session(user), ViewCall(content, "course", "batch")
    await start_view(session, call)
    await end_view(session, call, ViewChange(NOW))


@pytest.mark.stack
@pytest.mark.timeout(400)
async def test_figures_in_druid_are_those_of_the_rows_whatever_dies_or_moves(tmp_path: Path) -> None:
    async with instance_of(real_urls(), tmp_path, groups=True) as cohort:
        await cohort.publish()
        await cohort.batch()
        await _a_killed_worker_and_triggers_that_come_again(cohort)
        await _a_learner_who_moves_leaves_and_comes_back(cohort)


async def _a_killed_worker_and_triggers_that_come_again(cohort: Instance) -> None:
    await live_through(cohort)
    await send_again_shuffled(cohort, 3)
    async with one_of_two_killed(cohort, "worker"), member_process(cohort, "worker"):
        await lag_below(cohort, 0)
    figures = await check(cohort)
    assert {"N", "S", None} == figures.keys()
    assert sum(completed for _, completed, *_ in figures.values()) > 0


async def _a_learner_who_moves_leaves_and_comes_back(cohort: Instance) -> None:
    """Ada finishes 1 of 3 in the West, leaves, moves to the East, and comes back."""

    def call(days: int) -> EnrolmentCall:
        return EnrolmentCall("course", "batch", "ada", NOW + timedelta(days=days))

    async def moves(district: str, days: int) -> None:
        at = NOW + timedelta(days=days)
        await save_profile(cohort.session(), ProfileCall("Ada", {"district": district}, "ada", at))

    async def seen() -> dict[str | None, tuple[Any, ...]]:
        await cohort.drain()
        return await check(cohort)

    await moves("West", -9)
    await enrol(cohort.session(), call(-9))
    await finish(cohort, "ada", "a")
    assert (await seen())["West"] == (1, 0, 33.0, 0)
    await unenrol(cohort.session(), call(-8))
    assert "West" not in await seen()
    await moves("East", -7)
    await enrol(cohort.session(), call(-6))
    figures = await seen()
    assert figures["East"] == (1, 0, 33.0, 0)
    assert "West" not in figures
