"""What a context allows, and when: by the time of the event, never by the server's."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.contexts import (
    Context,
    ContextStatus,
    EnrolmentType,
    check_contains,
    check_open,
    check_takes_enrolment,
    checked_context,
    is_joinable,
)
from rules.errors import ContextClosed, EnrolmentClosed, Forbidden, InvalidInput
from rules.identifiers import ContextType
from rules.moments import written

FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 30, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)
BATCH = Context("b", ContextType.BATCH, "Batch", ("c",), FEBRUARY, JUNE)


@pytest.mark.parametrize(
    ("at", "status", "is_open"),
    [
        (FEBRUARY - MOMENT, ContextStatus.UPCOMING, False),
        (FEBRUARY, ContextStatus.ONGOING, True),
        (JUNE, ContextStatus.ONGOING, True),
        (JUNE + MOMENT, ContextStatus.COMPLETED, False),
    ],
)
def test_a_batch_is_open_from_its_start_to_the_last_moment_of_its_end(
    at: datetime, status: ContextStatus, is_open: bool
) -> None:
    assert BATCH.status_at(at) is status
    if is_open:
        check_open(BATCH, at)
    else:
        with pytest.raises(ContextClosed) as refused:
            check_open(BATCH, at)
        assert refused.value.field == "contextId"
        assert written(at) in refused.value.message


def test_learners_may_work_before_the_start_where_it_opens_earlier() -> None:
    opened = replace(BATCH, opens_on=FEBRUARY - timedelta(days=25))
    check_open(opened, FEBRUARY - timedelta(days=25))
    with pytest.raises(ContextClosed):
        check_open(opened, FEBRUARY - timedelta(days=25) - MOMENT)
    assert opened.status_at(FEBRUARY - MOMENT) is ContextStatus.UPCOMING


def test_without_dates_it_is_always_open() -> None:
    always = Context("b", ContextType.BATCH, "Batch", ("c",))
    for year in (1970, 2026, 2999):
        at = datetime(year, 1, 2, tzinfo=UTC)
        check_open(always, at)
        check_takes_enrolment(always, at, invited=False)
        assert always.status_at(at) is ContextStatus.ONGOING


def test_enrolment_is_taken_before_the_start_and_not_after_the_end() -> None:
    check_takes_enrolment(BATCH, FEBRUARY - timedelta(days=90), invited=False)
    check_takes_enrolment(BATCH, JUNE, invited=False)
    with pytest.raises(EnrolmentClosed, match="ended"):
        check_takes_enrolment(BATCH, JUNE + MOMENT, invited=True)


def test_enrolment_may_close_before_the_end() -> None:
    closing = replace(BATCH, enrolment_end_date=FEBRUARY)
    check_takes_enrolment(closing, FEBRUARY, invited=False)
    with pytest.raises(EnrolmentClosed, match="closed its enrolment"):
        check_takes_enrolment(closing, FEBRUARY + MOMENT, invited=False)


def test_by_invitation_only() -> None:
    closed = replace(BATCH, enrolment_type=EnrolmentType.INVITE_ONLY)
    check_takes_enrolment(closed, FEBRUARY, invited=True)
    with pytest.raises(Forbidden, match="invite-only"):
        check_takes_enrolment(closed, FEBRUARY, invited=False)


def test_a_context_is_of_its_own_collections() -> None:
    check_contains(BATCH, "c")
    with pytest.raises(InvalidInput) as refused:
        check_contains(BATCH, "d")
    assert refused.value.field == "contextId"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"type": ContextType.COLLECTION}, "type"),
        ({"name": "  "}, "name"),
        ({"collection_ids": ()}, "collectionIds"),
        ({"collection_ids": ("c", "b")}, "contextId"),
        ({"start_date": JUNE, "end_date": FEBRUARY}, "endDate"),
        ({"start_date": None, "opens_on": JUNE + MOMENT}, "endDate"),
        ({"opens_on": FEBRUARY + MOMENT}, "opensOn"),
        ({"end_date": datetime(2026, 6, 30)}, "endDate"),  # noqa: DTZ001
        ({"enrolment_end_date": datetime(2026, 6, 30)}, "enrolmentEndDate"),  # noqa: DTZ001
    ],
)
def test_a_context_that_makes_no_sense_is_refused_by_field(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_context(replace(BATCH, **wrong))  # type: ignore[arg-type]
    assert refused.value.field == field


def test_dates_are_whole_milliseconds_as_stores_keep_them() -> None:
    precise = replace(BATCH, start_date=FEBRUARY + timedelta(microseconds=1999))
    assert checked_context(precise).start_date == FEBRUARY + timedelta(microseconds=1000)


MOMENTS = st.integers(-3, 3).map(lambda days: FEBRUARY + timedelta(days=days))


@given(MOMENTS, st.none() | MOMENTS, st.none() | MOMENTS, st.sampled_from(EnrolmentType))
def test_the_last_moment_to_join_says_what_an_enrolment_is_told(
    at: datetime, end: datetime | None, enrolment_end: datetime | None, kind: EnrolmentType
) -> None:
    context = replace(
        BATCH, start_date=None, end_date=end, enrolment_end_date=enrolment_end, enrolment_type=kind
    )
    try:
        check_takes_enrolment(context, at, invited=False)
    except (EnrolmentClosed, Forbidden):
        taken = False
    else:
        taken = True
    assert taken == is_joinable(context, at) == (at <= context.joinable_until)
