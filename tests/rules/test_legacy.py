"""How the existing platform's rows are read, and what becomes of a row that both have (R-MIGRATE-1, P-1.1, P-2.4)."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.attempts import Attempt
from rules.contexts import Context, ContextStatus, EnrolmentType
from rules.enrolments import Enrolment
from rules.errors import InvalidInput
from rules.hierarchy import Relations, RelationTree
from rules.identifiers import ContextType, ProgressKey, ViewKey
from rules.legacy.attempts import attempt_of_row, is_newer
from rules.legacy.batches import context_of_batch, merged_context
from rules.legacy.comparison import (
    FROZEN,
    LAGGED,
    OPTIONAL,
    SHRANK,
    STARTED,
    UNEXPLAINED,
    Figures,
    legacy_figures,
    reason_of_difference,
)
from rules.legacy.enrolments import (
    Beginning,
    LegacyEnrolment,
    enrolment_of_row,
    enrolment_values,
    granted_views,
    views_of_enrolment,
)
from rules.legacy.scores import (
    MORE_HERE,
    MORE_THERE,
    NO_ATTEMPT,
    NO_LEAF,
    OTHER_BEST,
    OTHER_MAXIMUM,
    UNSCORED,
    LegacyScore,
    reason_of_scores,
    scores_of_row,
)
from rules.legacy.tables import CONSUMPTION, LEGACY_TABLES, names_of
from rules.legacy.values import NOT_FINITE, Unreadable, migrated_from
from rules.legacy.views import merged, placed, view_of_consumption
from rules.moments import EARLIEST
from rules.origins import Origin, OriginKind
from rules.progress import Status, progress_of
from rules.scores import AssessmentScores, assessment_scores
from rules.standings import FirstCompletion
from rules.views import LARGEST_DETAILS, View

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When rows are brought over."""
TABLES = {table.name: table for table in LEGACY_TABLES}
KEY = ProgressKey("ada", "course", "batch")
TOLD, GUESSED = (migrated_from(table, AT) for table in (CONSUMPTION, "user_enrolments.contentstatus"))
GRANTED = Origin(OriginKind.GRANTED, reason="user_enrolments", at=AT)


def on(day: int) -> datetime:
    return datetime(2025, 11, day, 9, tzinfo=UTC)


def row(**values: Any) -> dict[str, Any]:
    ids = {"user_id": "ada", "collection_id": "course", "context_id": "batch", "content_id": "a"}
    return {**ids, "status": 1, **values}


class TestNames:
    def test_both_namings_and_key_layouts_are_read(self) -> None:
        old = ("userid", "courseid", "batchid", "contentid")
        new = ("userid", "contentid", "collectionid", "contextid")
        named = names_of(TABLES[CONSUMPTION], old, [*old, "status", "unheard_of"])
        assert named == {
            "user_id": "userid",
            "collection_id": "courseid",
            "context_id": "batchid",
            "content_id": "contentid",
            "status": "status",
        }
        # One that is being renamed has both; the key says which one counts.
        named = names_of(TABLES[CONSUMPTION], new, [*new, "courseid", "batchid"])
        assert (named["collection_id"], named["context_id"]) == ("collectionid", "contextid")

    def test_the_other_name_of_the_questions_is_read_too(self) -> None:
        key = ("course_id", "batch_id", "user_id", "content_id", "attempt_id")
        assert names_of(TABLES["assessment_aggregator"], key, [*key, "questions"])["question"] == "questions"

    def test_a_key_that_lacks_a_part_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="no batchid or contextid or batch_id or context_id"):
            names_of(TABLES[CONSUMPTION], ("userid", "courseid", "contentid"), [])


