"""What the dataset says, in its own terms, and what each thing is called in Cohort."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from ingest.commands.contexts import NewContext
from rules.hierarchy import COLLECTION_MIME_TYPE
from rules.identifiers import ContextType
from rules.learner_groups import Activity

T = TypeVar("T")

OPENS_BEFORE = 60
"""A presentation's sites may be viewed from so many days before its start. Real students begin about 25 days early."""
PASS_MARK = 40
"""In percent. The dataset says that a score below 40 is a fail."""
MOST_POINTS = 100
"""Scores are from 0 to this."""
FIRST_MONTHS = {"B": 2, "J": 10}
"""The letter of a presentation says the month it starts in."""
_AFTER_ALL_WEEKS = 1_000_000
_NOT_OF_AN_ID = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Site:
    """A row of vle.csv: a page, a quiz, a forum and so on. It may be planned for some weeks."""

    id: int
    activity_type: str
    weeks: tuple[int, int] | None = None
    """The first and the last week."""

    @property
    def content_id(self) -> str:
        return content_id(self.id)


@dataclass(frozen=True, slots=True)
class Assessment:
    """A row of assessments.csv. ``weight`` is in percent of the final result, ``due_day`` is None where there is none."""

    id: int
    type: str
    due_day: int | None
    weight: float

    @property
    def content_id(self) -> str:
        return f"oulad:assessment:{self.id}"

    @property
    def name(self) -> str:
        return f"{self.type} {self.id}"

    @property
    def document(self) -> dict[str, Any]:
        """Returns the leaf. It is optional: how far a learner is says what they viewed, with assessments or without."""
        leaf = {
            "identifier": self.content_id,
            "name": self.name,
            "mimeType": "application/vnd.sunbird.questionset",
            "primaryCategory": self.type,
            "totalQuestions": 1,
            "maxScore": MOST_POINTS,
            "passMark": PASS_MARK,
            "weight": self.weight,
            "relationalMetadata": {"optional": True},
        }
        return leaf if self.due_day is None else {**leaf, "dueDay": self.due_day}


@dataclass(frozen=True, slots=True)
class Submission:
    """A row of studentAssessment.csv.

    - ``score``: None where the file has none.
    - ``is_banked``: the result was brought along from an earlier presentation.
    """

    assessment: Assessment
    day: int
    score: int | None
    is_banked: bool

    @property
    def attempt_id(self) -> str:
        return f"oulad:{self.assessment.id}"


@dataclass(slots=True)
class Presentation:
    """A row of courses.csv: one presentation of a module. Days count from its start."""

    module: str
    code: str
    length: int
    sites: dict[str, Site] = field(default_factory=dict)
    """The sites, by the id that the files write."""
    assessments: list[Assessment] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.module} {self.code}"

    @property
    def collection_id(self) -> str:
        return f"oulad:{self.module}-{self.code}"

    @property
    def context_id(self) -> str:
        return f"{self.collection_id}:batch"

    @property
    def starts(self) -> datetime:
        return datetime(int(self.code[:4]), FIRST_MONTHS[self.code[4]], 1, tzinfo=UTC)

    def day(self, number: int) -> datetime:
        """Returns the moment when the day begins, in UTC."""
        return self.starts + timedelta(days=number)

    def noon(self, number: int) -> datetime:
        return self.day(number) + timedelta(hours=12)

    def submitted_on(self, submission: Submission) -> datetime:
        """Returns noon of the day. What was handed in after the end counts on the last day: then the batch closes."""
        return self.noon(min(submission.day, self.length))

    @property
    def batch(self) -> NewContext:
        return NewContext(
            type=ContextType.BATCH,
            name=self.name,
            collection_ids=(self.collection_id,),
            context_id=self.context_id,
            opens_on=self.day(-OPENS_BEFORE),
            start_date=self.starts,
            end_date=self.day(self.length + 1) - timedelta(milliseconds=1),
        )

    @property
    def document(self) -> dict[str, Any]:
        """Returns the course as nested JSON: a unit for each plan, with its sites in the order of their ids, then one of
        all assessments if there are any."""
        units: dict[tuple[int, int, str], list[Site]] = {}
        for site in sorted(self.sites.values(), key=lambda site: site.id):
            units.setdefault(_plan(site), []).append(site)
        return {
            "identifier": self.collection_id,
            "name": self.name,
            "mimeType": COLLECTION_MIME_TYPE,
            "primaryCategory": "Course",
            "children": [*(self._unit(plan, units[plan]) for plan in sorted(units)), *self._assessments()],
        }

    def _assessments(self) -> Iterator[dict[str, Any]]:
        if self.assessments:
            yield {
                "identifier": f"{self.collection_id}:assessments",
                "name": "Assessments",
                "mimeType": COLLECTION_MIME_TYPE,
                "primaryCategory": "Course Unit",
                "children": [one.document for one in sorted(self.assessments, key=lambda one: one.id)],
            }

    def _unit(self, plan: tuple[int, int, str], sites: Iterable[Site]) -> dict[str, Any]:
        first, last, activity_type = plan
        if activity_type:
            key, name = f"type-{activity_type}", activity_type
        elif first == last:
            key, name = f"week-{first}", f"Week {first}"
        else:
            key, name = f"weeks-{first}-{last}", f"Weeks {first}-{last}"
        return {
            "identifier": f"{self.collection_id}:{key}",
            "name": name,
            "mimeType": COLLECTION_MIME_TYPE,
            "primaryCategory": "Course Unit",
            "children": [
                {
                    "identifier": site.content_id,
                    "name": f"{site.activity_type} {site.id}",
                    "mimeType": "text/html",
                    "primaryCategory": site.activity_type,
                }
                for site in sites
            ],
        }


