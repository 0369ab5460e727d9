"""Active learners of the OULAD files: what is answered after a load is what DuckDB counts over the files."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from druid_specs import ACTIVITY_DAY
from ingest.importers.oulad import load_oulad
from loaders.metrics.active_learners import active_learners
from rules.active_learners import ActiveLearnersQuery
from rules.periods import PeriodUnit
from tests.conftest import Instance
from tests.ingest.oulad_files import SMALL, write

pytestmark = pytest.mark.long

VISITS = {
    **SMALL,
    "studentVle.csv": [
        *SMALL["studentVle.csv"],
        "AAA,2013J,100,1,17,1",
        "AAA,2013J,100,5,17,2",
        "AAA,2013J,100,1,150,1",
        "BBB,2014B,102,11,27,1",
        "AAA,2013J,101,2,17,1",
    ],
}
"""100: 21 September, 1, 4 and 18 October, 28 February in AAA; 2 February in BBB. 101: 18 October. 102: 21 and 28 February. These
are 9 days; 8 weeks, as 1 and 4 October are in one; 5 months: 100 has three, 101 and 102 one each."""
ACTIVE = """
    SELECT strftime(date_trunc(?, day), '%Y-%m-%d'), count(DISTINCT id_student)
    FROM (
      SELECT id_student, make_date(
        left(code_presentation, 4)::INT, CASE right(code_presentation, 1) WHEN 'B' THEN 2 ELSE 10 END, 1
      ) + date::INT AS day
      FROM read_csv(?, header = true, all_varchar = true)
    ) GROUP BY 1 ORDER BY 1
"""


@pytest.mark.parametrize("every", [PeriodUnit.DAY, PeriodUnit.WEEK, PeriodUnit.MONTH])
async def test_active_learners_are_those_of_the_files(
    embedded: Instance, tmp_path: Path, every: PeriodUnit
) -> None:
    files = tmp_path / "oulad"
    files.mkdir()
    write(files, VISITS)
    await embedded.stores.groups.init([ACTIVITY_DAY])
    await load_oulad(embedded.shared, files)
    await embedded.drain()
    await embedded.arrived(ACTIVITY_DAY)
    query = ActiveLearnersQuery(date(2013, 9, 1), date(2014, 3, 31), every)
    answered = await active_learners(embedded.stores, embedded.shared.answers, query)
    counted = [(day, learners) for day, _, learners in answered.rows if learners]
    assert counted == duckdb.execute(ACTIVE, [every.value, str(files / "studentVle.csv")]).fetchall()
    assert sum(learners for _, learners in counted) == {"day": 9, "week": 8, "month": 5}[every.value]


async def test_a_load_again_changes_no_day(embedded: Instance, tmp_path: Path) -> None:
    files = tmp_path / "oulad"
    files.mkdir()
    write(files, VISITS)
    await load_oulad(embedded.shared, files)
    await embedded.drain()
    events = await embedded.stores.events.lag("nobody", [ACTIVITY_DAY.topic])
    write(
        files, VISITS | {"courses.csv": [*reversed(VISITS["courses.csv"])]}
    )  # another digest, the same data
    await load_oulad(embedded.shared, files)
    await embedded.drain()
    assert await embedded.stores.events.lag("nobody", [ACTIVITY_DAY.topic]) == events
    assert sum(events.values()) == 9