class TestViews:
    @pytest.mark.parametrize(
        ("collection", "context", "key"),
        [
            ("course", "batch", ("course", "batch")),
            ("course", "course", ("course", "course")),
            ("a", "a", ("a", "a")),
            ("course", "", ("course", "course")),
            ("", "", ("a", "a")),
        ],
    )
    def test_the_three_scenarios(self, collection: str, context: str, key: tuple[str, str]) -> None:
        found = view_of_consumption(row(collection_id=collection, context_id=context), AT).value
        assert found.key == ViewKey("ada", *key, "a")

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ({"status": 3}, "a status other than 0, 1, 2"),
            ({"status": 0}, "not started"),
            ({"status": None}, "not started"),
            ({"content_id": " "}, "an id that is blank, too long or holds control characters"),
            ({"user_id": "a\nb"}, "an id that is blank, too long or holds control characters"),
            ({"collection_id": "a", "context_id": "batch"}, "a content by itself under a context"),
        ],
    )
    def test_what_can_not_be_brought_says_why(self, values: dict[str, Any], reason: str) -> None:
        with pytest.raises(Unreadable) as refused:
            view_of_consumption(row(**values), AT)
        assert refused.value.reason == reason

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), "4"])
    def test_a_percentage_that_is_no_number_is_named(self, value: object) -> None:
        with pytest.raises(Unreadable) as refused:
            view_of_consumption(row(completionpercentage=value), AT)
        assert refused.value.column == "completionpercentage"

    @pytest.mark.parametrize(
        ("values", "status", "progress"),
        [
            ({"status": 1, "progress": 40}, 1, 40),
            ({"status": 1, "progress": 40, "completionpercentage": 62.9}, 1, 62),
            ({"status": 0, "progress": 5}, 1, 5),
            ({"status": 2, "progress": 30}, 2, 100),
            ({"status": 1, "progress": 250}, 1, 100),
            ({"status": 1, "progress": -1}, 1, 0),
        ],
    )
    def test_status_and_progress(self, values: dict[str, Any], status: int, progress: int) -> None:
        found = view_of_consumption(row(**values), AT).value
        assert (found.status, found.progress) == (status, progress)

    def test_a_time_of_a_text_stands_in_where_there_is_no_timestamp(self) -> None:
        both = {"last_access_time": on(3), "lastaccesstime": "2025-11-02 09:00:00:000+0000"}
        assert view_of_consumption(row(**both), AT).value.last_accessed_on == on(3)
        both["last_access_time"] = None
        assert view_of_consumption(row(**both), AT).value.last_accessed_on == on(2)

    @pytest.mark.parametrize(
        ("text", "details", "notes"),
        [
            ('{"page": 4}', {"page": 4}, []),
            ("{}", None, []),
            ("", None, []),
            ("[1]", None, ["progressdetails: no JSON object"]),
            ("{torn", None, ["progressdetails: no JSON object"]),
            (
                '{"x": "' + "y" * LARGEST_DETAILS + '"}',
                None,
                [f"progressdetails: above {LARGEST_DETAILS} bytes"],
            ),
        ],
    )
    def test_details_are_a_json_object_or_left_behind(
        self, text: str, details: Any, notes: list[str]
    ) -> None:
        mapped = view_of_consumption(row(progressdetails=text), AT)
        assert (mapped.value.progress_details, list(mapped.notes)) == (details, notes)

    def test_one_that_is_kept_elsewhere_says_where_it_is_from(self) -> None:
        view = view_of_consumption(row(), AT).value
        assert view.origin is not None
        assert (view.origin.kind, view.origin.place, view.origin.at) == (OriginKind.MIGRATED, None, AT)
        moved = placed(view, ViewKey("ada", "a", "a", "a"))
        assert moved.key == ViewKey("ada", "a", "a", "a")
        assert moved.origin is not None
        assert moved.origin.place == ("course", "batch")


def view(status: int, **values: Any) -> View:
    progress = 100 if status == Status.COMPLETED else 0
    return View(ViewKey("ada", "course", "batch", "a"), Status(status), **{"progress": progress, **values})


moments = st.none() | st.integers(1, 28).map(on)
details = st.none() | st.sampled_from([{"page": 1}, {"page": 2}])


@st.composite
def views(draw: st.DrawFn, *, brought: bool = False) -> View:
    """``brought``: from the platform. The others may have been begun here as well."""
    status = draw(st.sampled_from([1, 2]))
    origins = (TOLD, GUESSED, GRANTED)
    return view(
        status,
        progress=100 if status == 2 else draw(st.integers(0, 100)),
        last_accessed_on=draw(moments),
        last_updated_on=draw(moments),
        completed_on=draw(moments) if status == 2 else None,
        progress_details=draw(details),
        origin=draw(st.sampled_from(origins if brought else (*origins, None))),
    )


