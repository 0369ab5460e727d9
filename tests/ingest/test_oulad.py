"""What loading the OULAD files promises, on small inputs; tests/ingest/test_oulad_stack.py loads all of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.learner_groups import GroupCall, delete_group, suspend_group, update_group
from ingest.commands.learners import ProfileCall, save_profile
from ingest.commands.views import start_view
from ingest.importers.oulad import Counts, OuladReport, load_oulad, loading, newcomers, sending
from ingest.importers.oulad.dataset import Student
from ingest.importers.oulad.loading import MAPPING
from ingest.jobs.erasure import erase_learner
from loaders.enrolments import enrolments_page
from loaders.erasures import erasures_of
from loaders.learner_groups import groups_by_id, groups_pages, rosters_by_id
from loaders.learners import learners_by_id
from loaders.session import Shared
from rules.enrolments import Enrolment
from rules.errors import AlreadyEnrolled, Erased, InvalidInput, StoreUnavailable
from rules.group_changes import AddMember, RemoveMember
from rules.learner_groups import Activity, Group, GroupLimits, GroupRole, GroupStatus
from rules.learners import Learner
from rules.tracking import Tracking, TrackingMode
from stores.columns import Table
from stores.rows import Change
from stores.tables import (
    AGGREGATES,
    ATTEMPTS_WITH_QUESTIONS,
    ENROLMENTS,
    ENROLMENTS_BY_CONTEXT,
    JOBS,
    LEARNER_GROUPS,
    LEARNER_SCOPES,
    LEARNERS,
    SCORES,
    TABLES,
    VIEWS,
)
from tests.conftest import NOW, Instance, embedded_urls, instance_of
from tests.ingest.oulad_files import ASSESSED, HEADERS, SMALL, generated, write
from tests.ingest.test_sample import rows_of

pytestmark = pytest.mark.long

ALL_THERE = OuladReport(
    Counts(0, 2), Counts(0, 3), Counts(0, 4), Counts(0, 2), Counts(0, 4), Counts(0, 3), Counts(0, 4)
)
AAA, AAA_BATCH = "oulad:AAA-2013J", "oulad:AAA-2013J:batch"
BBB, BBB_BATCH = "oulad:BBB-2014B", "oulad:BBB-2014B:batch"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "oulad"
    directory.mkdir()
    return write(directory)


@pytest.fixture
async def loaded(cohort: Instance, files: Path) -> Instance:
    await load_oulad(cohort.shared, files)
    return cohort


def day(month: int, number: int, year: int = 2013, hour: int = 0) -> datetime:
    return datetime(year, month, number, hour, tzinfo=UTC)


async def everything(instance: Instance) -> dict[str, list[dict[str, Any]]]:
    return {table.name: await rows_of(instance.shared, table) for table in TABLES}


async def enrolments_of(instance: Instance, user_id: str) -> dict[str, Enrolment]:
    found, _ = await enrolments_page(instance.stores.rows, user_id, after=None, limit=9, active=None)
    return {enrolment.key.context_id: enrolment for enrolment in found}


async def learner(instance: Instance, user_id: str) -> Learner:
    [found] = await learners_by_id(instance.stores.rows, [user_id])
    assert found is not None
    return found


class TestWhatBecomesWhat:
    async def test_a_presentation_is_a_course_with_units_by_planned_weeks_then_by_type(
        self, loaded: Instance
    ) -> None:
        library = loaded.shared.library
        tree = (await library.hierarchy(await library.collection(AAA))).root
        assert tree["name"] == "AAA 2013J"
        assert [
            (unit["identifier"], unit["name"], [leaf["identifier"] for leaf in unit["children"]])
            for unit in tree["children"]
        ] == [
            (f"{AAA}:week-1", "Week 1", ["oulad:site:5"]),
            (f"{AAA}:week-3", "Week 3", ["oulad:site:2"]),
            (f"{AAA}:weeks-3-5", "Weeks 3-5", ["oulad:site:3"]),
            (f"{AAA}:type-resource", "resource", ["oulad:site:1", "oulad:site:4"]),
        ]
        other = (await library.hierarchy(await library.collection(BBB))).root
        assert [unit["name"] for unit in other["children"]] == ["homepage", "url"]

    async def test_its_batch_has_the_real_dates_and_opens_early(self, loaded: Instance) -> None:
        autumn, spring = [await loaded.shared.library.context(c) for c in (AAA_BATCH, BBB_BATCH)]
        assert autumn.collection_ids == (AAA,)
        assert (autumn.opens_on, autumn.start_date) == (day(8, 2), day(10, 1))
        assert autumn.end_date == datetime(2014, 6, 26, 23, 59, 59, 999000, UTC)
        assert spring.start_date == day(2, 1, 2014)
        assert spring.end_date == datetime(2014, 9, 23, 23, 59, 59, 999000, UTC)

    async def test_a_student_is_a_learner_with_the_attributes_of_the_latest_presentation(
        self, loaded: Instance
    ) -> None:
        assert await learner(loaded, "oulad:100") == Learner(
            "oulad:100",
            "Student 100",
            {
                "gender": "F",
                "region": "Wales",
                "education": "HE Qualification",
                "deprivation_band": "30-40%",
                "age_band": "35-55",
            },
            day(2, 1, 2014),
        )

    async def test_a_blank_or_question_mark_is_no_value(self, loaded: Instance) -> None:
        for user_id in ("oulad:101", "oulad:102"):
            assert "deprivation_band" not in (await learner(loaded, user_id)).attributes

    async def test_a_registration_is_an_enrolment_on_its_day_or_at_the_start(self, loaded: Instance) -> None:
        enrolments = await enrolments_of(loaded, "oulad:100")
        assert {context: (e.active, e.enrolled_on) for context, e in enrolments.items()} == {
            AAA_BATCH: (True, day(9, 1)),
            BBB_BATCH: (True, day(2, 1, 2014)),
        }

    async def test_an_unregistration_ends_it_never_before_it_began(self, loaded: Instance) -> None:
        early = (await enrolments_of(loaded, "oulad:101"))[AAA_BATCH]
        assert (early.active, early.enrolled_on, early.unenrolled_on) == (False, day(10, 6), day(10, 6))
        late = (await enrolments_of(loaded, "oulad:102"))[BBB_BATCH]
        assert (late.active, late.enrolled_on, late.unenrolled_on) == (
            False,
            day(1, 27, 2014),
            day(2, 13, 2014),
        )

    async def test_a_student_and_a_site_are_one_completed_view_on_the_first_day(
        self, loaded: Instance
    ) -> None:
        views = {
            (row["userid"], row["contextid"], row["contentid"]): (row["status"], row["last_completed_time"])
            for row in await rows_of(loaded.shared, VIEWS)
        }
        assert views == {
            ("oulad:100", AAA_BATCH, "oulad:site:1"): (2, day(9, 21, hour=12)),
            ("oulad:100", AAA_BATCH, "oulad:site:5"): (2, day(10, 1, hour=12)),
            ("oulad:100", BBB_BATCH, "oulad:site:10"): (2, day(2, 2, 2014, hour=12)),
            ("oulad:102", BBB_BATCH, "oulad:site:11"): (2, day(2, 21, 2014, hour=12)),
        }

    async def test_the_workers_make_progress_of_it(self, loaded: Instance) -> None:
        await loaded.drain()
        enrolments = await enrolments_of(loaded, "oulad:100")
        assert (enrolments[AAA_BATCH].completed_count, enrolments[BBB_BATCH].completed_count) == (2, 1)

    async def test_the_report_counts_it_and_progress_comes_to_the_end(
        self, embedded: Instance, files: Path
    ) -> None:
        steps: list[tuple[str, int, int]] = []
        report = await load_oulad(embedded.shared, files, lambda *step: steps.append(step))
        assert report == OuladReport(
            Counts(2), Counts(3), Counts(4), Counts(2), Counts(4), Counts(3), Counts(4)
        )
        size = sum(file.stat().st_size for file in map(files.joinpath, HEADERS))
        last = {phase: (done, total) for phase, done, total in steps}
        assert last == {"reading": (size, size), "courses": (2, 2), "learners": (3, 3), "groups": (3, 3)}


WALES, IRELAND, AAA_WALES = f"{BBB}:wales:1", f"{BBB}:ireland:1", f"{AAA}:wales:1"


async def group(instance: Instance, group_id: str) -> Group:
    [found] = await groups_by_id(instance.stores.rows, [group_id])
    assert found is not None
    return found


async def members(instance: Instance) -> dict[str, list[str]]:
    """Of every group."""
    ids = sorted({row["groupid"] for row in await rows_of(instance.shared, LEARNER_GROUPS)})
    rosters = await rosters_by_id(instance.stores.rows, ids)
    return {roster.group_id: [member.user_id for member in roster.active()] for roster in rosters}


def small_groups(instance: Instance, most: int) -> Shared:
    """The same instance, where groups have at most so many members."""
    return replace(instance.shared, group_limits=GroupLimits(members=most))


class TestGroups:
    async def test_there_is_one_for_each_presentation_and_region_of_those_registered(
        self, loaded: Instance
    ) -> None:
        """100 was in Scotland for AAA, but lives in Wales by now: that is what the profile says."""
        assert await members(loaded) == {
            AAA_WALES: ["oulad:100", "oulad:101"],
            IRELAND: ["oulad:102"],
            WALES: ["oulad:100"],
        }
        found = await group(loaded, AAA_WALES)
        assert (found.name, found.activities) == ("AAA 2013J, Wales", (Activity(AAA, "Course"),))
        assert found.members_count == 2

    async def test_a_learner_is_in_the_groups_of_all_presentations_and_nobody_is_an_admin(
        self, loaded: Instance
    ) -> None:
        ((found, more),) = await groups_pages(loaded.stores.rows, [("oulad:100", None, 9)])
        assert [(group.group_id, member.role) for group, member in found] == [
            (AAA_WALES, GroupRole.MEMBER),
            (WALES, GroupRole.MEMBER),
        ]
        assert not more

    async def test_who_is_not_registered_or_has_no_region_is_in_none(
        self, embedded: Instance, files: Path
    ) -> None:
        people = [
            *SMALL["studentInfo.csv"],
            "AAA,2013J,103,F,Wales,A Level,,0-35,0,60,N,Pass",
            "AAA,2013J,104,F,?,A Level,,0-35,0,60,N,Pass",
        ]
        registered = [*SMALL["studentRegistration.csv"], "AAA,2013J,104,-5,"]
        write(files, {"studentInfo.csv": people, "studentRegistration.csv": registered})
        await load_oulad(embedded.shared, files)
        found = await members(embedded)
        assert found[AAA_WALES] == ["oulad:100", "oulad:101"]
        assert len(found) == 3

    async def test_one_that_would_be_too_large_is_split_by_student_id(
        self, embedded: Instance, files: Path
    ) -> None:
        """Ids are numbers: 9 comes before 100."""
        people = [f"AAA,2013J,{n},F,London Region,A Level,,0-35,0,60,N,Pass" for n in (100, 9, 11, 10, 12)]
        registered = [f"AAA,2013J,{n},-5," for n in (12, 11, 10, 9, 100)]
        files_of = {"studentInfo.csv": people, "studentRegistration.csv": registered, "studentVle.csv": []}
        write(files, files_of)
        report = await load_oulad(small_groups(embedded, 2), files)
        assert (report.groups, report.memberships) == (Counts(3), Counts(5))
        london = f"{AAA}:london-region"
        assert await members(embedded) == {
            f"{london}:1": ["oulad:10", "oulad:9"],
            f"{london}:2": ["oulad:11", "oulad:12"],
            f"{london}:3": ["oulad:100"],
        }
        names = [(await group(embedded, f"{london}:{part}")).name for part in (1, 2, 3)]
        assert names == [
            "AAA 2013J, London Region",
            "AAA 2013J, London Region (2)",
            "AAA 2013J, London Region (3)",
        ]

    async def test_groups_of_another_size_are_loaded_anew(self, embedded: Instance, files: Path) -> None:
        await load_oulad(embedded.shared, files)
        report = await load_oulad(small_groups(embedded, 1), files)
        assert (report.groups, report.memberships) == (Counts(1, 3), Counts(1, 3))
        assert await members(embedded) == {
            AAA_WALES: ["oulad:100"],
            f"{AAA}:wales:2": ["oulad:101"],
            IRELAND: ["oulad:102"],
            WALES: ["oulad:100"],
        }

    async def test_who_has_moved_changes_groups_when_the_files_say_so(
        self, loaded: Instance, files: Path
    ) -> None:
        people = [row.replace("F,Wales", "F,Ireland") for row in SMALL["studentInfo.csv"]]
        write(files, {"studentInfo.csv": people})
        report = await load_oulad(loaded.shared, files)
        assert await members(loaded) == {
            f"{AAA}:ireland:1": ["oulad:100"],
            AAA_WALES: ["oulad:101"],
            IRELAND: ["oulad:100", "oulad:102"],
            WALES: ["oulad:100"],
        }
        assert (report.groups, report.memberships) == (Counts(1, 2), Counts(2, 2))

    async def test_members_whom_somebody_added_or_removed_stay_so(
        self, loaded: Instance, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        changes = (RemoveMember("oulad:100"), AddMember("tutor", GroupRole.ADMIN))
        await update_group(loaded.session(), GroupCall(AAA_WALES, members=changes))
        before = await everything(loaded)
        monkeypatch.setattr(loading, "MAPPING", MAPPING + 1)
        report = await load_oulad(loaded.shared, files)
        assert report.memberships == Counts(0, 3, 1)
        assert (await members(loaded))[AAA_WALES] == ["oulad:101", "tutor"]
        after = await everything(loaded)
        assert {**after, JOBS.name: None} == {**before, JOBS.name: None}

    async def test_a_group_that_somebody_changed_is_left_as_it_is(
        self, loaded: Instance, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await update_group(loaded.session(), GroupCall(WALES, {"name": "Tuesdays"}))
        await suspend_group(loaded.session(), AAA_WALES)
        await delete_group(loaded.session(), IRELAND)
        monkeypatch.setattr(loading, "MAPPING", MAPPING + 1)
        report = await load_oulad(loaded.shared, files)
        assert (report.groups, report.memberships) == (Counts(0, 0, 3), Counts())
        assert (await group(loaded, WALES)).name == "Tuesdays"
        assert (await group(loaded, AAA_WALES)).status is GroupStatus.SUSPENDED
        assert (await group(loaded, IRELAND)).status is GroupStatus.INACTIVE

    async def test_an_interrupted_load_goes_on_with_the_next_groups(
        self, cohort: Instance, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """40 students in AAA 2013J, those whose number allows it in BBB 2014J as well; four regions."""
        content = generated(40)
        write(files, {**content, "studentVle.csv": []})
        registered = len(content["studentRegistration.csv"])
        monkeypatch.setattr(loading, "GROUPS_A_CHECKPOINT", 1)
        task: asyncio.Task[OuladReport]

        def stop_in_the_middle(phase: str, done: int, _total: int) -> None:
            if (phase, done) == ("groups", 3):
                task.cancel()

        task = asyncio.create_task(load_oulad(cohort.shared, files, stop_in_the_middle))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(await members(cohort)) == 3
        steps: list[tuple[str, int, int]] = []
        report = await load_oulad(cohort.shared, files, lambda *step: steps.append(step))
        assert min(done for phase, done, _ in steps if phase == "groups") == 3
        assert report.memberships == Counts(registered)
        found = await members(cohort)
        assert report.groups == Counts(len(found))
        assert sum(map(len, found.values())) == registered


class TestForms:
    """What copies of the dataset look like."""

    async def same(self, instance: Instance, files: Path) -> None:
        report = await load_oulad(instance.shared, files)
        assert report == OuladReport(
            Counts(2), Counts(3), Counts(4), Counts(2), Counts(4), Counts(3), Counts(4)
        )

    async def test_quoted(self, embedded: Instance, files: Path) -> None:
        await self.same(embedded, write(files, quoted=True))

    async def test_with_a_byte_order_mark_and_windows_lines(self, embedded: Instance, files: Path) -> None:
        for file in map(files.joinpath, HEADERS):
            file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
        await self.same(embedded, files)

    async def test_with_columns_in_another_order_and_more_of_them(
        self, embedded: Instance, files: Path
    ) -> None:
        rows = ["date,note,sum_click,id_site,id_student,code_presentation,code_module"]
        for row in SMALL["studentVle.csv"]:
            module, code, student, site, date, clicks = row.split(",")
            rows.append(f"{date},x,{clicks},{site},{student},{code},{module}")
        (files / "studentVle.csv").write_text("\n".join(rows))
        await self.same(embedded, files)


@pytest.fixture
def assessed(files: Path) -> Path:
    return write(files, ASSESSED)


Scores = dict[tuple[str, str, str], tuple[float, float, int, datetime]]


async def scores(instance: Instance) -> Scores:
    """Best score, maximum, attempts, and when the last one was: by learner, context and assessment."""
    return {
        (row["user_id"], row["context_id"], row["assessment_id"]): (
            *(row["best_score"], row["total_max_score"], row["attempts_count"], row["updated_on"]),
        )
        for row in await rows_of(instance.shared, SCORES)
    }


EXAM, TMA, CMA, SPRING_TMA = (f"oulad:assessment:{number}" for number in (1751, 1752, 1753, 1800))
SCORED: Scores = {
    ("oulad:100", AAA_BATCH, TMA): (78, 100, 1, day(10, 19, hour=12)),
    # Banked: one day before the start.
    ("oulad:100", AAA_BATCH, CMA): (39, 100, 1, day(9, 30, hour=12)),
    # Handed in on day 300: the batch takes nothing after its last day, which is day 268.
    ("oulad:100", AAA_BATCH, EXAM): (55, 100, 1, day(6, 26, 2014, hour=12)),
    ("oulad:100", BBB_BATCH, SPRING_TMA): (40, 100, 1, day(2, 11, 2014, hour=12)),
}


class TestAssessments:
    async def test_they_are_optional_leaves_of_a_last_unit_with_their_pass_mark(
        self, embedded: Instance, assessed: Path
    ) -> None:
        await load_oulad(embedded.shared, assessed)
        library = embedded.shared.library
        tree = (await library.hierarchy(await library.collection(AAA))).root
        unit = tree["children"][-1]
        assert (unit["identifier"], unit["name"]) == (f"{AAA}:assessments", "Assessments")
        assert [
            (leaf["identifier"], leaf["name"], leaf["primaryCategory"], leaf["weight"], leaf["passMark"])
            for leaf in unit["children"]
        ] == [
            (EXAM, "Exam 1751", "Exam", 100, 40),
            (TMA, "TMA 1752", "TMA", 12.5, 40),
            (CMA, "CMA 1753", "CMA", 0, 40),
        ]
        assert [leaf.get("dueDay") for leaf in unit["children"]] == [None, 19, None]
        relations = await library.relation_tree(await library.collection(AAA))
        assert relations.leaf_nodes - relations.required(AAA) == {EXAM, TMA, CMA}

    async def test_a_submission_is_an_attempt_and_progress_stays_what_it_was(
        self, cohort: Instance, assessed: Path
    ) -> None:
        """On both engines: the attempt takers and the workers make scores of it."""
        await load_oulad(cohort.shared, assessed)
        await cohort.drain()
        assert await scores(cohort) == SCORED
        enrolments = await enrolments_of(cohort, "oulad:100")
        assert (enrolments[AAA_BATCH].completed_count, enrolments[BBB_BATCH].completed_count) == (2, 1)
        (attempt,) = [
            row for row in await rows_of(cohort.shared, ATTEMPTS_WITH_QUESTIONS) if row["content_id"] == CMA
        ]
        (question,) = attempt["question"]
        assert (question["id"], question["score"], question["max_score"]) == (CMA, 39, 100)
        assert question["description"] == "banked: the result of an earlier presentation"

    async def test_the_report_counts_them_and_a_second_load_changes_nothing(
        self, embedded: Instance, assessed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        report = await load_oulad(embedded.shared, assessed)
        assert (report.attempts, report.banked, report.unscored) == (Counts(4), Counts(1), Counts(2))
        await embedded.drain()
        before = await everything(embedded)
        monkeypatch.setattr(loading, "MAPPING", MAPPING + 1)
        again = await load_oulad(embedded.shared, assessed)
        assert (again.attempts, again.banked, again.views) == (Counts(0, 4), Counts(0, 1), Counts(0, 4))
        assert await embedded.submitted() == 0
        after = await everything(embedded)
        assert {**after, JOBS.name: None} == {**before, JOBS.name: None}

    async def test_what_no_taker_has_taken_yet_is_submitted_again_and_is_the_same_attempt(
        self, embedded: Instance, assessed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await load_oulad(embedded.shared, assessed)
        monkeypatch.setattr(loading, "MAPPING", MAPPING + 1)
        assert (await load_oulad(embedded.shared, assessed)).attempts == Counts(4)
        await embedded.drain()
        assert await scores(embedded) == SCORED

    async def test_a_score_that_was_changed_since_is_left_and_counted(
        self, embedded: Instance, assessed: Path
    ) -> None:
        await load_oulad(embedded.shared, assessed)
        await embedded.drain()
        changed = [row.replace("18,0,78", "18,0,80") for row in ASSESSED["studentAssessment.csv"]]
        write(assessed, {"studentAssessment.csv": changed})
        assert (await load_oulad(embedded.shared, assessed)).attempts == Counts(0, 3, 1)
        await embedded.drain()
        assert await scores(embedded) == SCORED

    async def test_without_submissions_the_assessments_are_there(
        self, embedded: Instance, assessed: Path
    ) -> None:
        (assessed / "studentAssessment.csv").unlink()
        report = await load_oulad(embedded.shared, assessed)
        assert (report.attempts, report.views) == (Counts(), Counts(4))


def with_row(name: str, row: str) -> dict[str, list[str]]:
    return {name: [*SMALL[name], row]}


BROKEN_ROWS = {
    "courses.csv": [
        ("A-A,2013J,9", 4, "code_module must be letters and digits, not 'A-A'"),
        ("CCC,2013X,9", 4, "code_presentation must be a year with B or J, not '2013X'"),
        ("CCC,2013J,0", 4, "module_presentation_length must be from 1 to 3650, not 0"),
        ("AAA,2013J,9", 4, "AAA 2013J is there twice"),
        ("AAA,2030J,9", 4, "AAA 2030J begins in the future"),
        ("AAA,2014J", 4, "has 2 fields; the header has 3"),
        ('"AAA"x,2014J,9', 4, "is no CSV: ',' expected after '\"'"),
    ],
    "vle.csv": [
        ("x,AAA,2013J,quiz,,", 9, "id_site must be a whole number, not 'x'"),
        ("12,AAA,2014J,quiz,,", 9, "courses.csv has no presentation 'AAA' '2014J'"),
        ("12,AAA,2013J,,,", 9, "activity_type must be letters and digits, not ''"),
        ("12,AAA,2013J,quiz,4,3", 9, "week_to must not be before week_from"),
        ("12,AAA,2013J,quiz,1.5,3", 9, "week_from must be a whole number, not '1.5'"),
        ("4,AAA,2013J,quiz,,", 9, "site 4 of AAA 2013J is there twice"),
    ],
    "studentInfo.csv": [
        ("AAA,2013J,100,F,,,,,0,60,N,Pass", 6, "student 100 of AAA 2013J is there twice"),
        ("CCC,2013J,103,F,,,,,0,60,N,Pass", 6, "courses.csv has no presentation 'CCC' '2013J'"),
        ("AAA,2013J,103,F,a\tb,,,,0,60,N,Pass", 6, "region must be printable text, not 'a\\tb'"),
        (f"AAA,2013J,103,F,{'x' * 81},,,,0,60,N,Pass", 6, "region must have at most 80 characters"),
        (
            f"AAA,2013J,103,F,,{'x' * 257},,,0,60,N,Pass",
            6,
            "highest_education must have at most 256 characters",
        ),
    ],
    "studentRegistration.csv": [
        ("AAA,2013J,999,1,", 6, "studentInfo.csv has no student 999 of AAA 2013J"),
        ("AAA,2013J,100,1,", 6, "student 100 of AAA 2013J is there twice"),
        ("AAA,2013J,101,269,", 6, "date_registration must be from -3650 to 268, not 269"),
        ("AAA,2013J,101,x,", 6, "date_registration must be a whole number, not 'x'"),
    ],
    "studentVle.csv": [
        ("AAA,2013J,100,1,x,1", 8, "date must be a whole number, not 'x'"),
        ("AAA,2013J,100,1,,1", 8, "date must be a whole number, not ''"),
        ("AAA,2013J,100,1,1,-1", 8, "sum_click must be from 0 to 999999999999, not -1"),
        ("AAA,2013J,100,10,1,1", 8, "vle.csv has no site 10 of AAA 2013J"),
        ("AAA,2013J,102,1,1,1", 8, "studentInfo.csv has no student 102 of AAA 2013J"),
        ("AAA,2013B,100,1,1,1", 8, "courses.csv has no presentation 'AAA' '2013B'"),
        ("AAA,2013J,100,1,-61,1", 8, "date must be from -60 to 268, when AAA 2013J is open, not -61"),
        ("AAA,2013J,100,1,269,1", 8, "date must be from -60 to 268, when AAA 2013J is open, not 269"),
    ],
}

BROKEN_ASSESSMENTS = {
    "assessments.csv": [
        ("AAA,2013J,x,TMA,1,1", 6, "id_assessment must be a whole number, not 'x'"),
        ("AAA,2013J,1752,TMA,1,1", 6, "assessment 1752 is there twice"),
        ("AAA,2014J,1,TMA,1,1", 6, "courses.csv has no presentation 'AAA' '2014J'"),
        ("AAA,2013J,1,T M,1,1", 6, "assessment_type must be letters and digits, not 'T M'"),
        ("AAA,2013J,1,TMA,1,", 6, "weight must be a number, not ''"),
        ("AAA,2013J,1,TMA,1,100.5", 6, "weight must be from 0 to 100, not 100.5"),
        ("AAA,2013J,1,TMA,soon,1", 6, "date must be a whole number, not 'soon'"),
    ],
    "studentAssessment.csv": [
        ("1,100,1,0,50", 8, "assessments.csv has no assessment '1'"),
        ("1752,102,1,0,50", 8, "studentInfo.csv has no student 102 of AAA 2013J"),
        ("1752,100,1,0,50", 8, "student 100 and assessment 1752 are there twice"),
        ("1751,101,,0,50", 8, "date_submitted must be a whole number, not ''"),
        ("1751,101,-61,0,50", 8, "date_submitted must be from -60 to 3650, not -61"),
        ("1751,101,1,yes,50", 8, "is_banked must be 0 or 1, not 'yes'"),
        ("1751,101,1,0,101", 8, "score must be from 0 to 100, not 101"),
        ("1751,101,1,0,50.5", 8, "score must be a whole number, not '50.5'"),
    ],
}


class TestWhatIsBroken:
    """Named with file and line; nothing is loaded."""

    async def refused(self, instance: Instance, files: Path, message: str, field: str | None = None) -> None:
        with pytest.raises(InvalidInput) as caught:
            await load_oulad(instance.shared, files)
        assert caught.value.message == message
        assert caught.value.field == (field or message.split(" ")[0])
        assert not any((await everything(instance)).values())
        assert await instance.lag() == 0

    @pytest.mark.parametrize(
        ("name", "row", "line", "reason"),
        [(name, *broken) for name, several in BROKEN_ROWS.items() for broken in several],
    )
    async def test_a_row(
        self, embedded: Instance, files: Path, name: str, row: str, line: int, reason: str
    ) -> None:
        if name == "studentRegistration.csv" and row.startswith("AAA,2013J,101"):
            rows, line = [SMALL[name][0], SMALL[name][1], row], 4
            write(files, {name: rows})
        else:
            write(files, with_row(name, row))
        await self.refused(embedded, files, f"{name} line {line}: {reason}")

    @pytest.mark.parametrize(
        ("name", "row", "line", "reason"),
        [(name, *broken) for name, several in BROKEN_ASSESSMENTS.items() for broken in several],
    )
    async def test_a_row_of_assessments(
        self, embedded: Instance, assessed: Path, name: str, row: str, line: int, reason: str
    ) -> None:
        write(assessed, {name: [*ASSESSED[name], row]})
        await self.refused(embedded, assessed, f"{name} line {line}: {reason}")

    async def test_submissions_without_the_assessments(self, embedded: Instance, assessed: Path) -> None:
        (assessed / "assessments.csv").unlink()
        message = "studentAssessment.csv line 2: assessments.csv has no assessment '1752'"
        await self.refused(embedded, assessed, message)

    @pytest.mark.parametrize("name", HEADERS)
    async def test_a_missing_file(self, embedded: Instance, files: Path, name: str) -> None:
        (files / name).unlink()
        await self.refused(embedded, files, f"{name} is missing from {files}")

    @pytest.mark.parametrize("name", HEADERS)
    async def test_an_empty_file(self, embedded: Instance, files: Path, name: str) -> None:
        (files / name).write_text("")
        await self.refused(embedded, files, f"{name} line 1: the header is missing")

    @pytest.mark.parametrize(
        ("name", "column"),
        [(name, column) for name, header in HEADERS.items() for column in header.split(",")],
    )
    async def test_a_missing_column(self, embedded: Instance, files: Path, name: str, column: str) -> None:
        header = HEADERS[name].split(",")
        header[header.index(column)] = "other"
        (files / name).write_text(",".join(header) + "\n")
        await self.refused(
            embedded, files, f"{name} line 1: the column is missing: {column}; there are {', '.join(header)}"
        )

    async def test_a_column_that_is_there_twice(self, embedded: Instance, files: Path) -> None:
        (files / "courses.csv").write_text(HEADERS["courses.csv"] + ",code_module\n")
        await self.refused(embedded, files, "courses.csv line 1: column code_module is there twice")

    async def test_a_header_of_a_file_that_need_not_be_there(self, embedded: Instance, files: Path) -> None:
        (files / "studentAssessment.csv").write_text("id_assessment,id_student,date_submitted,is_banked\n")
        await self.refused(
            embedded,
            files,
            "studentAssessment.csv line 1: the column is missing: score; "
            "there are id_assessment, id_student, date_submitted, is_banked",
        )

    async def test_another_encoding_in_a_row(self, embedded: Instance, files: Path) -> None:
        write(files, with_row("studentInfo.csv", "AAA,2013J,103,F,Zürich,A Level,,0-35,0,60,N,Pass"))
        file = files / "studentInfo.csv"
        file.write_bytes(file.read_text("utf-8").encode("latin-1"))
        await self.refused(
            embedded,
            files,
            "studentInfo.csv line 6: region must be printable text in UTF-8, not 'Z\\udcfcrich'",
        )

    async def test_another_encoding_of_the_whole(self, embedded: Instance, files: Path) -> None:
        file = files / "courses.csv"
        file.write_bytes(file.read_text("utf-8").encode("utf-16"))
        await self.refused(embedded, files, "courses.csv line 1: the header is no UTF-8 text")

    async def test_a_day_in_the_future(self, embedded: Instance, files: Path) -> None:
        write(files, with_row("courses.csv", "CCC,2026B,200"))
        write(files, with_row("vle.csv", "20,CCC,2026B,quiz,,"))
        write(files, with_row("studentInfo.csv", "CCC,2026B,100,F,,,,,0,60,N,Pass"))
        write(files, with_row("studentVle.csv", f"CCC,2026B,100,20,{(NOW - day(2, 1, 2026)).days + 1},1"))
        await self.refused(embedded, files, "studentVle.csv line 8: day 29 of CCC 2026B lies in the future")
        write(files, with_row("studentRegistration.csv", "CCC,2026B,100,1,29"))
        await self.refused(
            embedded, files, "studentRegistration.csv line 6: the registration or its end lies in the future"
        )

    async def test_a_folder_in_place_of_a_file(self, embedded: Instance, files: Path) -> None:
        (files / "vle.csv").unlink()
        (files / "vle.csv").mkdir()
        await self.refused(embedded, files, f"vle.csv is missing from {files}")


class TestAgain:
    async def test_the_same_files_change_nothing_and_send_nothing(
        self, loaded: Instance, files: Path
    ) -> None:
        await loaded.drain()
        before = await everything(loaded)
        report = await load_oulad(loaded.shared, files)
        assert report == ALL_THERE
        assert await everything(loaded) == before
        assert await loaded.lag() == 0

    async def test_every_command_sent_again_changes_nothing_but_the_job(
        self, loaded: Instance, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await loaded.drain()
        before = await everything(loaded)
        monkeypatch.setattr(loading, "MAPPING", MAPPING + 1)
        report = await load_oulad(loaded.shared, files)
        assert report == ALL_THERE
        after = await everything(loaded)
        assert {**after, JOBS.name: None} == {**before, JOBS.name: None}

    async def test_more_rows_are_added_to_what_is_there(self, loaded: Instance, files: Path) -> None:
        write(files, with_row("studentVle.csv", "AAA,2013J,101,4,7,1"))
        report = await load_oulad(loaded.shared, files)
        assert report.views == Counts(1, 4)
        assert report.enrolments == Counts(0, 4)

    async def test_what_somebody_changed_since_stays(
        self, loaded: Instance, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await unenrol(loaded.session(), EnrolmentCall(AAA, AAA_BATCH, "oulad:100", day(3, 1, 2014)))
        await enrol(loaded.session(), EnrolmentCall(AAA, AAA_BATCH, "oulad:101", day(4, 1, 2014)))
        await save_profile(loaded.session(), ProfileCall("Grace", user_id="oulad:102"))
        await loaded.drain()
        before = await everything(loaded)
        monkeypatch.setattr(loading, "MAPPING", MAPPING + 1)
        report = await load_oulad(loaded.shared, files)
        assert (report.learners, report.enrolments) == (Counts(0, 2, 1), Counts(0, 2, 2))
        after = await everything(loaded)
        assert {**after, JOBS.name: None} == {**before, JOBS.name: None}

    async def test_an_interrupted_load_goes_on(
        self, cohort: Instance, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(files, generated(40))
        monkeypatch.setattr(loading, "CALLS_A_CHECKPOINT", 100)
        task: asyncio.Task[OuladReport]

        def stop_in_the_middle(phase: str, done: int, total: int) -> None:
            if phase == "learners" and done > total // 2:
                task.cancel()

        task = asyncio.create_task(load_oulad(cohort.shared, files, stop_in_the_middle))
        with pytest.raises(asyncio.CancelledError):
            await task
        pairs = duckdb.execute(
            f"select count(distinct (id_student, id_site)) from '{files / 'studentVle.csv'}'"
        ).fetchall()[0][0]
        assert 0 < len(await rows_of(cohort.shared, VIEWS)) < pairs
        steps: list[tuple[str, int, int]] = []
        report = await load_oulad(cohort.shared, files, lambda *step: steps.append(step))
        assert next(done for phase, done, _ in steps if phase == "learners") > 20
        assert report.learners == Counts(40)
        assert report.views.loaded + report.views.there_already == pairs
        assert len(await rows_of(cohort.shared, VIEWS)) == pairs


AT_THE_CALL = {
    *("changed_at", "seen_changed_at", "seen_enrolment", "version", "completed_version"),
    *("created_on", "written_at", "status_digest"),
}
"""Columns that say when a call was sent or a worker came by; a digest has its row's version."""
OF_LEARNERS = (
    ATTEMPTS_WITH_QUESTIONS,
    SCORES,
    LEARNERS,
    ENROLMENTS,
    ENROLMENTS_BY_CONTEXT,
    LEARNER_SCOPES,
    VIEWS,
    AGGREGATES,
)


