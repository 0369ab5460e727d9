"""A class of learners at work, the same each time, and what is stored of it afterwards."""

import asyncio
import random
from typing import Any

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import end_view, start_view, update_view
from loaders.aggregates import status_digest
from rules.views import ViewChange
from stores.columns import Table
from stores.events import Message
from stores.tables import AGGREGATES, ENROLMENTS, ENROLMENTS_BY_CONTEXT
from stores.topics import TRIGGERS
from tests.conftest import NOW, Instance

LEARNERS = 40
CONTENTS = ("a", "b", "c", "d")
_PROCESS_OWN = {"version", "status_digest", "changed_at", "seen_changed_at", "seen_enrolment"}
"""Columns that tell when and by whom a row was written, not what it says."""


async def live_through(cohort: Instance, learners: int = LEARNERS) -> None:
    """Enrolments, profiles and views of every kind, drawn with a fixed seed."""
    await asyncio.gather(
        *(_learn(cohort, f"learner-{number}", random.Random(number)) for number in range(learners))
    )


async def _learn(cohort: Instance, user: str, dice: random.Random) -> None:
    session = cohort.session(user)
    if dice.random() < 0.9:
        await enrol(cohort.session(), EnrolmentCall("course", "batch", user, NOW))
    if dice.random() < 0.5:
        call = ProfileCall(f"Name {user}", {"district": dice.choice("NS")}, user, NOW)
        await save_profile(cohort.session(), call)
    for content in dice.sample(CONTENTS, dice.randint(0, len(CONTENTS))):
        call_of = ViewCall(content, "course", "batch")
        await start_view(session, call_of)
        if dice.random() < 0.5:
            change = ViewChange(NOW, progress=40, time_spent=dice.randint(1, 90), call_id="update")
            await update_view(session, call_of, change)
        if dice.random() < 0.8:
            await end_view(session, call_of, ViewChange(NOW))
    if dice.random() < 0.1:
        await _leave(cohort, user)


async def _leave(cohort: Instance, user: str) -> None:
    from rules.errors import NotEnrolled

    try:
        await unenrol(cohort.session(), EnrolmentCall("course", "batch", user, NOW))
    except NotEnrolled:
        return


async def send_again_shuffled(cohort: Instance, times: int = 2) -> int:
    """Every trigger of the log so many times more, in another order."""
    records = [record async for record in cohort.stores.events.read(TRIGGERS.name)] * times
    random.Random(7).shuffle(records)
    await cohort.stores.events.send(TRIGGERS.name, *(Message(r.key, r.value) for r in records))
    return len(records)


async def stored_figures(cohort: Instance) -> dict[str, list[dict[str, Any]]]:
    """Every row that the workers write, without what a process adds of its own."""
    return {
        table.name: await _all(cohort, table) for table in (AGGREGATES, ENROLMENTS, ENROLMENTS_BY_CONTEXT)
    }


async def _all(cohort: Instance, table: Table) -> list[dict[str, Any]]:
    rows = []
    for token_range in cohort.stores.rows.ranges(1):
        async for page in cohort.stores.rows.walk(table, token_range):
            for row in page.rows if table is AGGREGATES else ():
                statuses = dict(sorted(row["content_status"].items()))
                assert row["status_digest"] == status_digest(row["version"], statuses)
            rows += [{name: v for name, v in row.items() if name not in _PROCESS_OWN} for row in page.rows]
    return sorted(rows, key=lambda row: tuple(str(row[name]) for name in table.key))