class TestMerging:
    def test_what_is_here_and_further_stays(self) -> None:
        here = view(2, completed_on=on(20), last_updated_on=on(20), progress_details={"page": 9})
        there = view(2, completed_on=on(25), last_updated_on=on(5), progress_details={"page": 1}, origin=TOLD)
        assert merged(here, there) is None
        assert merged(here, view(1, progress=60, origin=TOLD)) is None

    def test_what_is_there_and_further_is_taken(self) -> None:
        here = view(1, progress=40, time_spent=60, started_on=on(1), last_updated_on=on(2))
        there = view(2, completed_on=on(5), last_updated_on=on(5), progress_details={"page": 1}, origin=TOLD)
        assert merged(here, there) == replace(
            here,
            status=Status.COMPLETED,
            progress=100,
            completed_on=on(5),
            last_updated_on=on(5),
            progress_details={"page": 1},
            origin=TOLD,
        )

    @given(views(), st.lists(views(brought=True), max_size=4))
    def test_nothing_goes_down_and_a_second_time_changes_nothing(
        self, first: View, others: list[View]
    ) -> None:
        stored = first
        for found in others:
            after = merged(stored, found) or stored
            assert after.status >= max(stored.status, found.status)
            assert after.progress >= max(stored.progress, found.progress)
            if stored.origin is None and stored.completed_on is not None:
                assert after.completed_on == stored.completed_on
            assert merged(after, found) is None
            assert merged(after, stored) is None
            stored = after
        for found in [first, *others]:
            assert merged(stored, found) is None

    def test_contentstatus_fills_gaps_and_raises_and_says_nothing_else(self) -> None:
        found = view(2, completed_on=on(9), origin=GUESSED)
        assert merged(None, found) == found
        raised = merged(view(1, progress=40, last_updated_on=on(1)), found)
        assert raised is not None
        assert (raised.status, raised.progress, raised.completed_on) == (2, 100, on(9))
        assert raised.last_updated_on == on(1)
        assert merged(view(2, completed_on=on(5), origin=TOLD), found) is None
        assert merged(view(2, completed_on=on(5)), found) is None

    def test_a_fact_beats_a_guess_and_the_learner_here_beats_both(self) -> None:
        """The course was completed on the 20th, its content on the 5th; here it was completed on the 25th."""
        told, guessed, granted = (
            view(2, completed_on=on(day), origin=origin)
            for day, origin in ((5, TOLD), (20, GUESSED), (20, GRANTED))
        )
        for guess in (guessed, granted):
            assert merged(guess, told) == told
            assert merged(told, guess) is None
        assert merged(granted, guessed) == guessed
        here = view(2, completed_on=on(25))
        for brought in (told, guessed, granted):
            assert merged(here, brought) is None
        # The row was completed again there.
        again = replace(told, completed_on=on(8))
        assert merged(told, again) == again
        assert merged(again, told) is None