async def left(instance: Instance) -> dict[str, list[dict[str, Any]]]:
    """What is stored of learners, without when it was written; and the cells of all figures."""
    await instance.drain()
    return {
        table.name: [
            {name: value for name, value in row.items() if name not in AT_THE_CALL and "updated" not in name}
            for row in await rows_of(instance.shared, table)
        ]
        for table in OF_LEARNERS
    }


def written(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS, default=repr)


class TestNewcomers:
    """Students of whom nothing is stored are sent together, all others by the commands."""

    async def test_they_leave_what_the_commands_leave(
        self, cohort: Instance, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(files, generated(40))
        report = await load_oulad(cohort.shared, files)
        together = await left(cohort)

        async def nobody(*_: object) -> frozenset[int]:
            return frozenset()

        monkeypatch.setattr(sending, "send_newcomers", nobody)
        async with instance_of(embedded_urls(), tmp_path / "commands") as one_by_one:
            assert await load_oulad(one_by_one.shared, files) == report
            expected = await left(one_by_one)
        assert {name: len(rows) for name, rows in together.items()} == {
            name: len(rows) for name, rows in expected.items()
        }
        for name, rows in expected.items():
            assert sorted(map(written, together[name])) == sorted(map(written, rows)), name
        assert len(together[VIEWS.name]) > 100

    async def test_what_each_costs_in_statements(self, embedded: Instance, files: Path) -> None:
        """The enrolments of each of 40 students are one write, and 50 views of a place; erasures are looked for once, and again
        before these writes, for many students together."""
        write(files, generated(40))
        with embedded.stores.rows.meter.measure() as statements:
            report = await load_oulad(embedded.shared, files)
        enrolled = {row["userid"] for row in await rows_of(embedded.shared, ENROLMENTS)}
        assert statements["conditional batch user_enrolments"] == len(enrolled)
        places = {(row["userid"], row["contextid"]) for row in await rows_of(embedded.shared, VIEWS)}
        assert (
            statements["conditional batch user_content_consumption"] < len(places) + report.views.loaded / 50
        )
        assert not [
            what
            for what in statements
            if what.startswith(("conditional insert user", "conditional update user"))
        ]
        assert statements["select erasure"] <= 2 * 3

    async def test_a_row_that_somebody_writes_meanwhile_stays(
        self, embedded: Instance, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Student 101 enrols by themselves, student 100 views a site, after the load looked what there is."""
        read = sending._Stored.read

        async def and_then(shared: Shared, students: Sequence[Student]) -> object:
            found = await read(shared, students)
            await enrol(embedded.session(), EnrolmentCall(AAA, AAA_BATCH, "oulad:101", day(12, 1)))
            call = ViewCall("oulad:site:1", AAA, AAA_BATCH, "oulad:100", day(12, 2))
            await start_view(embedded.session(), call)
            return found

        monkeypatch.setattr(sending._Stored, "read", and_then)
        with pytest.raises(AlreadyEnrolled, match="2013-12-01"):
            await load_oulad(embedded.shared, files)
        monkeypatch.undo()
        report = await load_oulad(embedded.shared, files)
        assert report.enrolments == Counts(0, 3, 1)
        assert (await enrolments_of(embedded, "oulad:101"))[AAA_BATCH].enrolled_on == day(12, 1)
        [view] = [row for row in await rows_of(embedded.shared, VIEWS) if row["contentid"] == "oulad:site:1"]
        assert (view["started_on"], view["status"]) == (day(12, 2), 2)

    async def test_a_write_that_was_applied_but_not_answered_is_found(
        self, embedded: Instance, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ingest.importers.oulad.patience.FIRST_PAUSE", 0.01)
        rows, silent = embedded.stores.rows, 2
        write_together = rows.write_together

        async def applied_in_silence(table: Table, changes: Sequence[Change]) -> bool:
            nonlocal silent
            applied = await write_together(table, changes)
            if table is ENROLMENTS and silent:
                silent -= 1
                raise StoreUnavailable("no answer in time")
            return applied

        monkeypatch.setattr(rows, "write_together", applied_in_silence)
        with rows.meter.measure() as statements:
            report = await load_oulad(embedded.shared, files)
        assert (report.enrolments, report.unenrolments, silent) == (Counts(4), Counts(2), 0)
        assert statements["conditional insert user_enrolments"] == 0, "no command had to do it"

    @pytest.mark.parametrize("mode", [TrackingMode.COPY, TrackingMode.MOVE, TrackingMode.CARRY_FORWARD_FULL])
    async def test_other_modes_write_more_than_a_call_says_so_the_commands_do_it(
        self, embedded: Instance, files: Path, mode: TrackingMode
    ) -> None:
        shared = replace(embedded.shared, tracking=Tracking(mode))
        with embedded.stores.rows.meter.measure() as statements:
            report = await load_oulad(shared, files)
        assert (report.learners, report.views) == (Counts(3), Counts(4))
        assert statements["conditional insert user_content_consumption"] == 4

    async def test_what_was_erased_does_not_come_back(self, cohort: Instance, files: Path) -> None:
        await erase_learner(cohort.shared, "oulad:100")
        with pytest.raises(Erased):
            await load_oulad(cohort.shared, files)
        assert not [row for row in await rows_of(cohort.shared, LEARNERS) if row["userid"] == "oulad:100"]
        assert not [row for row in await rows_of(cohort.shared, ENROLMENTS) if row["userid"] == "oulad:100"]

    async def test_who_is_erased_while_a_portion_is_sent_does_not_come_back(
        self, embedded: Instance, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = True

        async def before_the_erasure(*asked: Any) -> Any:
            nonlocal first
            if not first:
                return await erasures_of(*asked)
            first = False
            await erase_learner(embedded.shared, "oulad:100")
            return {}

        monkeypatch.setattr(newcomers, "erasures_of", before_the_erasure)
        with pytest.raises(Erased):
            await load_oulad(embedded.shared, files)
        for table in (ENROLMENTS, VIEWS):
            assert not [row for row in await rows_of(embedded.shared, table) if row["userid"] == "oulad:100"]
