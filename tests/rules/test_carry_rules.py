"""The business rules of copy and move: what is declared, what counts, and what it becomes (R-MODE-6, P-4.7)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.carry_rules import NOTHING, CarryRules, Completion, parse_rules
from rules.contexts import Context
from rules.copies import Completed, Taker
from rules.enrolments import Enrolment, is_under_way, under_way
from rules.identifiers import ContextType, ProgressKey, ViewKey
from rules.moves import Taking, current_place
from rules.origins import Origin, OriginKind
from rules.progress import Status
from rules.views import RECENT_CALLS, View, ViewChange, updated

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
THREE_MONTHS = {"type": "completedWithin", "unit": "months", "value": 3}
ONE_DAY = {"type": "completedWithin", "unit": "days", "value": 1}
WITHIN_CONTEXT = {"type": "withinContextDuration"}
ALWAYS = {"type": "always"}


def days(number: float) -> timedelta:
    return timedelta(days=number)


def rules(*declared: object, match: str | None = None) -> CarryRules:
    document = {"rules": declared} | ({} if match is None else {"match": match})
    parsed = parse_rules(orjson.dumps(document).decode())
    assert parsed.problem is None
    return parsed


def completed(ago: float, *, window: float | None = None) -> Completion:
    """``window``: the context is open from so many days before now to so many after it."""
    dates = (None, None) if window is None else (NOW - days(window), NOW + days(window))
    return Completion(NOW - days(ago), NOW, *dates)


@pytest.mark.parametrize(
    ("declared", "completion", "counts"),
    [
        (rules(THREE_MONTHS), completed(30), True),
        (rules(THREE_MONTHS), completed(120), False),
        (rules(THREE_MONTHS), completed(90), True),
        (rules(THREE_MONTHS), completed(90.01), False),
        (rules(WITHIN_CONTEXT), completed(5, window=10), True),
        (rules(WITHIN_CONTEXT), completed(20, window=10), False),
        (rules(WITHIN_CONTEXT), completed(-20, window=10), False),
        (rules(ONE_DAY, ALWAYS, match="any"), completed(365), True),
        (rules(ONE_DAY, ALWAYS, match="all"), completed(365), False),
        (rules(ONE_DAY, ALWAYS), completed(365), True),
        (rules(ONE_DAY, ALWAYS, match="all"), completed(1), True),
    ],
)
def test_the_platforms_own_examples(declared: CarryRules, completion: Completion, counts: bool) -> None:
    """Those of the platform's tests (P-4.7), and the ends of each rule; a month has 30 days."""
    assert (declared.reason(completion) is not None) is counts


def test_a_context_without_dates_has_no_say() -> None:
    without = completed(400)
    assert rules(WITHIN_CONTEXT).reason(without) is None
    assert rules(WITHIN_CONTEXT, ALWAYS, match="all").reason(without) == "always"
    assert rules(WITHIN_CONTEXT, THREE_MONTHS).reason(without) is None


def test_an_open_end_has_none() -> None:
    open_end = Completion(NOW, NOW, starts_on=NOW - days(1))
    assert rules(WITHIN_CONTEXT).reason(open_end) == "completed within the duration of the context"
    assert rules(WITHIN_CONTEXT).reason(replace(open_end, completed_on=NOW - days(2))) is None


def test_the_reason_is_in_words() -> None:
    assert rules(THREE_MONTHS).reason(completed(1)) == "completed within 3 months"
    both = rules(ONE_DAY, WITHIN_CONTEXT, match="all")
    assert (
        both.reason(completed(1, window=10))
        == "completed within 1 day and completed within the duration of the context"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "no rules are declared"),
        ("  ", "no rules are declared"),
        ("{", "not JSON"),
        ("null", "must be an object"),
        ("[]", "must be an object"),
        ("{}", "rules must be a list of at least one"),
        ('{"rules": []}', "rules must be a list of at least one"),
        ('{"rules": {"type": "always"}}', "rules must be a list of at least one"),
        ('{"rule": [{"type": "always"}]}', "it has no rule"),
        ('{"match": "some", "rules": [{"type": "always"}]}', "match must be any or all"),
        ('{"match": ["any"], "rules": [{"type": "always"}]}', "match must be any or all"),
        ('{"rules": ["always"]}', "rules[0]: type must be"),
        ('{"rules": [{"type": "always"}, {"type": "never"}]}', "rules[1]: type must be"),
        ('{"rules": [{"type": "completedWithin", "unit": "weeks", "value": 3}]}', "unit must be days or"),
        ('{"rules": [{"type": "completedWithin", "unit": "days"}]}', "value must be a number"),
        ('{"rules": [{"type": "completedWithin", "unit": "days", "value": true}]}', "value must be a number"),
        ('{"rules": [{"type": "completedWithin", "unit": "days", "value": 0}]}', "value must be a number"),
        ('{"rules": [{"type": "completedWithin", "unit": "days", "value": "3"}]}', "value must be a number"),
    ],
)
def test_what_can_not_be_read_carries_nothing_and_says_why(text: str | None, problem: str) -> None:
    parsed = parse_rules(text)
    assert parsed.problem is not None
    assert problem in parsed.problem
    assert parsed.reason(completed(0, window=10)) is None