class TestEnrolments:
    ROW: ClassVar[dict[str, Any]] = {
        "user_id": "ada",
        "collection_id": "course",
        "context_id": "batch",
        "active": True,
        "enrolled_date": on(1),
    }

    def test_a_missing_date_of_enrolment_is_the_first_time_known(self) -> None:
        mapped = enrolment_of_row(
            self.ROW | {"enrolled_date": None, "datetime": on(9), "lastcontentaccesstime": on(4)}
        )
        assert mapped.value.enrolled_on == on(4)
        assert list(mapped.notes) == ["enrolled_date: missing, taken from the first time known"]
        with pytest.raises(Unreadable, match="no time of enrolment"):
            enrolment_of_row(self.ROW | {"enrolled_date": None})

    def test_one_without_active_is_active(self) -> None:
        mapped = enrolment_of_row(self.ROW | {"active": None})
        assert mapped.value.active is True
        assert list(mapped.notes) == ["active: missing, taken for true"]

    @pytest.mark.parametrize("status", [-1, 3, 9])
    def test_one_with_a_status_that_is_none_can_t_be_read(self, status: int) -> None:
        with pytest.raises(Unreadable, match="a status other than 0, 1, 2"):
            enrolment_of_row(self.ROW | {"status": status})

    @pytest.mark.parametrize(
        ("values", "beginning", "expected", "by"),
        [
            (
                {"completedon": on(9), "datetime": on(2)},
                Beginning(on(6), on(3)),
                on(6),
                "the first completion",
            ),
            (
                {"completedon": on(9), "datetime": on(2)},
                Beginning(None, on(3)),
                on(9),
                "the first completion",
            ),
            ({"datetime": on(2)}, Beginning(None, on(3)), on(3), "the start of its batch"),
            ({"datetime": on(5), "lastcontentaccesstime": on(4)}, None, on(4), "the first time known"),
        ],
    )
    def test_one_without_a_date_is_dated_as_the_platform_does(
        self, values: dict[str, Any], beginning: Beginning | None, expected: datetime, by: str
    ) -> None:
        mapped = enrolment_of_row(self.ROW | {"enrolled_date": None} | values, beginning=beginning)
        assert mapped.value.enrolled_on == expected
        assert list(mapped.notes) == [f"enrolled_date: missing, taken from {by}"]

    def test_certificates_of_both_columns_are_merged(self) -> None:
        one, two, nameless = {"identifier": "1", "name": "new"}, {"id": "2"}, {"name": "old"}
        both = self.ROW | {
            "issued_certificates": [one, two],
            "certificates": [{"identifier": "1", "name": "older"}, nameless, nameless, {"id": "2"}],
        }
        assert enrolment_of_row(both).value.certificates == [one, two, nameless]
        assert enrolment_of_row(self.ROW | {"certificates": [nameless]}).value.certificates == [nameless]

    def test_contentstatus_gives_views_of_what_was_touched(self) -> None:
        enrolment = LegacyEnrolment(
            KEY,
            True,
            on(1),
            changed_on=on(9),
            completed_on=on(8),
            last_read_content_id="b",
            last_accessed_on=on(7),
            content_status={"a": 2, "b": 1, "c": 0, "": 2, "d": 5, "course": 2},
        )
        found = list(views_of_enrolment(enrolment, AT))
        a, b = (one for one in found if isinstance(one, View))
        assert (a.key.content_id, a.status, a.completed_on, a.last_accessed_on) == ("a", 2, on(8), None)
        assert (b.key.content_id, b.status, b.completed_on, b.last_accessed_on) == ("b", 1, None, on(7))
        assert [one.reason for one in found if isinstance(one, Unreadable)] == [
            "an id that is blank, too long or holds control characters",
            "a status other than 0, 1, 2",
        ]

    FOUND = LegacyEnrolment(KEY, True, on(1), changed_on=on(5))
    HERE = Enrolment(KEY, active=True, enrolled_on=on(1))

    def test_one_that_is_not_here_is_brought_with_its_figures(self) -> None:
        found = replace(self.FOUND, status=2, progress=3, completed_on=on(4), certificates=[{"name": "C"}])
        assert enrolment_values(None, None, found) == {
            "active": True,
            "enrolled_on": on(1),
            "unenrolled_on": None,
            "certificates": [{"name": "C"}],
            "status": 2,
            "progress": 3,
            "completedon": on(4),
            "granted_on": on(4),
            "lastreadcontentid": None,
            "lastcontentaccesstime": None,
        }

    def test_the_platform_s_date_of_completion_comes_to_one_that_is_here(self) -> None:
        """Whatever the workers have computed, and whether or not it was changed here since."""
        found = replace(self.FOUND, completed_on=on(4), status=2)
        computed = replace(self.HERE, completed_on=on(2), status=Status.COMPLETED, seen_changed_at=1)
        assert enrolment_values(computed, None, found) == {"granted_on": on(4)}
        granted = replace(computed, granted_on=on(4))
        assert granted.completed == FirstCompletion(on(4))
        assert enrolment_values(granted, None, found) == {}
        assert enrolment_values(granted, None, replace(found, completed_on=on(6))) == {"granted_on": on(6)}
        assert enrolment_values(granted, None, self.FOUND) == {}
        ended = replace(computed, active=False, unenrolled_on=on(3))
        assert enrolment_values(ended, None, found) == {"granted_on": on(4)}
        # Its contents' dates moved along, and the pointer that it left is dated by nothing.
        moved = replace(granted, active=False, moved_to="next", completed_on=None)
        assert moved.completed is None

    @pytest.mark.parametrize(
        ("here", "found", "written", "values"),
        [
            # Ended there since, then taken up again: only ``active`` went back.
            ({"active": False, "unenrolled_on": on(5)}, {}, 6, {"active": True, "unenrolled_on": None}),
            # Ended here after the last write there.
            ({"active": False, "unenrolled_on": on(7)}, {}, 6, None),
            # Ended there, before and after it was taken up here.
            ({"reenrolled_on": on(7)}, {"active": False}, 6, None),
            ({"reenrolled_on": on(7)}, {"active": False}, 8, {"active": False, "unenrolled_on": on(7)}),
            # Enrolled there anew.
            (
                {"active": False, "unenrolled_on": on(3)},
                {"enrolled_on": on(4)},
                4,
                {"active": True, "reenrolled_on": on(4), "unenrolled_on": None},
            ),
            # What has moved, and was taken up there afterwards, is no pointer any more.
            (
                {"active": False, "unenrolled_on": on(5), "moved_to": "next"},
                {},
                6,
                {"active": True, "unenrolled_on": None, "moved_to": None, "moved_from": None},
            ),
        ],
    )
    def test_of_activity_the_later_write_wins(
        self, here: dict[str, Any], found: dict[str, Any], written: int, values: dict[str, Any] | None
    ) -> None:
        there = replace(self.FOUND, **found, activity_written_on=on(written))
        assert enrolment_values(replace(self.HERE, **here), None, there) == values

    def test_one_that_was_dated_by_a_guess_is_dated_anew(self) -> None:
        """By the start of its batch, until its first content is completed."""
        undated = TestEnrolments.ROW | {"enrolled_date": None}
        first = enrolment_of_row(undated, beginning=Beginning(None, on(1))).value
        then = enrolment_of_row(undated, beginning=Beginning(on(6), on(1))).value
        stored = Enrolment(KEY, active=True, enrolled_on=first.enrolled_on)
        assert enrolment_values(stored, None, then) == {"enrolled_on": on(6)}
        assert enrolment_values(replace(stored, enrolled_on=on(6)), None, then) == {}
        # One that was begun here at another time stays.
        assert enrolment_values(replace(stored, enrolled_on=on(9)), None, then) is None

    def test_figures_are_the_platform_s_until_a_worker_has_computed_them(self) -> None:
        found = replace(self.FOUND, status=1, progress=2)
        assert enrolment_values(self.HERE, None, found) == {"status": 1, "progress": 2}
        assert enrolment_values(replace(self.HERE, seen_changed_at=1), None, found) == {}

    def test_completed_without_details_is_granted(self) -> None:
        """Status 2 and four contents counted, of which contentstatus tells of one."""
        found = replace(self.FOUND, status=2, progress=4, completed_on=on(4), content_status={"a": 2, "b": 1})
        assert found.told_completed == {"a"}
        assert found.is_granted({"a"})
        assert found.is_granted({"a", "b", "c"})
        assert not found.is_granted(set("abcd"))
        assert not replace(found, status=1, completed_on=None).is_granted(())
        (view,) = granted_views(found, {"b"}, AT)
        assert (view.status, view.progress, view.completed_on, view.last_updated_on) == (2, 100, on(4), None)
        assert view.origin == Origin(OriginKind.GRANTED, reason="user_enrolments", at=AT)
        assert granted_views(replace(found, completed_on=None), {"b"}, AT)[0].completed_on == on(5)

    @pytest.mark.parametrize(
        ("here", "found", "values"),
        [
            # The same: nothing to do.
            ({}, {}, {}),
            # Ended there since.
            ({}, {"active": False}, {"active": False, "unenrolled_on": on(5)}),
            # Ended here since.
            ({"active": False, "unenrolled_on": on(3)}, {}, None),
            # Ended here or there, then taken up again there.
            (
                {"active": False, "unenrolled_on": on(3)},
                {"enrolled_on": on(4)},
                {"active": True, "reenrolled_on": on(4), "unenrolled_on": None},
            ),
            # Taken up again there, and brought over before; then ended there.
            ({"reenrolled_on": on(4)}, {"enrolled_on": on(4)}, {}),
            (
                {"reenrolled_on": on(4)},
                {"enrolled_on": on(4), "active": False},
                {"active": False, "unenrolled_on": on(5)},
            ),
            # Taken up here since it was ended there.
            ({"reenrolled_on": on(7)}, {"active": False}, None),
            # Taken up there before it was ended here.
            ({"active": False, "unenrolled_on": on(3)}, {"enrolled_on": on(2)}, None),
            # Taken up here since.
            ({"enrolled_on": on(7)}, {"active": False}, None),
        ],
    )
    def test_of_one_that_is_here_the_later_change_wins(
        self, here: dict[str, Any], found: dict[str, Any], values: dict[str, Any] | None
    ) -> None:
        stored = replace(self.HERE, **here)
        assert enrolment_values(stored, None, replace(self.FOUND, **found)) == values

    def test_new_certificates_are_taken(self) -> None:
        found = replace(self.FOUND, certificates=[{"name": "C"}])
        assert enrolment_values(self.HERE, None, found) == {"certificates": [{"name": "C"}]}
        assert enrolment_values(self.HERE, [{"name": "C"}], found) == {}
        assert enrolment_values(self.HERE, [{"name": "C"}], self.FOUND) == {}


