"""Reads and checks the whole dataset before anything of it is loaded."""

import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from ingest.importers.oulad.dataset import (
    FIRST_MONTHS,
    MOST_POINTS,
    OPENS_BEFORE,
    Assessment,
    Dataset,
    Presentation,
    Registration,
    Site,
    Student,
    Submission,
)
from ingest.importers.oulad.tables import CsvTable, shown
from rules.learners import LONGEST_VALUE

PRESENTATION = ("code_module", "code_presentation")
COURSES = (*PRESENTATION, "module_presentation_length")
SITES = ("id_site", *PRESENTATION, "activity_type", "week_from", "week_to")
STUDENTS = (
    *PRESENTATION,
    "id_student",
    "gender",
    "region",
    "highest_education",
    "imd_band",
    "age_band",
    "num_of_prev_attempts",
    "studied_credits",
    "disability",
    "final_result",
)
REGISTRATIONS = (*PRESENTATION, "id_student", "date_registration", "date_unregistration")
VIEWS = (*PRESENTATION, "id_student", "id_site", "date", "sum_click")
ASSESSMENTS = (*PRESENTATION, "id_assessment", "assessment_type", "date", "weight")
SUBMISSIONS = ("id_assessment", "id_student", "date_submitted", "is_banked", "score")

ATTRIBUTES = {
    "gender": "gender",
    "region": "region",
    "highest_education": "education",
    "imd_band": "deprivation_band",
    "age_band": "age_band",
}
"""Columns of studentInfo.csv, and the learner attributes they become."""

FARTHEST_DAY = 3650
LARGEST_ID = 10**12 - 1
LONGEST = {"region": 80}
"""How many characters a text may have. A region becomes a part of the ids and names of groups."""
LAST_WEEK = 520
ROWS_A_STEP = 20_000

Row = tuple[str, ...]
TakeRow = Callable[[CsvTable, Row], None]