# --- copies

KEY = ProgressKey("ada", "course", "batch")


def taker(enrolled: float = 0, *, starts: float | None = -10, ends: float | None = 10) -> Taker:
    """Days from now."""
    context = Context(
        *("batch", ContextType.BATCH, "Batch", ("course",)),
        start_date=None if starts is None else NOW + days(starts),
        end_date=None if ends is None else NOW + days(ends),
    )
    return Taker(KEY, NOW + days(enrolled), context)


def done(at: float, place: tuple[str, str] = ("a", "a")) -> Completed:
    return Completed("a", place, NOW + days(at), ViewKey("ada", *place, "a"))


def test_a_copy_says_what_it_is_of_and_takes_neither_time_nor_access_along() -> None:
    copy = taker().copy_of(done(-30), rules(THREE_MONTHS))
    assert copy == View(
        ViewKey("ada", "course", "batch", "a"),
        Status.COMPLETED,
        100,
        last_updated_on=NOW,
        completed_on=NOW - days(30),
        origin=Origin(OriginKind.COPIED, ("a", "a"), "completed within 3 months", NOW),
    )


@pytest.mark.parametrize(
    ("completed_on", "enrolled_on", "ends_on", "counts"),
    [
        (-91, 0, 10, False),  # too long before the enrolment, whenever it is asked
        (5, 0, 10, True),  # at the time when it was completed
        (10, 0, 10, True),
        (11, 0, 10, False),  # the context has ended
        (300, 0, None, True),
    ],
)
def test_what_is_completed_later_counts_until_the_context_ends(
    completed_on: float, enrolled_on: float, ends_on: float | None, counts: bool
) -> None:
    found = taker(enrolled_on, ends=ends_on).copy_of(done(completed_on), rules(THREE_MONTHS))
    assert (found is not None) is counts


def test_the_latest_completion_that_may_count_is_copied() -> None:
    found = taker().copies([done(-40, ("b", "1")), done(-20, ("b", "2")), done(-30)], rules(THREE_MONTHS))
    assert found["a"].completed_on == NOW - days(20)
    old = taker().copies([done(-200), done(-100)], rules(THREE_MONTHS))
    assert old == {}


@pytest.mark.parametrize(
    ("origin", "place"),
    [
        (None, ("course", "batch-1")),
        (Origin(OriginKind.COPIED, ("a", "a")), ("a", "a")),
        (Origin(OriginKind.MOVED, ("course", "batch-0")), ("course", "batch-0")),
        (Origin(OriginKind.CLOSED), ("course", "batch-1")),
        (Origin(OriginKind.MIGRATED), ("course", "batch-1")),
        (Origin(OriginKind.GRANTED), ("course", "batch-1")),
    ],
)
def test_a_copy_of_a_copy_names_the_first_place(origin: Origin | None, place: tuple[str, str]) -> None:
    assert Completed.of(ViewKey("ada", "course", "batch-1", "a"), NOW, origin).place == place


# --- moves

PROGRAM = ProgressKey("ada", "course", "program")
CONTEXT = Context("program", ContextType.PROGRAM, "Program", ("course",))
OLD = ViewKey("ada", "course", "batch", "a")


def taking(*declared: object) -> Taking:
    return Taking(PROGRAM, NOW, CONTEXT, rules(*declared) if declared else NOTHING)


def view(status: Status = Status.IN_PROGRESS, progress: int = 40, spent: int = 30, *calls: str) -> View:
    at = NOW - days(100)
    ended = at if status is Status.COMPLETED else None
    return View(OLD, status, progress, spent, at, at, at, ended, {"page": 3}, calls)


def test_a_view_goes_along_whole() -> None:
    moved = taking(ALWAYS).merged(None, view(Status.COMPLETED, 100, 30, "call-1"))
    assert moved is not None
    assert replace(moved, recent_calls=()) == replace(
        view(Status.COMPLETED, 100),
        key=OLD._replace(context_id="program"),
        origin=Origin(OriginKind.MOVED, ("course", "batch"), "always", NOW),
    )
    assert "call-1" in moved.recent_calls


def test_without_rules_nothing_moves_and_with_them_what_is_in_progress_does() -> None:
    assert taking().merged(None, view()) is None
    assert taking().merged(None, view(Status.COMPLETED, 100)) is None
    assert taking(ONE_DAY).merged(None, view()) is not None
    assert taking(ONE_DAY).merged(None, view(Status.COMPLETED, 100)) is None
    assert taking(ALWAYS).merged(None, view(Status.COMPLETED, 100)) is not None


def test_where_it_was_earned_outlives_a_second_move() -> None:
    first = Origin(OriginKind.MOVED, ("course", "batch-0"), "always", NOW - days(50))
    moved = taking(ALWAYS).merged(None, replace(view(), origin=first))
    assert moved is not None
    assert moved.origin == Origin(
        OriginKind.MOVED, ("course", "batch-0"), "under way in an open context", NOW
    )