OPEN = {"collection_id": "course", "context_id": "batch", "name": "Autumn", "enrollmenttype": "open"}


class TestBatches:
    ROW: ClassVar[dict[str, Any]] = {"collection_id": "course", "context_id": "batch", "name": "Autumn"}

    def test_dates_that_contradict_each_other_are_kept_and_noted(self) -> None:
        mapped = context_of_batch(OPEN | {"start_date": on(9), "end_date": on(1)})
        assert mapped.value.start_date == on(9)
        assert mapped.value.end_date == datetime(2025, 11, 1, 23, 59, 59, 999_000, UTC)
        assert list(mapped.notes) == ["end_date: before the start_date, kept"]

    @pytest.mark.parametrize("column", ["end_date", "enrollment_enddate"])
    def test_a_batch_lasts_until_the_end_of_its_last_day_where_the_platform_is(self, column: str) -> None:
        """In Kolkata (+05:30) the first of December begins at 18:30 UTC of the day before, and ends at 18:30 UTC."""
        midnight_there, midnight = (
            datetime(2025, 11, 30, 18, 30, tzinfo=UTC),
            datetime(2025, 12, 1, tzinfo=UTC),
        )
        for written in ("2025-12-01", midnight_there, midnight):
            context = context_of_batch(OPEN | {column: written}, ZoneInfo("Asia/Kolkata")).value
            ends = context.end_date if column == "end_date" else context.enrolment_end_date
            assert ends == datetime(2025, 12, 1, 18, 29, 59, 999_000, UTC)

    @pytest.mark.parametrize(
        ("dates", "end"),
        [
            ({"updated_date": on(8), "created_date": on(2), "start_date": on(3)}, on(8)),
            (
                {"enrollment_enddate": on(6), "created_date": on(2)},
                datetime(2025, 11, 6, 23, 59, 59, 999_000, UTC),
            ),
            ({"created_date": on(2), "start_date": on(1)}, on(2)),
            ({"start_date": on(1)}, on(1)),
            ({}, EARLIEST),
        ],
    )
    def test_one_that_is_over_and_has_no_end_is_closed(self, dates: dict[str, Any], end: datetime) -> None:
        mapped = context_of_batch(OPEN | {"status": 2} | dates)
        assert mapped.value.end_date == end
        assert mapped.value.status_at(AT) is ContextStatus.COMPLETED
        assert list(mapped.notes) == [
            "end_date: missing in a batch that is over, taken from the last date known"
        ]
        assert context_of_batch(OPEN | {"status": 1} | dates).value.end_date is None

    def test_a_new_context_has_the_buckets_of_the_setting_and_a_known_one_its_own(self) -> None:
        found = context_of_batch(self.ROW, buckets=64).value
        assert (found.buckets, context_of_batch(self.ROW).value.buckets) == (64, 16)
        known = replace(found, buckets=4, name="Before", updated_on=None)
        merged = merged_context(known, found)
        assert merged is not None
        assert (merged.name, merged.buckets) == (found.name, 4)

    @pytest.mark.parametrize(
        ("given", "kind", "noted"),
        [
            ("open", EnrolmentType.OPEN, False),
            (None, EnrolmentType.INVITE_ONLY, True),
            (" ", EnrolmentType.INVITE_ONLY, True),
            ("Invite-Only", EnrolmentType.INVITE_ONLY, False),
            ("secret", EnrolmentType.INVITE_ONLY, True),
        ],
    )
    def test_an_unknown_kind_lets_nobody_in(
        self, given: str | None, kind: EnrolmentType, noted: bool
    ) -> None:
        mapped = context_of_batch(self.ROW | {"enrollmenttype": given})
        assert (mapped.value.enrolment_type, bool(mapped.notes)) == (kind, noted)

    def test_one_with_the_id_of_its_course_is_no_context(self) -> None:
        with pytest.raises(Unreadable):
            context_of_batch(self.ROW | {"context_id": "course"})

    def test_of_two_the_later_one_wins_and_none_loses_a_course(self) -> None:
        here = Context("batch", ContextType.PROGRAM, "Here", ("course", "more"), updated_on=on(5), buckets=4)
        assert merged_context(None, here) == here
        earlier = Context("batch", ContextType.BATCH, "There", ("course",), updated_on=on(4))
        assert merged_context(here, earlier) is None
        assert merged_context(here, replace(earlier, updated_on=None)) is None
        other = merged_context(here, replace(earlier, collection_ids=("other",)))
        assert other == replace(here, collection_ids=("course", "more", "other"))
        # Changed there without a new date; but two courses that share an id never take turns.
        same = Context("batch", ContextType.BATCH, "There", ("course",), updated_on=on(5))
        changed = merged_context(same, replace(same, name="Changed"))
        assert changed == replace(same, name="Changed")
        assert merged_context(here, replace(same, collection_ids=("more",))) is None
        later = merged_context(here, replace(earlier, updated_on=on(6)))
        assert later == replace(here, name="There", collection_ids=("course", "more"), updated_on=on(6))


