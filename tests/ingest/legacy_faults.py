"""What went wrong in migrations of real keyspaces, each as a few rows of its own and what is to become of them.

Every fault has a learner of its name, so that all can be brought over together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import inf, nan
from typing import Any

from tests.ingest.legacy_platform import ANSWER
from tests.ingest.legacy_world import (
    ATTEMPTS,
    BATCHES,
    BEFORE_ALL,
    CERTIFICATE,
    CONSUMPTION,
    ENROLMENTS,
    FAR,
    OLD_CERTIFICATE,
    Written,
    attempted,
    batch,
    consumed,
    consumed_only,
    day,
    enrolled,
)

COMMON = [batch("course", "autumn", start_date=day(0), enrollmenttype="open")]
"""The batch of all of them but for those that have one of their own."""


@dataclass(frozen=True)
class Fault:
    """``then``: what the platform writes before a second run. ``becomes``: by our tables, columns of rows at the end; one
    that is Gone is not there. ``rejected``: table, content or attempt, column and reason of rows that can't be read.
    ``noted``: by table, words in notes about them."""

    name: str
    writes: Sequence[Written]
    becomes: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    then: Sequence[Written] = ()
    rejected: Sequence[tuple[str, str | None, str, str]] = ()
    noted: Mapping[str, str] = field(default_factory=dict)


def at_course(user: str) -> tuple[str, str, str]:
    return user, "course", "autumn"


def enrolment(user: str, **values: Any) -> Written:
    """Of a learner who is in the course from its first day."""
    whole = {"active": True, "enrolled_date": day(0), "datetime": day(1), "status": 1, "progress": 0}
    return enrolled(at_course(user), day(1), **{**whole, **values})


def completed(user: str, at: datetime, **values: Any) -> Written:
    """One that the platform completed then."""
    whole = {"status": 2, "progress": 3, "completedon": at, "datetime": at}
    return enrolment(user, **{**whole, **values})


def view(content: str, **values: Any) -> dict[str, Any]:
    return {"contentid": content, **values}


NUMBER = "a number that is not finite"
YEAR = "a time outside the years 1 to 9999"
VIEWS, ENROLLED, FIGURES = CONSUMPTION, ENROLMENTS, "user_activity_agg_v2"
SLIM, WHOLE, CONTEXTS = "assessment_attempt", ATTEMPTS, "context"
COURSE = {"activity_id": "course"}


def faults() -> list[Fault]:
    return [*_unreadable(), *_completions(), *_corrections(), *_enrolments(), *_batches()]


def _unreadable() -> list[Fault]:
    """A row that can't be read is named, and the next one is brought over."""
    return [
        Fault(
            "percent-nan",
            [
                enrolment("percent-nan"),
                consumed(at_course("percent-nan"), "a", day(3), status=1, completionpercentage=nan),
                consumed(at_course("percent-nan"), "b", day(3), status=1, completionpercentage=50.0),
            ],
            {VIEWS: [view("a", gone=True), view("b", status=1, progress=50)]},
            rejected=[(CONSUMPTION, "a", "completionpercentage", NUMBER)],
        ),
        Fault(
            "percent-infinite",
            [consumed(at_course("percent-infinite"), "a", day(3), status=1, completionpercentage=inf)],
            {VIEWS: [view("a", gone=True)]},
            rejected=[(CONSUMPTION, "a", "completionpercentage", NUMBER)],
        ),
        Fault(
            "microseconds",
            [
                consumed(at_course("microseconds"), "a", day(3), last_access_time=FAR),
                consumed(at_course("microseconds"), "b", day(3)),
            ],
            {VIEWS: [view("a", gone=True), view("b", status=2)]},
            rejected=[(CONSUMPTION, "a", "last_access_time", YEAR)],
        ),
        Fault(
            "before-year-1",
            [enrolment("before-year-1", enrolled_date=BEFORE_ALL)],
            {ENROLLED: [{"gone": True}]},
            rejected=[(ENROLMENTS, None, "enrolled_date", YEAR)],
        ),
        Fault(
            "score-nan",
            [
                enrolment("score-nan"),
                attempted(at_course("score-nan"), "a", "one", day(3), nan, question=None),
                attempted(at_course("score-nan"), "a", "two", day(4), 3.0),
            ],
            {
                SLIM: [{"attempt_id": "one", "gone": True}, {"attempt_id": "two", "total_score": 3.0}],
                FIGURES: [{**COURSE, "aggregates": {"score:a": 3.0, "attempts_count:a": 1.0}}],
            },
            rejected=[(ATTEMPTS, "one", "total_score", NUMBER)],
        ),
        Fault(
            "repaired",
            [consumed(at_course("repaired"), "a", day(3), status=1, completionpercentage=nan)],
            {VIEWS: [view("a", status=1, progress=70)]},
            then=[consumed(at_course("repaired"), "a", day(9), status=1, completionpercentage=70.0)],
        ),
    ]