@dataclass(slots=True)
class Registration:
    """A student in a presentation. A day is None if the file leaves it blank.

    ``is_registered`` is False for a student who is in studentInfo.csv alone.
    """

    presentation: Presentation
    attributes: dict[str, str | None]
    is_registered: bool = False
    registered_day: int | None = None
    unregistered_day: int | None = None
    first_days: dict[int, int] = field(default_factory=dict)
    """The sites viewed, by id, each with its first day."""
    submissions: dict[int, Submission] = field(default_factory=dict)
    """By the id of the assessment."""
    visited: int = 0
    """A bit for each day with a view, counted from OPENS_BEFORE days before the start."""

    def visit(self, day: int) -> None:
        self.visited |= 1 << (day + OPENS_BEFORE)

    @property
    def later_days(self) -> list[int]:
        """Returns the days with views of sites that were viewed before and of no others."""
        days = (bit - OPENS_BEFORE for bit in range(self.visited.bit_length()) if self.visited >> bit & 1)
        return sorted(set(days) - set(self.first_days.values()))

    @property
    def enrolled_on(self) -> datetime:
        return self.presentation.day(self.registered_day or 0)

    @property
    def unenrolled_on(self) -> datetime | None:
        """Returns when the student left. It is never before the enrolment."""
        if self.unregistered_day is None:
            return None
        return max(self.enrolled_on, self.presentation.day(self.unregistered_day))


@dataclass(slots=True)
class Student:
    id: int
    registrations: list[Registration] = field(default_factory=list)

    @property
    def user_id(self) -> str:
        return f"oulad:{self.id}"

    @property
    def name(self) -> str:
        """Returns a made-up name: the data has none."""
        return f"Student {self.id}"

    @property
    def latest(self) -> Registration:
        """Returns the registration in the presentation that started last. Of two that started together it is the later
        module."""
        return max(self.registrations, key=lambda r: (r.presentation.starts, r.presentation.module))

    @property
    def region(self) -> str:
        """Returns the region of the profile, which is that of the latest presentation. It is empty if there is none."""
        return self.latest.attributes["region"] or ""


@dataclass(frozen=True, slots=True)
class RegionGroup:
    """Learners of one presentation who live in one region: the first ``part`` of them, or the second …"""

    presentation: Presentation
    region: str
    part: int
    user_ids: tuple[str, ...]

    @property
    def group_id(self) -> str:
        return f"{self.presentation.collection_id}:{_region_id(self.region)}:{self.part}"

    @property
    def name(self) -> str:
        part = f" ({self.part})" if self.part > 1 else ""
        return f"{self.presentation.name}, {self.region}{part}"

    @property
    def activity(self) -> Activity:
        return Activity(self.presentation.collection_id, "Course")


@dataclass(frozen=True, slots=True)
class Dataset:
    """The whole dataset, checked. Presentations are in the order of their start, students in the order of their ids."""

    presentations: list[Presentation]
    students: list[Student]
    digest: str
    """The digest of the files that it was read from."""

    def groups(self, most: int) -> list[RegionGroup]:
        """Returns one group for each presentation and region, of the registered students.

        If there are more than ``most``, they are split in the order of their ids. Groups are in the order of
        presentations, and of regions within each.
        """
        living: dict[str, dict[str, list[Student]]] = {p.collection_id: {} for p in self.presentations}
        for student in self.students:
            if student.region:
                for registration in student.registrations:
                    if registration.is_registered:
                        regions = living[registration.presentation.collection_id]
                        regions.setdefault(_region_id(student.region), []).append(student)
        return [
            RegionGroup(presentation, students[0].region, part, tuple(s.user_id for s in some))
            for presentation in self.presentations
            for _, students in sorted(living[presentation.collection_id].items())
            for part, some in enumerate(parts(students, most), 1)
        ]


def content_id(site_id: int) -> str:
    return f"oulad:site:{site_id}"


def _region_id(region: str) -> str:
    """Returns a region as group ids have it: London Region is london-region."""
    return _NOT_OF_AN_ID.sub("-", region.lower()).strip("-")


def parts(things: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """Gives the things in their order, in parts that are as large as possible except the last one."""
    for first in range(0, len(things), most):
        yield things[first : first + most]


def _plan(site: Site) -> tuple[int, int, str]:
    """Returns what a site is grouped by: its planned weeks, else its activity type. Weeks come first."""
    if site.weeks is None:
        return _AFTER_ALL_WEEKS, _AFTER_ALL_WEEKS, site.activity_type
    return *site.weeks, ""