class TestAttemptsAndScores:
    ROW: ClassVar[dict[str, Any]] = {**row(), "attempt_id": "one"}

    def test_the_time_of_an_attempt_is_its_last_one_known(self) -> None:
        mapped = attempt_of_row(self.ROW | {"updated_on": on(4), "created_on": on(3)})
        assert (mapped.value.at, mapped.value.figures["last_attempted_on"]) == (on(4), on(4))
        assert list(mapped.notes) == ["last_attempted_on: missing, taken from the last update"]
        with pytest.raises(Unreadable, match="no time of the attempt"):
            attempt_of_row(self.ROW)

    @pytest.mark.parametrize("column", ["total_score", "total_max_score"])
    def test_a_score_that_is_not_finite_is_named(self, column: str) -> None:
        with pytest.raises(Unreadable) as refused:
            attempt_of_row(self.ROW | {"last_attempted_on": on(4), column: float("nan")})
        assert (refused.value.reason, refused.value.column) == (NOT_FINITE, column)

    def test_a_question_has_every_field(self) -> None:
        (question,) = (
            attempt_of_row(
                self.ROW | {"last_attempted_on": on(4), "question": [{"id": "q", "duration": 2, "gone": 1}]}
            ).value.questions
            or ()
        )
        assert question == {
            "id": "q",
            "assess_ts": None,
            "max_score": None,
            "score": None,
            "type": None,
            "title": None,
            "resvalues": None,
            "params": None,
            "description": None,
            "duration": 2.0,
        }

    def test_scores_are_told_from_other_figures_of_either_column(self) -> None:
        ids = {"user_id": "ada", "activity_id": "course", "context_id": "cb:batch"}
        both = scores_of_row(
            ids
            | {"agg": {"completedCount": 1, "score:a": 1}, "aggregates": {"score:b": 2.0, "max_score:c": 3.0}}
        )
        assert both is not None
        assert (both.key, both.scores) == (KEY, {"a": LegacyScore(1, whole=True), "b": LegacyScore(2)})
        assert scores_of_row(ids | {"agg": {"completedCount": 1}}) is None
        for context in ("batch", "cb:", "ev:one"):
            with pytest.raises(Unreadable):
                scores_of_row(ids | {"context_id": context, "agg": {"score:a": 1}})


