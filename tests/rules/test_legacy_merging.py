"""Whatever order the existing platform's rows come in, and however often, what is stored is the same (R-MIGRATE-1).

What a row says only rises there (P-4.4), so its versions are made as a platform makes them: each from the one before.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rules.attempts import Attempt
from rules.contexts import Context, EnrolmentType
from rules.enrolments import Enrolment
from rules.identifiers import ContextType, ProgressKey, ViewKey
from rules.legacy.attempts import LegacyAttempt, is_newer
from rules.legacy.batches import merged_context
from rules.legacy.enrolments import (
    Beginning,
    LegacyEnrolment,
    enrolment_of_row,
    enrolment_values,
    granted_views,
    views_of_enrolment,
)
from rules.legacy.views import merged, placed, view_of_consumption
from rules.progress import Status
from rules.views import View

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDS = {"user_id": "ada", "collection_id": "course", "context_id": "batch"}
KEY = ProgressKey("ada", "course", "batch")


def on(day: int) -> datetime:
    """A day of 2025 and of the year after."""
    return datetime(2025, 1, 1, 9, tzinfo=UTC) + timedelta(days=day)


@st.composite
def consumed(draw: st.DrawFn, collection_id: str = "course") -> list[View]:
    """The versions of one row of consumption, each of which a migration may have met."""
    row: dict[str, Any] = {**IDS, "collection_id": collection_id, "content_id": "a", "status": 1}
    versions, day = [], 0
    for _ in range(draw(st.integers(1, 4))):
        day += draw(st.integers(1, 5))
        row |= {"last_access_time": on(day), "last_updated_time": on(day)}
        if draw(st.booleans()) or row["status"] == 2:
            row |= {"status": 2, "progress": 100, "last_completed_time": on(day)}
        else:
            row["progress"] = max(row.get("progress", 0), draw(st.integers(0, 99)))
        if draw(st.booleans()):
            row["progressdetails"] = f'{{"page": {day}}}'
        versions.append(view_of_consumption(row, AT).value)
    return versions


@st.composite
def guesses(draw: st.DrawFn) -> list[View]:
    """What one enrolment tells of the content, before it was completed and after it, and what it grants."""
    day = draw(st.integers(1, 40))
    before = LegacyEnrolment(
        KEY,
        active=True,
        enrolled_on=on(0),
        changed_on=on(day),
        last_read_content_id=draw(st.sampled_from(["a", "b"])),
        last_accessed_on=on(draw(st.integers(1, 40))),
        content_status={"a": draw(st.sampled_from([1, 2]))},
    )
    after = replace(before, completed_on=on(day + 3), status=2, content_status={"a": 2})
    told = [view for one in (before, after) for view in views_of_enrolment(one, AT) if isinstance(view, View)]
    return [*told, *granted_views(after, {"a"}, AT)]


def row_of(views: Sequence[View], stored: View | None = None) -> View:
    for view in views:
        stored = merged(stored, view) or stored
    assert stored is not None
    return stored


@given(consumed(), guesses(), st.data())
def test_a_view_is_the_same_in_whichever_order_facts_and_guesses_come(
    facts: list[View], told: list[View], data: st.DataObject
) -> None:
    parts = [*facts, *data.draw(st.lists(st.sampled_from(told), unique_by=id))]
    first = row_of(parts)
    again = data.draw(st.permutations(parts))
    assert row_of([*again, *data.draw(st.lists(st.sampled_from(parts)))]) == first
    assert merged(first, facts[-1]) is None
    if first.origin == facts[-1].origin:
        assert (first.status, first.completed_on) == (facts[-1].status, facts[-1].completed_on)
    else:
        assert facts[-1].status < first.status


@given(consumed(), consumed("program"), st.data())
def test_of_two_places_that_a_mode_keeps_together_the_row_is_the_same_in_any_order(
    one: list[View], other: list[View], data: st.DataObject
) -> None:
    """But for details of the same moment, which were seen in two places."""
    kept = ViewKey("ada", "a", "a", "a")
    parts = [placed(replace(view, progress_details=None), kept) for view in (*one, *other)]
    assert row_of(data.draw(st.permutations(parts))) == row_of(parts)


@given(consumed(), guesses(), st.integers(1, 60), st.data())
def test_a_completion_here_stays_whatever_comes(
    facts: list[View], told: list[View], day: int, data: st.DataObject
) -> None:
    here = View(facts[0].key, Status.COMPLETED, 100, completed_on=on(day), started_on=on(0))
    after = row_of(data.draw(st.permutations([*facts, *told])), here)
    assert (after.completed_on, after.origin, after.started_on) == (on(day), None, on(0))


@st.composite
def enrolled(draw: st.DrawFn) -> list[LegacyEnrolment]:
    """The versions of one row of user_enrolments: leaving and coming back flips ``active`` alone, and a completion stays.

    Half of them have no date of enrolment. The first content is completed sooner or later.
    """
    first_completed, batch_start = draw(st.integers(1, 30)), draw(st.none() | st.just(on(0)))
    row: dict[str, Any] = {**IDS, "active": True, "status": 0, "progress": 0}
    row["enrolled_date"] = draw(st.none() | st.just(on(1))) if batch_start else on(1)
    written = microseconds(on(1))
    versions, day = [], 1
    for _ in range(draw(st.integers(1, 6))):
        day += draw(st.integers(1, 5))
        row["datetime"] = on(day)
        event = draw(st.sampled_from(["flip", "work", "complete", "certify"]))
        if event == "flip":
            row["active"], written = not row["active"], microseconds(on(day))
        elif event == "work":
            row |= {"status": max(row["status"], 1), "progress": row["progress"] + 1}
            row |= {"lastreadcontentid": "a", "lastcontentaccesstime": on(day)}
        elif event == "complete":
            row |= {"status": 2, "completedon": row.get("completedon") or on(day)}
        else:
            row["issued_certificates"] = [{"identifier": str(day)}]
        beginning = Beginning(on(first_completed) if first_completed <= day else None, batch_start)
        versions.append(enrolment_of_row({**row, "active_written_at": written}, beginning=beginning).value)
    return versions


def microseconds(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


COLUMNS = {
    "completedon": "completed_on",
    "progress": "completed_count",
    "lastreadcontentid": "last_read_content_id",
    "lastcontentaccesstime": "last_accessed_on",
}


def brought(stored: Enrolment | None, found: LegacyEnrolment) -> Enrolment:
    """The row after a migration, as loaders/enrolments.py reads it."""
    certificates = None if stored is None else [dict(one) for one in stored.certificates] or None
    values = enrolment_values(stored, certificates, found) or {}
    here = stored or Enrolment(KEY, active=False, enrolled_on=on(0))
    named = {COLUMNS.get(name, name): value for name, value in values.items()}
    if "status" in named:
        named["status"] = Status(named["status"])
    if "certificates" in named:
        named["certificates"] = tuple(named["certificates"] or ())
    return replace(here, **named)


@given(enrolled(), st.data())
def test_runs_and_deltas_make_the_enrolment_that_one_run_makes(
    versions: list[LegacyEnrolment], data: st.DataObject
) -> None:
    met = [version for version in versions[:-1] if data.draw(st.booleans())]
    stored: Enrolment | None = None
    for version in [*met, versions[-1]]:
        stored = brought(stored, version)
        assert brought(stored, version) == stored, "a rerun changes nothing"
    assert stored == brought(None, versions[-1])


@st.composite
def corrected(draw: st.DrawFn) -> list[LegacyAttempt]:
    """The versions of one attempt. A correction may leave ``updated_on`` as it is, or the moment too."""
    versions, day, updated = [], 1, 1
    for number in range(draw(st.integers(1, 4))):
        day += draw(st.integers(0, 2))
        updated = max(updated, day) + draw(st.integers(0, 2))
        figures = {"total_score": float(number), "updated_on": on(updated)}
        versions.append(LegacyAttempt(KEY, "a", "one", on(day), figures))
    return versions


def kept(versions: Sequence[LegacyAttempt], key: ViewKey) -> tuple[Attempt, int]:
    """What is stored in the end, and how often it was written."""
    stored, written = None, 0
    for version in versions:
        named = str(version.figures["total_score"])
        if is_newer(version, named, stored):
            written += 1
            stored = Attempt(
                key, "one", version.figures["total_score"], 9, version.at, None, version.updated_on
            )
            stored = replace(stored, content_hash=named)
    assert stored is not None
    return stored, written


@given(corrected(), st.data())
def test_the_last_version_of_an_attempt_is_stored_and_written_once(
    versions: list[LegacyAttempt], data: st.DataObject
) -> None:
    last, key = versions[-1], versions[-1].asked
    met = [version for version in versions[:-1] if data.draw(st.booleans())]
    once, _ = kept([last], key)
    assert kept([*met, last], key)[0] == once
    assert kept([*met, last, last], key) == kept([*met, last], key)


@given(corrected(), corrected(), st.data())
def test_of_several_places_attempts_the_same_one_stays_in_any_order(
    one: list[LegacyAttempt], other: list[LegacyAttempt], data: st.DataObject
) -> None:
    key = ViewKey("ada", "a", "a", "a")
    parts = [*one, *other]
    stored, _ = kept(parts, key)
    assert kept(data.draw(st.permutations(parts)), key)[0] == stored
    assert not any(is_newer(part, str(part.figures["total_score"]), stored) for part in parts)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(EnrolmentType)), min_size=1, max_size=5), st.data()
)
def test_the_last_version_of_a_batch_is_stored(
    changes: list[tuple[int, EnrolmentType]], data: st.DataObject
) -> None:
    """Also where a change left ``updated_date`` as it was, or there is none."""
    versions: list[Context] = []
    day = data.draw(st.sampled_from([0, 1]))
    for more, kind in changes:
        day += more if day else 0
        versions.append(
            Context(
                "batch",
                ContextType.BATCH,
                str(len(versions)),
                ("course",),
                updated_on=on(day) if day else None,
                enrolment_type=kind,
            )
        )
    met = [version for version in versions[:-1] if data.draw(st.booleans())]
    stored: Context | None = None
    for version in [*met, versions[-1]]:
        stored = merged_context(stored, version) or stored
        assert merged_context(stored, version) is None, "a rerun changes nothing"
    assert stored == versions[-1]