def _completions() -> list[Fault]:
    done = [{"activity_id": "course", "status": 2, "completed_on": day(20)}]
    origin = "user_enrolments.contentstatus"
    return [
        # All contents were completed on 4 November, the course on 21 November.
        Fault(
            "completed-later",
            [
                completed("completed-later", day(20)),
                *(consumed(at_course("completed-later"), content, day(3)) for content in "abc"),
            ],
            {
                VIEWS: [view(content, status=2, last_completed_time=day(3)) for content in "abc"],
                ENROLLED: [{"status": 2, "progress": 3, "completedon": day(20)}],
                FIGURES: done,
            },
        ),
        # What contentstatus says is dated by the course, until its own row says when it was.
        Fault(
            "guessed",
            [
                completed("guessed", day(20), contentstatus={"a": 2, "b": 2, "c": 2}),
                consumed(at_course("guessed"), "a", day(3)),
            ],
            {
                VIEWS: [
                    view("b", last_completed_time=day(20), origin=origin),
                    view("c", last_completed_time=day(6), origin=CONSUMPTION, progressdetails='{"page":7}'),
                ],
                FIGURES: done,
            },
            then=[consumed(at_course("guessed"), "c", day(6), progressdetails='{"page": 7}')],
        ),
        # The platform completed it, and no row says by which contents.
        Fault(
            "granted",
            [completed("granted", day(20), issued_certificates=[CERTIFICATE])],
            {
                VIEWS: [
                    *(view(one, status=2, last_completed_time=day(20), kind="granted") for one in "ac"),
                    view("b", status=2, last_completed_time=day(4), kind="migrated"),
                ],
                ENROLLED: [
                    {"status": 2, "progress": 3, "completedon": day(20), "certificates": [CERTIFICATE]}
                ],
                FIGURES: done,
            },
            then=[consumed(at_course("granted"), "b", day(4))],
        ),
    ]


def _corrections() -> list[Fault]:
    place, moment = at_course("corrected"), {"updated_on": None}
    corrected = {"total_score": 8.0, "grand_total": "8"}
    return [
        # UPDATE … SET total_score = 8, grand_total = '8': the question and the times stay.
        Fault(
            "corrected",
            [enrolment("corrected"), attempted(place, "a", "one", day(3), 10.0)],
            {
                SLIM: [{"total_score": 8.0, "total_max_score": 10.0, "last_attempted_on": day(3)}],
                WHOLE: [{"total_score": 8.0, "grand_total": "8", "question": ["q1"]}],
                FIGURES: [{**COURSE, "aggregates": {"score:a": 8.0, "max_score:a": 10.0}}],
            },
            then=[Written(ATTEMPTS, _key(place, "one") | corrected, day(9))],
        ),
        Fault(
            "corrected-later",
            [enrolment("corrected-later"), attempted(at_course("corrected-later"), "a", "one", day(3), 10.0)],
            {
                WHOLE: [
                    {"total_score": 4.0, "grand_total": "4.0/10.0", "question": ["q9"], "updated_on": day(9)}
                ]
            },
            then=[
                replace(
                    attempted(
                        *(at_course("corrected-later"), "a", "one", day(3), 4.0),
                        updated_on=day(9),
                        question=[{**ANSWER, "id": "q9"}],
                    ),
                    at=day(9),
                )
            ],
        ),
        Fault(
            "score-null",
            [enrolment("score-null"), attempted(at_course("score-null"), "a", "one", day(3), None, **moment)],
            {SLIM: [{"total_score": None, "total_max_score": None}]},
        ),
        # 10, 6 and 2 of 10, in this order: the best is 10, the last 2, the average 6.
        Fault(
            "scores",
            [
                enrolment("scores"),
                attempted(at_course("scores"), "a", "one", day(3), 10.0),
                attempted(at_course("scores"), "a", "two", day(4), 6.0),
                attempted(at_course("scores"), "a", "three", day(5), 2.0),
            ],
            {
                "assessment_aggregator_v2": [
                    {
                        "best_score": 10.0,
                        "best_attempt_id": "one",
                        "average_score": 6.0,
                        "last_attempted_score": 2.0,
                        "first_attempted_score": 10.0,
                        "attempts_count": 3,
                    }
                ]
            },
        ),
    ]