def _scores(*scored: float, maximum: float = 3) -> AssessmentScores | None:
    """Attempts of one assessment, on one day after the other."""
    key = ViewKey("ada", "course", "batch", "a")
    return assessment_scores(
        Attempt(key, str(number), score, maximum, on(number)) for number, score in enumerate(scored, 1)
    )


class TestScores:
    @pytest.mark.parametrize(
        ("there", "here", "unscored", "is_leaf", "reason"),
        [
            (LegacyScore(2, 3, 2), _scores(2, 1.33), 0, True, None),
            # The column agg has whole numbers.
            (LegacyScore(1, 3, whole=True), _scores(1.33), 0, True, None),
            (LegacyScore(1), _scores(1.33), 0, True, MORE_HERE),
            (LegacyScore(0.1 + 0.2), _scores(0.3), 0, True, None),
            (LegacyScore(2), None, 0, True, NO_ATTEMPT),
            (LegacyScore(2), None, 1, True, UNSCORED),
            (LegacyScore(2, 3, 1), _scores(2), 0, False, NO_LEAF),
            (LegacyScore(2, 3, 1), _scores(2, 3), 0, True, MORE_HERE),
            (LegacyScore(2, 3, 3), _scores(2, 1), 0, True, MORE_THERE),
            (LegacyScore(2, 3, 3), _scores(2, 1), 1, True, UNSCORED),
            (LegacyScore(2.5, 3, 2), _scores(2, 1), 0, True, OTHER_BEST),
            (LegacyScore(2, 2, 2), _scores(2, 1), 0, True, OTHER_MAXIMUM),
            (LegacyScore(3), _scores(2, 1), 0, True, UNEXPLAINED),
        ],
    )
    def test_a_difference_has_a_reason(
        self,
        there: LegacyScore,
        here: AssessmentScores | None,
        unscored: int,
        is_leaf: bool,
        reason: str | None,
    ) -> None:
        assert reason_of_scores(there, here, unscored=unscored, is_leaf=is_leaf) == reason

    @pytest.mark.parametrize(
        ("moment", "updated_on", "stored_hash", "stored_update", "newer"),
        [
            (4, None, None, None, None),  # stored: nothing
            (5, on(5), "same", on(5), None),
            (5, on(6), "other", on(5), True),
            (5, on(5), "other", on(6), False),
            (5, on(6), "same", on(5), True),  # said again
            (5, on(5), "same", on(6), None),
            (5, on(5), "other", on(5), True),  # corrected by an UPDATE that left ``updated_on``
            (5, on(5), None, on(5), True),  # brought by a version without hashes
            (4, on(9), "other", on(5), False),  # an earlier moment
            (6, None, "other", on(9), True),
        ],
    )
    def test_the_later_version_of_an_attempt_wins(
        self,
        moment: int,
        updated_on: datetime | None,
        stored_hash: str | None,
        stored_update: datetime | None,
        newer: bool | None,
    ) -> None:
        row = TestAttemptsAndScores.ROW | {"last_attempted_on": on(moment), "updated_on": updated_on}
        legacy = attempt_of_row(row).value
        if stored_update is None:
            assert is_newer(legacy, "same", None)
            return
        stored = Attempt(legacy.asked, "one", 1, 3, on(5), updated_on=stored_update, content_hash=stored_hash)
        assert is_newer(legacy, "same", stored) is newer

    def test_of_several_places_attempts_the_larger_hash_wins(self) -> None:
        """So that whoever is read last decides nothing. Later updates go before."""
        row = TestAttemptsAndScores.ROW | {"last_attempted_on": on(5), "updated_on": on(6)}
        legacy = attempt_of_row(row).value
        kept = ViewKey("ada", "course", "course", "a")
        stored = Attempt(kept, "one", 1, 3, on(5), updated_on=on(6), content_hash="m")
        assert is_newer(legacy, "n", stored) is True
        assert is_newer(legacy, "l", stored) is False
        assert is_newer(legacy, "m", stored) is None
        assert is_newer(legacy, "l", replace(stored, updated_on=on(5))) is True