def test_time_spent_comes_along_once_however_often_it_is_moved() -> None:
    take = taking(ALWAYS)
    there = take.merged(None, view(spent=30))
    assert there is not None
    assert take.merged(there, view(spent=30)) is None
    later = replace(there, time_spent=there.time_spent + 100)
    after = take.merged(later, view(spent=45))  # a call that was under way
    assert after is not None
    assert after.time_spent == 145
    assert take.merged(after, view(spent=45)) is None


def test_time_spent_that_came_by_another_way_counts_once() -> None:
    """From the batch to another one, from there to the program; then what was left in the batch; and back again."""
    first, then = PROGRAM._replace(context_id="other"), taking(ALWAYS)
    at_other = replace(then, to=first).merged(None, view(spent=30))
    assert at_other is not None
    at_other = replace(at_other, time_spent=at_other.time_spent + 7)
    at_program = then.merged(None, at_other)
    assert at_program is not None
    assert at_program.time_spent == 37
    assert then.merged(at_program, view(spent=30)) is None
    late = then.merged(at_program, view(spent=35))
    assert late is not None
    assert late.time_spent == 42
    back = replace(then, to=KEY).merged(view(spent=30), late)
    assert back is not None
    assert back.time_spent == 42


def test_calls_do_not_push_out_where_time_was_spent() -> None:
    there = taking(ALWAYS).merged(None, view(spent=30))
    assert there is not None
    for number in range(RECENT_CALLS * 2):
        there = updated(there, ViewChange(NOW, time_spent=1, call_id=f"call-{number}"))
        assert there is not None
    assert taking(ALWAYS).merged(there, view(spent=30)) is None


STATUSES = st.sampled_from([(Status.IN_PROGRESS, 0), (Status.IN_PROGRESS, 70), (Status.COMPLETED, 100)])
CALLS = st.lists(st.sampled_from("abcdef"), unique=True, max_size=RECENT_CALLS)


@given(STATUSES, st.integers(0, 90), CALLS, st.none() | st.tuples(STATUSES, st.integers(0, 90), CALLS))
def test_a_move_lowers_nothing_and_repeats_harmlessly(
    source: tuple[Status, int],
    spent: int,
    calls: list[str],
    there: tuple[tuple[Status, int], int, list[str]] | None,
) -> None:
    before = None
    if there is not None:
        (status, progress), seconds, own = there
        before = replace(view(status, progress, seconds, *own), key=OLD._replace(context_id="program"))
    moving = view(*source, spent, *calls)
    after = taking(ALWAYS).merged(before, moving)
    found = after or before
    assert found is not None
    for one in (moving, before or moving):
        assert (found.status, found.progress, found.time_spent) >= (one.status, one.progress, one.time_spent)
    assert found.time_spent == spent + (before.time_spent if before else 0)
    assert len(found.recent_calls) <= RECENT_CALLS + 1
    assert taking(ALWAYS).merged(found, moving) is None


def enrolment(context: str, moved_to: str | None = None, *, active: bool = False) -> Enrolment:
    return Enrolment(ProgressKey("ada", "course", context), active, NOW, moved_to=moved_to)


def test_pointers_are_followed_to_their_end() -> None:
    found = {
        "b1": enrolment("b1", "b2"),
        "b2": enrolment("b2", "b3"),
        "b3": enrolment("b3", active=True),
        "b4": enrolment("b4", "b3", active=True),
    }
    assert current_place(found, "b1") == "b3"
    assert current_place(found, "b4") == "b4", "its move is only under way"
    assert current_place(found, "elsewhere") == "elsewhere"
    assert current_place({"x": enrolment("x", "y"), "y": enrolment("y", "x")}, "x") in ("x", "y")


@pytest.mark.parametrize(
    ("context", "at", "expected"),
    [
        (CONTEXT, 0, True),
        (CONTEXT, -1, False),  # before the enrolment
        (None, 0, False),
        (replace(CONTEXT, end_date=NOW), 0, True),
        (replace(CONTEXT, end_date=NOW), 1, False),
        (replace(CONTEXT, start_date=NOW + days(1)), 0, False),
        (replace(CONTEXT, start_date=NOW + days(1), opens_on=NOW), 0, True),
    ],
)
def test_an_enrolment_is_under_way_while_its_context_is_open(
    context: Context | None, at: float, expected: bool
) -> None:
    assert is_under_way(enrolment("program", active=True), context, NOW + days(at)) is expected
    assert not is_under_way(enrolment("program"), context, NOW + days(at))


def test_of_several_the_latest_enrolment_comes_first() -> None:
    older = enrolment("old", active=True)
    newer = replace(enrolment("new", active=True), enrolled_on=NOW + days(1))
    assert under_way([(older, CONTEXT), (newer, CONTEXT)], NOW + days(2)) == [newer, older]
