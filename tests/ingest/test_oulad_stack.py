"""OULAD through commands and workers gives what a DuckDB query over the same files says.

With COHORT_OULAD the folder that it names is loaded on the real servers, whole; without, a generated dataset is.
"""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.oulad import load_oulad
from rules.progress import Status, percentage
from stores.tables import AGGREGATES, ENROLMENTS, LEARNERS, VIEWS
from tests.conftest import Instance, embedded_urls, instance_of, real_urls
from tests.ingest.oulad_files import generated, write
from tests.ingest.test_sample import rows_of

COURSE = "oulad:AAA-2013J"
IN_COURSE = "code_module = 'AAA' and code_presentation = '2013J'"

PAIRS = """
    select 'oulad:' || code_module || '-' || code_presentation, count(distinct (id_student, id_site))
    from views group by 1
"""
PERCENTAGES = f"""
    select 'oulad:' || id_student, count(distinct id_site) * 100 // (select count(*) from sites where {IN_COURSE})
    from students left join views using (code_module, code_presentation, id_student)
    where {IN_COURSE} group by 1
"""
COMPLETED_UNITS = f"""
    with plans as (
        select id_site, coalesce(week_from || '-' || coalesce(week_to, week_from), activity_type) as unit
        from sites where {IN_COURSE}
    ), sizes as (select unit, count(*) as size from plans group by 1),
    done as (
        select id_student, unit, count(distinct id_site) as seen from views join plans using (id_site)
        where {IN_COURSE} group by 1, 2
    )
    select 'oulad:' || id_student, count(*) from done join sizes using (unit) where seen = size group by 1
"""
AVERAGE_BY_REGION = f"""
    with latest as (
        select id_student, arg_max(region, code_presentation || code_module) as region from students group by 1
    ), course (user_id, percentage) as ({PERCENTAGES})
    select region, avg(percentage) from latest join course on user_id = 'oulad:' || id_student group by 1
"""


class Files:
    """The files as tables, every field as it is written there."""

    def __init__(self, directory: Path) -> None:
        self._connection = duckdb.connect()
        for table, name in {"students": "studentInfo", "sites": "vle", "views": "studentVle"}.items():
            self._connection.sql(
                f"create table {table} as select * from read_csv("
                f"'{directory / name}.csv', header = true, nullstr = ['', '?'], all_varchar = true)"
            )

    def query(self, sql: str) -> dict[str, Any]:
        return dict(self._connection.sql(sql).fetchall())


async def check(cohort: Instance, directory: Path) -> None:
    files = Files(directory)
    await load_oulad(cohort.shared, directory)
    await cohort.drain(within=400)

    pairs: dict[str, int] = defaultdict(int)
    for row in await rows_of(cohort.shared, VIEWS):
        assert row["status"] == Status.COMPLETED
        pairs[row["collectionid"]] += 1
    assert pairs == files.query(PAIRS)

    percentages: dict[str, int] = {}
    units: dict[str, int] = defaultdict(int)
    for row in await rows_of(cohort.shared, AGGREGATES):
        figures = row["aggregates"]
        if row["activity_id"] == COURSE:
            assert figures["requiredCount"] == 211
            percentages[row["user_id"]] = percentage(int(figures["completedCount"]), 211)
        elif row["activity_id"].startswith(f"{COURSE}:") and row["status"] == Status.COMPLETED:
            units[row["user_id"]] += 1
    assert percentages == files.query(PERCENTAGES)
    assert units == files.query(COMPLETED_UNITS)
    assert units

    regions = {row["userid"]: row["attributes"]["region"] for row in await rows_of(cohort.shared, LEARNERS)}
    by_region: dict[str, list[int]] = defaultdict(list)
    for row in await rows_of(cohort.shared, ENROLMENTS):
        if row["collectionid"] == COURSE:
            by_region[regions[row["userid"]]].append(percentage(row["progress"], 211))
    averages = {region: sum(values) / len(values) for region, values in by_region.items()}
    assert averages == pytest.approx(files.query(AVERAGE_BY_REGION))
    assert max(averages.values()) > 0


@pytest.mark.stack
@pytest.mark.timeout(600)
async def test_the_whole_of_it_on_the_real_servers(tmp_path: Path) -> None:
    given = os.environ.get("COHORT_OULAD")
    directory = Path(given) if given else write(tmp_path, generated())
    async with instance_of(real_urls(), tmp_path) as cohort:
        await check(cohort, directory)


async def test_a_generated_dataset_on_the_embedded_engines(tmp_path: Path) -> None:
    async with instance_of(embedded_urls(), tmp_path) as cohort:
        await check(cohort, write(tmp_path, generated()))