def tree(leaves: str, optional: str = "") -> RelationTree:
    return RelationTree("course", 1, {"course": Relations("course", frozenset(leaves), frozenset(optional))})


class TestVerification:
    @pytest.mark.parametrize(
        ("completed", "leaves", "figures"),
        [
            (0, 3, Figures(0, 0)),
            (1, 3, Figures(1, 33)),
            (2, 3, Figures(1, 66)),
            (3, 3, Figures(2, 100)),
            (4, 3, Figures(2, 100)),
            (1, 0, Figures(2, 100)),
            (0, 0, Figures(0, 0)),
        ],
    )
    def test_the_platform_s_figures(self, completed: int, leaves: int, figures: Figures) -> None:
        """Whatever is not below the number of leaves reads as complete (P-2.4)."""
        assert legacy_figures(completed, leaves) == figures

    @pytest.mark.parametrize(
        ("there", "status", "here", "leaves", "optional", "reason"),
        [
            # One started here, none completed: 0 there, 1 here.
            ({"a": 1}, 1, {"a": 1}, "abc", "", STARTED),
            # Three counted, one of them gone from the course.
            ({"a": 2, "b": 2, "z": 2}, 1, {"a": 2, "b": 2, "z": 2}, "abcd", "", SHRANK),
            # Three of four, and the fourth is optional.
            ({"a": 2, "b": 2, "c": 2}, 1, {"a": 2, "b": 2, "c": 2}, "abcd", "d", OPTIONAL),
            # Completed when the course had two contents; the third was completed later.
            ({"a": 2, "b": 2}, 2, {"a": 2, "b": 2, "c": 2}, "abc", "", FROZEN),
            # Two completed, one of them not counted yet.
            ({"a": 2}, 1, {"a": 2, "b": 2}, "abc", "", LAGGED),
            # The count says one, contentstatus and the views nothing.
            ({}, 1, {}, "abc", "", UNEXPLAINED),
        ],
    )
    def test_a_difference_has_a_reason(
        self,
        there: dict[str, int],
        status: int,
        here: dict[str, int],
        leaves: str,
        optional: str,
        reason: str,
    ) -> None:
        relations = tree(leaves, optional)
        counted = list(there.values()).count(2) or (1 if reason is UNEXPLAINED else 0)
        enrolment = LegacyEnrolment(KEY, True, on(1), status=status, progress=counted, content_status=there)
        ours = progress_of(relations.required("course"), here)
        before = legacy_figures(counted, len(relations.leaf_nodes))
        assert before != Figures(int(ours.status), ours.completion_percentage)
        assert reason_of_difference(enrolment, relations, here, ours) == reason

    def test_what_the_platform_counted_and_is_not_here_is_unexplained(self) -> None:
        """It counted three of four. Two are here, one of which contentstatus does not have: the third was rejected."""
        relations, here = tree("abcd"), {"a": 2, "b": 2}
        enrolment = LegacyEnrolment(KEY, True, on(1), status=1, progress=3, content_status={"a": 2})
        ours = progress_of(relations.required("course"), here)
        assert reason_of_difference(enrolment, relations, here, ours) == UNEXPLAINED
        assert reason_of_difference(replace(enrolment, progress=1), relations, here, ours) == LAGGED
