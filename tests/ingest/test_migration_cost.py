"""What a page of the platform's rows costs in statements, when it is brought and when all of it is here."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

from ingest.importers.legacy.bringing import Bringing
from ingest.importers.legacy.source import Platform
from rules.legacy.tables import ASSESSMENTS, CONSUMPTION, ENROLMENTS, LEGACY_TABLES, LegacyRow
from rules.moments import milliseconds
from tests.conftest import Instance
from tests.ingest.legacy_platform import OLD, MemorySource, on, platform

LEARNERS, CONTENTS = 40, ("a", "b", "c")
AT = milliseconds(on(5))


def places() -> Iterator[dict[str, Any]]:
    for number in range(LEARNERS):
        yield {"user_id": f"learner-{number:03}", "collection_id": "course", "context_id": "batch"}


def page_of(table: str) -> list[LegacyRow]:
    """A page of this table: 40 learners in one course, each with three contents completed, one of them tried."""
    contents = [{"content_id": content} for content in CONTENTS]
    view = {"status": 2, "last_completed_time": AT, "last_updated_time": AT, "last_access_time": AT}
    enrolment = {
        "active": True,
        "enrolled_date": AT,
        "contentstatus": dict.fromkeys(CONTENTS, 2),
        "status": 1,
    }
    attempt = {"attempt_id": "one", "content_id": "a", "last_attempted_on": AT, "total_score": 1.0}
    match table:
        case "user_content_consumption":
            return [{**place, **content, **view} for place in places() for content in contents]
        case "user_enrolments":
            return [{**place, **enrolment} for place in places()]
    return [{**place, **attempt, "total_max_score": 2.0} for place in places()]


async def cost(cohort: Instance, table: str, rows: Sequence[LegacyRow]) -> Counter[str]:
    """The statements for the page, by kind, without those that ask which courses and batches there are."""
    source = await Platform.of(MemorySource(platform(OLD)), LEGACY_TABLES)
    with cohort.stores.rows.meter.measure() as spent:
        report = await Bringing(cohort.shared, source, zone=UTC).bring(table, rows)
    assert report.read == len(rows)
    for what in ("select context", "select content", "select hierarchy_relations"):
        spent.pop(what, None)
    return spent


async def test_a_page_costs_a_conditional_batch_a_place_and_when_all_is_here_a_few_reads(
    cohort: Instance,
) -> None:
    """40 learners share each read: 100 partitions go into one statement. 120 views are in 40 partitions."""
    await cohort.publish()
    await cohort.batch()
    first = {
        table: await cost(cohort, table, page_of(table)) for table in (CONSUMPTION, ENROLMENTS, ASSESSMENTS)
    }
    again = {
        table: await cost(cohort, table, page_of(table)) for table in (CONSUMPTION, ENROLMENTS, ASSESSMENTS)
    }
    assert first[CONSUMPTION]["conditional batch user_content_consumption"] == LEARNERS
    assert first[ENROLMENTS]["conditional batch user_enrolments"] == LEARNERS
    # Contentstatus repeats what the consumption has told.
    assert "conditional batch user_content_consumption" not in first[ENROLMENTS]
    assert again == {
        CONSUMPTION: {"select erasure": 1, "select user_content_consumption": 1},
        ENROLMENTS: {"select erasure": 1, "select user_enrolments": 1, "select user_content_consumption": 1},
        ASSESSMENTS: {"select erasure": 1, "select assessment_attempt": 1},
    }
