"""Who does what and when: a year of an instance, and its busiest hour."""

import math
from dataclasses import dataclass

from bench.scale.costs import (
    ATTEMPT,
    COURSE_PAGE,
    ENROL,
    GROUP_PAGE_ANEW,
    GROUP_PAGE_KEPT,
    HOME,
    VIEW_END,
    VIEW_START,
    VIEW_UPDATE,
    Call,
)

OULAD_LEARNERS, OULAD_ENROLMENTS, OULAD_COURSES = 28_785, 32_593, 22
SECONDS_A_DAY = 86_400
HOURS = (1, 0.6, 0.4, 0.3, 0.4, 0.8, 1.5, 2.5, 4, 6, 7, 7.5, 6.5, 6, 6.5, 7, 7, 8, 9, 9.5, 8.5, 6, 4, 2)
"""How a school day's work lies over its hours."""
DAYS_OF_WORK = 220
"""School days: nearly all of a year's work is done on them."""
BUSIEST_DAY = 2.5
"""The busiest day of a term, times a usual one."""


@dataclass(frozen=True, slots=True)
class Load:
    """A year. ``factor``: times OULAD."""

    factor: float
    enrolments_each: float = OULAD_ENROLMENTS / OULAD_LEARNERS * 4
    """Four times OULAD's: a learner of a school has several courses a year."""
    views_each: float = 100.0
    """Of a learner: ten billion for a hundred million."""
    attempts_each: float = 8.0
    updates_of_a_view: float = 2.0
    pages_of_a_view: float = 0.8
    """A course page, for nearly every view."""
    homes_of_a_view: float = 0.3
    mentors: float = 1 / 60
    """For each learner; a mentor opens two groups on a school day."""

    @property
    def learners(self) -> float:
        return OULAD_LEARNERS * self.factor

    @property
    def enrolments(self) -> float:
        return self.learners * self.enrolments_each

    @property
    def views(self) -> float:
        return self.learners * self.views_each

    @property
    def attempts(self) -> float:
        return self.learners * self.attempts_each

    @property
    def courses(self) -> float:
        """More learners have more courses, and larger ones."""
        return float(OULAD_COURSES * self.factor**0.75)

    def calls(self) -> dict[Call, float]:
        """Of a year."""
        pages = self.learners * self.mentors * 2 * DAYS_OF_WORK
        return {
            VIEW_START: self.views,
            VIEW_UPDATE: self.views * self.updates_of_a_view,
            VIEW_END: self.views,
            ATTEMPT: self.attempts,
            ENROL: self.enrolments,
            HOME: self.views * self.homes_of_a_view,
            COURSE_PAGE: self.views * self.pages_of_a_view,
            GROUP_PAGE_KEPT: pages * 0.5,
            GROUP_PAGE_ANEW: pages * 0.5,
        }

    def peak(self) -> dict[Call, float]:
        """Calls a second in the busiest hour of the busiest day."""
        share = BUSIEST_DAY / DAYS_OF_WORK * max(HOURS) / sum(HOURS) / 3_600
        return {call: count * share for call, count in self.calls().items()}

    def active_at_once(self) -> float:
        """Learners with a view in the last quarter of an hour of the peak."""
        views_of_a_session = 6.0
        return self.peak()[VIEW_START] * 900 / views_of_a_session

    def largest_course(self) -> float:
        """Learners of the course that most take: the first of a Zipf distribution with exponent 1."""
        return float(self.enrolments / (math.log(self.courses) + 0.5772))
