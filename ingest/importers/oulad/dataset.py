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
"""Days before a presentation's start from which its sites may be viewed: real students begin about 25 days early."""
FIRST_MONTHS = {"B": 2, "J": 10}
"""The letter of a presentation says the month it starts in."""
_AFTER_ALL_WEEKS = 1_000_000
_NOT_OF_AN_ID = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Site:
    """A row of vle.csv: a page, a quiz, a forum …, perhaps planned for some weeks."""

    id: int
    activity_type: str
    weeks: tuple[int, int] | None = None
    """The first and the last one."""

    @property
    def content_id(self) -> str:
        return content_id(self.id)


@dataclass(slots=True)
class Presentation:
    """A row of courses.csv: a module as it was taught once. Days count from its start."""

    module: str
    code: str
    length: int
    sites: dict[str, Site] = field(default_factory=dict)
    """By the id as files write it."""

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
        """When it begins, in UTC."""
        return self.starts + timedelta(days=number)

    def noon(self, number: int) -> datetime:
        return self.day(number) + timedelta(hours=12)

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
        """The course as nested JSON: a unit for each plan, its sites in the order of their ids."""
        units: dict[tuple[int, int, str], list[Site]] = {}
        for site in sorted(self.sites.values(), key=lambda site: site.id):
            units.setdefault(_plan(site), []).append(site)
        return {
            "identifier": self.collection_id,
            "name": self.name,
            "mimeType": COLLECTION_MIME_TYPE,
            "primaryCategory": "Course",
            "children": [self._unit(plan, units[plan]) for plan in sorted(units)],
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
    """A student in a presentation. Days are None where the file leaves them blank; ``is_registered`` is False for
    one who is in studentInfo.csv alone."""

    presentation: Presentation
    attributes: dict[str, str | None]
    is_registered: bool = False
    registered_day: int | None = None
    unregistered_day: int | None = None
    first_days: dict[int, int] = field(default_factory=dict)
    """Sites viewed, by id, with the first day of each."""

    @property
    def enrolled_on(self) -> datetime:
        return self.presentation.day(self.registered_day or 0)

    @property
    def unenrolled_on(self) -> datetime | None:
        """Never before the enrolment."""
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
        """The data has none."""
        return f"Student {self.id}"

    @property
    def latest(self) -> Registration:
        """Of the presentation that started last; of two that started together, the later module."""
        return max(self.registrations, key=lambda r: (r.presentation.starts, r.presentation.module))

    @property
    def region(self) -> str:
        """As the profile has it: that of the latest presentation. Empty where it has none."""
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
    """All of it, checked. Presentations in the order of their start, students in that of their ids."""

    presentations: list[Presentation]
    students: list[Student]
    digest: str
    """Of the files it was read from."""

    def groups(self, most: int) -> list[RegionGroup]:
        """One for each presentation and region, of those registered; where they are more than ``most``, split in the
        order of their ids. In the order of presentations, and of regions within each."""
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
    """As group ids have it: London Region is london-region."""
    return _NOT_OF_AN_ID.sub("-", region.lower()).strip("-")


def parts(things: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """In their order, all as large as may be but the last one."""
    for first in range(0, len(things), most):
        yield things[first : first + most]


def _plan(site: Site) -> tuple[int, int, str]:
    """What a site is grouped by: the weeks it is planned for, else its activity type; weeks come first."""
    if site.weeks is None:
        return _AFTER_ALL_WEEKS, _AFTER_ALL_WEEKS, site.activity_type
    return *site.weeks, ""
