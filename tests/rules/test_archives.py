"""Files of archived attempts: their names, weeks and rows (R-ASSESS-5)."""

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.archives import (
    ARCHIVE_COLUMNS,
    ARCHIVE_ORDER,
    ArchivedPart,
    IsoWeek,
    blob_name,
    iso_week,
    request_id,
    whole_of_archive_row,
)
from rules.attempts import Attempt, Question, WholeAttempt
from rules.identifiers import ViewKey
from rules.moments import moment
from stores.blobs import checked_name
from tests.archived_files import archive_row_of

AT = datetime(2021, 12, 6, tzinfo=UTC)

moments = st.integers(0, 4_000_000_000_000).map(moment)
numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
choices = st.lists(st.dictionaries(texts, texts, max_size=2), max_size=2)
questions = st.builds(
    Question,
    texts,
    st.none() | moments,
    st.none() | numbers,
    st.none() | numbers,
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
    st.none() | numbers,
    choices,
    choices,
)
attempts = st.builds(
    Attempt,
    st.builds(ViewKey, texts, texts, texts, texts),
    texts,
    st.none() | numbers,
    st.none() | numbers,
    st.none() | moments,
    st.none() | moments,
    st.none() | moments,
    st.integers(0, 1 << 60),
    st.none() | texts,
)
wholes = st.builds(
    WholeAttempt,
    attempts,
    st.lists(questions, max_size=3),
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
)
parts = st.builds(
    ArchivedPart,
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("-_.2021wek num"), max_size=80),
    st.builds(IsoWeek, st.integers(2000, 2100), st.integers(1, 53)),
)


@pytest.mark.parametrize(
    ("at", "year", "week"),
    [
        (datetime(2021, 1, 1, tzinfo=UTC), 2020, 53),  # a Friday: its week began in December
        (datetime(2021, 1, 4, tzinfo=UTC), 2021, 1),
        (datetime(2024, 12, 30, tzinfo=UTC), 2025, 1),  # a Monday: its Thursday is in January
        (datetime(2024, 12, 29, 23, 59, 59, tzinfo=UTC), 2024, 52),
        (datetime(2021, 1, 4, 1, tzinfo=timezone(timedelta(hours=2))), 2020, 53),  # in UTC it is still Sunday
    ],
)
def test_year_and_week_are_both_of_iso_8601_in_utc(at: datetime, year: int, week: int) -> None:
    assert iso_week(at) == IsoWeek(year, week)


def test_a_file_is_named_after_its_context_year_week_and_moment() -> None:
    part = ArchivedPart("batch-011", IsoWeek(2021, 48))
    # 2021-12-06T00:00:00Z is 1,638,748,800 seconds after 1970.
    name = "archived-batches/assessment/batch-011-2021-week-num-48-1638748800000.parquet"
    assert blob_name(part, AT, "parquet") == name
    assert blob_name(part, AT, "csv.gz") == name.replace("parquet", "csv.gz")
    assert request_id(part.week, "0123456789ab", AT) == "2021-48-0123456789ab-1638748800000"


@given(parts, moments)
def test_any_context_gives_a_name_that_the_blob_store_takes(part: ArchivedPart, at: datetime) -> None:
    for suffix in ("parquet", "csv.gz"):
        assert checked_name(blob_name(part, at, suffix))


@given(st.lists(st.tuples(parts, moments), unique=True, max_size=20))
def test_different_parts_and_moments_have_different_names(of: list[tuple[ArchivedPart, datetime]]) -> None:
    assert len({blob_name(part, at, "parquet") for part, at in of}) == len(of)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a_b", "a.b"),
        ("a_5Fb", "a_b"),
        ("a/b", "a_2Fb"),
        ("x" * 64, "x" * 65),
        ("é" * 60 + "1", "é" * 60 + "2"),
    ],
)
def test_contexts_that_look_alike_have_different_names(one: str, other: str) -> None:
    week = IsoWeek(2021, 48)
    names = [blob_name(ArchivedPart(context, week), AT, "parquet") for context in (one, other)]
    assert names[0] != names[1]


@given(wholes)
def test_an_attempt_comes_back_from_a_row_as_it_went_in(whole: WholeAttempt) -> None:
    row = archive_row_of(whole)
    assert whole_of_archive_row(row) == whole
    assert list(row) == list(ARCHIVE_COLUMNS)
    assert all(value is None or isinstance(value, ARCHIVE_COLUMNS[name]) for name, value in row.items())
    assert archive_row_of(whole_of_archive_row(row)) == row


def test_a_row_has_what_the_platform_has() -> None:
    question = Question(
        "q1", AT, 1.33, 2.0, "mcq", "Which?", None, 12.5, [{"1": "a"}], [{"1": "a"}, {"2": "b"}]
    )
    attempt = Attempt(
        ViewKey("ada", "course", "batch", "quiz"), "try-1", 1.33, 2.0, AT, AT, AT, 1_638_748_800_000_000, "ff"
    )
    row = archive_row_of(WholeAttempt(attempt, [question], "1.33/2.0", "Course", "Batch"))
    assert orjson.loads(row.pop("question")) == [
        {
            "id": "q1",
            "assess_ts": 1_638_748_800_000,
            "max_score": 2.0,
            "score": 1.33,
            "type": "mcq",
            "title": "Which?",
            "resvalues": [{"1": "a"}, {"2": "b"}],
            "params": [{"1": "a"}],
            "description": None,
            "duration": 12.5,
        }
    ]
    assert row == {
        "course_id": "course",
        "batch_id": "batch",
        "user_id": "ada",
        "content_id": "quiz",
        "attempt_id": "try-1",
        "created_on": 1_638_748_800_000,
        "grand_total": "1.33/2.0",
        "last_attempted_on": 1_638_748_800_000,
        "total_max_score": 2.0,
        "total_score": 1.33,
        "updated_on": 1_638_748_800_000,
        "course_name": "Course",
        "batch_name": "Batch",
        "content_hash": "ff",
        "written_at": 1_638_748_800_000_000,
    }
    assert {*ARCHIVE_ORDER} <= {*row}
