"""How the existing platform's rows are read, and what becomes of a row that both have (R-MIGRATE-1, P-1.1, P-2.4)."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.attempts import Attempt
from rules.contexts import Context, EnrolmentType
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
from rules.legacy.enrolments import LegacyEnrolment, enrolment_of_row, enrolment_values, views_of_enrolment
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
from rules.legacy.values import Unreadable
from rules.legacy.views import merged, placed, view_of_consumption
from rules.origins import OriginKind
from rules.progress import Status, progress_of
from rules.scores import AssessmentScores, assessment_scores
from rules.views import LARGEST_DETAILS, View

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When rows are brought over."""
TABLES = {table.name: table for table in LEGACY_TABLES}
KEY = ProgressKey("ada", "course", "batch")


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
def views(draw: st.DrawFn) -> View:
    status = draw(st.sampled_from([1, 2]))
    return view(
        status,
        progress=100 if status == 2 else draw(st.integers(0, 100)),
        last_accessed_on=draw(moments),
        last_updated_on=draw(moments),
        completed_on=draw(moments) if status == 2 else None,
        progress_details=draw(details),
    )


class TestMerging:
    def test_what_is_here_and_further_stays(self) -> None:
        here = view(2, completed_on=on(20), last_updated_on=on(20), progress_details={"page": 9})
        there = view(2, completed_on=on(5), last_updated_on=on(5), progress_details={"page": 1})
        assert merged(here, there) is None
        assert merged(here, view(1, progress=60)) is None

    def test_what_is_there_and_further_is_taken(self) -> None:
        here = view(1, progress=40, time_spent=60, started_on=on(1), last_updated_on=on(2))
        there = view(2, completed_on=on(5), last_updated_on=on(5), progress_details={"page": 1})
        assert merged(here, there) == replace(
            here,
            status=Status.COMPLETED,
            progress=100,
            completed_on=on(5),
            last_updated_on=on(5),
            progress_details={"page": 1},
        )

    @given(views(), st.lists(views(), max_size=4))
    def test_nothing_goes_down_and_a_second_time_changes_nothing(
        self, first: View, others: list[View]
    ) -> None:
        stored = first
        for found in others:
            after = merged(stored, found) or stored
            assert after.status >= max(stored.status, found.status)
            assert after.progress >= max(stored.progress, found.progress)
            assert stored.completed_on in (None, after.completed_on)
            assert merged(after, found) is None
            assert merged(after, stored) is None
            stored = after
        for found in [first, *others]:
            assert merged(stored, found) is None

    def test_contentstatus_fills_gaps_and_raises_and_says_nothing_else(self) -> None:
        found = view(2, completed_on=on(9), last_updated_on=on(9))
        assert filled(None, found) == found
        raised = filled(view(1, progress=40, last_updated_on=on(1)), found)
        assert raised is not None
        assert (raised.status, raised.progress, raised.completed_on) == (2, 100, on(9))
        assert filled(view(2, completed_on=on(5), last_updated_on=on(5)), found) is None


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

    def test_one_without_active_is_not_listed_there_and_not_active_here(self) -> None:
        assert enrolment_of_row(self.ROW | {"active": None}).value.active is False

    def test_issued_certificates_come_before_the_older_column(self) -> None:
        old, new = [{"name": "old"}], [{"name": "new"}]
        both = enrolment_of_row(self.ROW | {"certificates": old, "issued_certificates": new})
        assert both.value.certificates == new
        assert enrolment_of_row(self.ROW | {"certificates": old}).value.certificates == old

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
            "lastreadcontentid": None,
            "lastcontentaccesstime": None,
        }

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


class TestBatches:
    ROW: ClassVar[dict[str, Any]] = {"collection_id": "course", "context_id": "batch", "name": "Autumn"}

    def test_dates_that_contradict_each_other_are_kept_and_noted(self) -> None:
        mapped = context_of_batch(self.ROW | {"start_date": on(9), "end_date": on(1)})
        assert mapped.value.start_date == on(9)
        assert mapped.value.end_date == datetime(2025, 11, 1, 23, 59, 59, 999_000, UTC)
        assert list(mapped.notes) == ["end_date: before the start_date, kept"]

    @pytest.mark.parametrize(
        ("given", "kind", "noted"),
        [
            ("open", EnrolmentType.OPEN, False),
            (None, EnrolmentType.OPEN, False),
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
            (5, on(5), "other", on(5), False),
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