def _key(place: tuple[str, str, str], attempt: str) -> dict[str, Any]:
    names = ("user_id", "course_id", "batch_id", "content_id", "attempt_id")
    return dict(zip(names, (*place, "a", attempt), strict=True))


def _enrolments() -> list[Fault]:
    no_dates = {"enrolled_date": None, "datetime": None}
    return [
        # Only ``active`` flips there.
        Fault(
            "re-enrolled",
            [
                enrolled(
                    at_course("re-enrolled"), day(0), active=True, enrolled_date=day(0), datetime=day(0)
                ),
                enrolled(at_course("re-enrolled"), day(5), active=False, datetime=day(5)),
            ],
            {
                ENROLLED: [
                    {"active": True, "enrolled_on": day(0), "unenrolled_on": None, "reenrolled_on": None}
                ]
            },
            then=[enrolled(at_course("re-enrolled"), day(9), active=True)],
        ),
        # Dated by the first completion; null is active; a certificate was issued.
        Fault(
            "undated",
            [
                enrolment("undated", **no_dates, active=None, certificates=[OLD_CERTIFICATE]),
                consumed(at_course("undated"), "a", day(5)),
                consumed(at_course("undated"), "b", day(7)),
            ],
            {ENROLLED: [{"active": True, "enrolled_on": day(5), "certificates": [OLD_CERTIFICATE]}]},
            noted={ENROLMENTS: "enrolled_date: missing"},
        ),
        Fault(
            "undated-idle",
            [enrolment("undated-idle", **no_dates)],
            {ENROLLED: [{"active": True, "enrolled_on": day(0)}]},
            noted={ENROLMENTS: "enrolled_date: missing"},
        ),
        Fault(
            "certificates",
            [
                enrolment(
                    "certificates",
                    issued_certificates=[CERTIFICATE],
                    certificates=[OLD_CERTIFICATE, CERTIFICATE],
                )
            ],
            {ENROLLED: [{"certificates": [CERTIFICATE, OLD_CERTIFICATE]}]},
        ),
        # Midnight of 2 November at +05:30, and half past two in the morning of 5 November.
        Fault(
            "zone",
            [
                enrolment("zone", enrolled_date=None, enrolleddate="2025-11-02"),
                consumed_only(
                    at_course("zone"), "a", day(5), status=2, lastcompletedtime="2025-11-05 02:30:00:000"
                ),
            ],
            {
                ENROLLED: [{"enrolled_on": datetime(2025, 11, 1, 18, 30, tzinfo=UTC)}],
                VIEWS: [view("a", last_completed_time=datetime(2025, 11, 4, 21, tzinfo=UTC))],
            },
        ),
    ]


def _batches() -> list[Fault]:
    """Each has a batch of its name. The day of an end is one in India: it ends at 18:29:59.999 UTC."""
    end = datetime(2025, 12, 31, 18, 29, 59, 999000, UTC)

    def of(name: str, becomes: Mapping[str, Any], **values: Any) -> Fault:
        noted = {BATCHES: "enrollmenttype"} if becomes.get("enrolment_type") == "invite-only" else {}
        return Fault(name, [batch("course", name, **values)], {CONTEXTS: [becomes]}, noted=noted)

    return [
        of("ends-on-a-day", {"end_date": end}, enddate="2025-12-31", enrollmenttype="open"),
        of("ends-at-midnight", {"end_date": end}, end_date=day(60, 0), enrollmenttype="open"),
        of(
            "closes-on-a-day",
            {"enrolment_end_date": end},
            enrollment_enddate=day(60, 0),
            enrollmenttype="open",
        ),
        # It is over: with its last change, or else with the last day of enrolling.
        of("over", {"end_date": day(30)}, status=2, updated_date=day(30), enrollmenttype="open"),
        of(
            "over-long-ago", {"end_date": end}, status=2, enrollment_enddate=day(60, 0), enrollmenttype="open"
        ),
        # The platform lets nobody enrol himself.
        of("no-type", {"enrolment_type": "invite-only"}, start_date=day(0)),
        of("strange-type", {"enrolment_type": "invite-only"}, enrollmenttype="strange"),
    ]