_MODULE = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
_CODE = re.compile(rf"(19|20)\d\d[{''.join(FIRST_MONTHS)}]", re.ASCII)
_ACTIVITY_TYPE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class Reader:
    """Reads a directory step by step, so that the caller can show progress and stop it between steps."""

    def __init__(self, directory: Path, now: datetime) -> None:
        self._now = now
        self._files: list[tuple[CsvTable, TakeRow]] = [
            (CsvTable(directory, "courses.csv", COURSES), self._take_course),
            (CsvTable(directory, "vle.csv", SITES), self._take_site),
            (CsvTable(directory, "studentInfo.csv", STUDENTS), self._take_student),
            (CsvTable(directory, "studentRegistration.csv", REGISTRATIONS), self._take_registration),
            (CsvTable(directory, "studentVle.csv", VIEWS), self._take_view),
        ]
        optional: list[tuple[CsvTable, TakeRow]] = [
            (CsvTable(directory, "assessments.csv", ASSESSMENTS), self._take_assessment),
            (CsvTable(directory, "studentAssessment.csv", SUBMISSIONS), self._take_submission),
        ]
        self._files += [(table, take) for table, take in optional if table.exists]
        self._presentations: dict[tuple[str, str], Presentation] = {}
        self._students: dict[int, Student] = {}
        self._registrations: dict[tuple[str, str, str], Registration] = {}
        self._assessments: dict[str, tuple[Presentation, Assessment]] = {}
        self._days: dict[str, int] = {}
        self._clicks: set[str] = set()
        self._digest = hashlib.sha256()

    def steps(self) -> Iterator[tuple[int, int]]:
        """Gives bytes read and bytes in all, after each step. If a file is wrong, InvalidInput names file and line."""
        total = sum(table.size for table, _ in self._files)
        before = 0
        for table, take in self._files:
            for count, row in enumerate(table.rows(), 1):
                take(table, row)
                if count % ROWS_A_STEP == 0:
                    yield before + table.place, total
            self._add_to_digest(table)
            before += table.size
            yield before, total

    @property
    def dataset(self) -> Dataset:
        """Returns the dataset, once every step is done."""
        return Dataset(
            sorted(self._presentations.values(), key=lambda p: (p.starts, p.module)),
            sorted(self._students.values(), key=lambda student: student.id),
            self._digest.hexdigest(),
        )

    def _take_course(self, table: CsvTable, row: Row) -> None:
        module, code, length = row
        if not _MODULE.fullmatch(module):
            table.refuse(f"code_module must be letters and digits, not {shown(module)}")
        if not _CODE.fullmatch(code):
            table.refuse(f"code_presentation must be a year with B or J, not {shown(code)}")
        if (module, code) in self._presentations:
            table.refuse(f"{module} {code} is there twice")
        days = table.whole(length, "module_presentation_length", least=1, most=FARTHEST_DAY)
        presentation = Presentation(module, code, days)
        if presentation.starts > self._now:
            table.refuse(f"{module} {code} begins in the future")
        self._presentations[module, code] = presentation

    def _take_site(self, table: CsvTable, row: Row) -> None:
        id_site, module, code, activity_type, week_from, week_to = row
        presentation = self._presentation(table, module, code)
        number = table.whole(id_site, "id_site", least=0, most=LARGEST_ID)
        if not _ACTIVITY_TYPE.fullmatch(activity_type):
            table.refuse(f"activity_type must be letters and digits, not {shown(activity_type)}")
        first = table.optional_whole(week_from, "week_from", least=0, most=LAST_WEEK)
        last = table.optional_whole(week_to, "week_to", least=0, most=LAST_WEEK)
        if last is not None and (first is None or last < first):
            table.refuse("week_to must not be before week_from")
        if str(number) in presentation.sites:
            table.refuse(f"site {number} of {presentation.name} is there twice")
        weeks = None if first is None else (first, first if last is None else last)
        presentation.sites[str(number)] = Site(number, activity_type, weeks)

    def _take_student(self, table: CsvTable, row: Row) -> None:
        module, code, id_student = row[:3]
        presentation = self._presentation(table, module, code)
        number = table.whole(id_student, "id_student", least=0, most=LARGEST_ID)
        key = (module, code, str(number))
        if key in self._registrations:
            table.refuse(f"student {number} of {presentation.name} is there twice")
        attributes = {
            attribute: table.text(
                row[STUDENTS.index(column)], column, longest=LONGEST.get(column, LONGEST_VALUE)
            )
            or None
            for column, attribute in ATTRIBUTES.items()
        }
        registration = self._registrations[key] = Registration(presentation, attributes)
        self._students.setdefault(number, Student(number)).registrations.append(registration)

    def _take_registration(self, table: CsvTable, row: Row) -> None:
        module, code, id_student, registered, unregistered = row
        registration = self._registration(table, module, code, id_student)
        presentation = registration.presentation
        if registration.is_registered:
            table.refuse(f"student {id_student} of {presentation.name} is there twice")
        registration.is_registered = True
        registration.registered_day = table.optional_whole(
            registered, "date_registration", least=-FARTHEST_DAY, most=presentation.length
        )
        registration.unregistered_day = table.optional_whole(
            unregistered, "date_unregistration", least=-FARTHEST_DAY, most=FARTHEST_DAY
        )
        if max(registration.enrolled_on, registration.unenrolled_on or registration.enrolled_on) > self._now:
            table.refuse("the registration or its end lies in the future")

    def _take_view(self, table: CsvTable, row: Row) -> None:
        """Takes a row of views. There are millions, so what was checked once is only looked up after that."""
        module, code, student, id_site, date, sum_click = row
        registration = self._registrations.get((module, code, student))
        if registration is None:
            registration = self._registration(table, module, code, student)
        presentation = registration.presentation
        site = presentation.sites.get(id_site) or self._site(table, presentation, id_site)
        day = self._days.get(date)
        if day is None:
            day = self._days[date] = table.whole(date, "date", least=-FARTHEST_DAY, most=FARTHEST_DAY)
        if sum_click not in self._clicks:
            table.whole(sum_click, "sum_click", least=0, most=LARGEST_ID)
            self._clicks.add(sum_click)
        if not -OPENS_BEFORE <= day <= presentation.length:
            table.refuse(
                f"date must be from {-OPENS_BEFORE} to {presentation.length}, when {presentation.name} is open, "
                f"not {day}"
            )
        registration.visit(day)
        before = registration.first_days.get(site.id)
        if before is None or day < before:
            registration.first_days[site.id] = day
        if before is None and presentation.noon(day) > self._now:
            table.refuse(f"day {day} of {presentation.name} lies in the future")

    def _take_assessment(self, table: CsvTable, row: Row) -> None:
        module, code, id_assessment, assessment_type, date, weight = row
        presentation = self._presentation(table, module, code)
        number = table.whole(id_assessment, "id_assessment", least=0, most=LARGEST_ID)
        if not _ACTIVITY_TYPE.fullmatch(assessment_type):
            table.refuse(f"assessment_type must be letters and digits, not {shown(assessment_type)}")
        due_day = table.optional_whole(date, "date", least=-FARTHEST_DAY, most=FARTHEST_DAY)
        percent = table.number(weight, "weight", least=0, most=100)
        if str(number) in self._assessments:
            table.refuse(f"assessment {number} is there twice")
        assessment = Assessment(number, assessment_type, due_day, percent)
        presentation.assessments.append(assessment)
        self._assessments[str(number)] = presentation, assessment

    def _take_submission(self, table: CsvTable, row: Row) -> None:
        id_assessment, id_student, date, is_banked, points = row
        found = self._assessments.get(id_assessment)
        if found is None:
            number = table.whole(id_assessment, "id_assessment", least=0, most=LARGEST_ID)
            found = self._assessments.get(str(number))
        if found is None:
            table.refuse(f"assessments.csv has no assessment {shown(id_assessment)}")
        presentation, assessment = found
        registration = self._registration(table, presentation.module, presentation.code, id_student)
        if assessment.id in registration.submissions:
            table.refuse(f"student {id_student} and assessment {assessment.id} are there twice")
        day = table.whole(date, "date_submitted", least=-OPENS_BEFORE, most=FARTHEST_DAY)
        if is_banked not in ("0", "1"):
            table.refuse(f"is_banked must be 0 or 1, not {shown(is_banked)}")
        score = table.optional_whole(points, "score", least=0, most=MOST_POINTS)
        submission = Submission(assessment, day, score, is_banked == "1")
        if presentation.submitted_on(submission) > self._now:
            table.refuse(f"day {day} of {presentation.name} lies in the future")
        registration.submissions[assessment.id] = submission

    def _presentation(self, table: CsvTable, module: str, code: str) -> Presentation:
        found = self._presentations.get((module, code))
        if found is None:
            table.refuse(f"courses.csv has no presentation {shown(module)} {shown(code)}")
        return found

    def _registration(self, table: CsvTable, module: str, code: str, id_student: str) -> Registration:
        presentation = self._presentation(table, module, code)
        number = table.whole(id_student, "id_student", least=0, most=LARGEST_ID)
        found = self._registrations.get((module, code, str(number)))
        if found is None:
            table.refuse(f"studentInfo.csv has no student {number} of {presentation.name}")
        return found

    def _site(self, table: CsvTable, presentation: Presentation, id_site: str) -> Site:
        number = table.whole(id_site, "id_site", least=0, most=LARGEST_ID)
        found = presentation.sites.get(str(number))
        if found is None:
            table.refuse(f"vle.csv has no site {number} of {presentation.name}")
        return found

    def _add_to_digest(self, table: CsvTable) -> None:
        with table.path.open("rb") as file:
            self._digest.update(table.name.encode())
            self._digest.update(hashlib.file_digest(file, "sha256").digest())
