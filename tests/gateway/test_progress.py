"""How far a long command is: what an operator reads while it runs, with a terminal and without one."""

import io
from datetime import timedelta

import pytest
from rich.console import Console

from gateway.commands import progress as shown
from gateway.commands.progress import duration, job_progress, progress, waiting_line
from ingest.jobs.parts import Waiting
from ingest.jobs.plans import Checkpoint, Part
from ingest.jobs.records import JobRecord, StepState
from ingest.jobs.speed import progress_of
from rules.jobs import JobState
from tests.conftest import NOW

PARTS = [
    *(Part(f"batches {number}", 0) for number in range(2)),
    *(Part(f"views {number}", 1) for number in range(4)),
]


def part(name: str, done: int, worked: float, *, owner: str | None = None, silent: float = 0) -> StepState:
    """It is done if nobody holds it. It was worked on for so many seconds, until it fell silent."""
    state, resume = (JobState.RUNNING, "x") if owner else (JobState.DONE, None)
    updated_on = NOW - timedelta(seconds=silent)
    started_on = updated_on - timedelta(seconds=worked)
    return StepState(name, state, Checkpoint(resume, done), owner, started_on, updated_on)


def job(*steps: StepState, state: JobState = JobState.RUNNING) -> JobRecord:
    return JobRecord("migrate-legacy", "1", state, {}, steps, len(PARTS), NOW, NOW, parts=PARTS)


BATCHES = [part("batches 0", 40, 10), part("batches 1", 60, 10)]
VIEWS = [
    part("views 0", 3_000, 100),
    part("views 1", 1_000, 50, owner="lms-1 process 7 aaaaaa", silent=5),
    part("views 2", 500, 30, owner="lms-2 process 9 bbbbbb", silent=2),
]


def test_rate_and_time_left_are_those_of_all_who_are_at_it() -> None:
    """4,500 views in 180 s of work are 25 a second, of two processes 50. A part took 100 s: 50 + 70 + 100 s are left, for
    two."""
    batches, views = progress_of(job(*BATCHES, *VIEWS), NOW)
    assert (batches.total, batches.parts_done, batches.done, batches.rate, batches.left) == (
        2,
        2,
        100,
        None,
        None,
    )
    assert (views.total, views.parts_done, views.held, views.done) == (4, 1, 2, 4_500)
    assert (views.rate, views.left) == (50.0, timedelta(seconds=110))


def test_who_is_silent_for_a_minute_does_not_count() -> None:
    silent = part("views 1", 1_000, 50, owner="lms-1 process 7 aaaaaa", silent=60)
    (views,) = progress_of(job(VIEWS[0], silent), NOW)
    assert (views.held, views.rate, views.left) == (0, None, None)


def test_a_group_that_was_not_begun_is_not_told() -> None:
    assert [group.name for group in progress_of(job(*BATCHES), NOW)] == ["batches"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("gateway.commands.progress.time.monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_is_a_line_a_minute_and_one_at_each_phase_s_end(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    lines: list[list[str]] = []
    with job_progress() as tell:
        for seconds, steps in (
            (0, BATCHES[:1]),
            (30, [*BATCHES, *VIEWS[:2]]),
            (59, VIEWS),
            (31, VIEWS),
            (59, VIEWS),
        ):
            clock[0] += seconds
            tell(job(*BATCHES[: len(steps)], *(step for step in steps if step not in BATCHES)))
            lines.append(capsys.readouterr().err.splitlines())
    assert lines == [
        [],
        ["batches: 2 of 2, 100 rows"],
        [],
        ["views: 1 of 4, 4,500 rows, 50 a second, 2 min left"],
        [],
    ]


def test_on_a_terminal_the_figures_are_beside_the_bars(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    file = io.StringIO()
    monkeypatch.setattr(
        shown, "Console", lambda **_: Console(file=file, force_terminal=True, width=120, color_system=None)
    )
    with job_progress() as tell:
        clock[0] += 120
        tell(job(*BATCHES, *VIEWS))
    last = file.getvalue().splitlines()[-3:-1]
    assert all(text in last[0] for text in ("batches", "2/2", "100 rows")), last
    assert all(text in last[1] for text in ("views", "1/4", "4,500 rows, 50 a second, 2 min left")), last


def stepped(done: int, *, steps: int) -> JobRecord:
    """A job of eight steps that no other process shares, with so many things done in those that were begun."""
    begun = [
        StepState(str(number), JobState.DONE, Checkpoint(None, done if number == 0 else 0))
        for number in range(steps)
    ]
    return JobRecord("reconcile", "1", JobState.RUNNING, {}, begun, 8, NOW, NOW)


def test_a_job_s_rate_and_time_left_are_those_since_the_command_looked_first(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    """It was resumed with 1,000 done in one step. 600 more in 60 s are 10 a second. Two more steps in 120 s leave five, which
    take 300 s."""
    with job_progress() as tell:
        for seconds, done, steps, lines in (
            (0, 1_000, 1, []),
            (60, 1_600, 1, ["reconcile: 1 of 8, 1,600 done, 10 a second"]),
            (60, 2_200, 3, ["reconcile: 3 of 8, 2,200 done, 10 a second, 5 min left"]),
            (10, 2_200, 8, ["reconcile: 8 of 8, 2,200 done"]),
        ):
            clock[0] += seconds
            tell(stepped(done, steps=steps))
            assert capsys.readouterr().err.splitlines() == lines


def test_a_load_tells_its_rate_and_the_time_left(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    """150 of 1,000 in 75 s are 2 a second: 850 take 425 s, which are 7 min."""
    with progress() as tell:
        for seconds, done, lines in (
            (0, 0, []),
            (75, 150, ["learners: 150 of 1000, 2 a second, 7 min left"]),
            (30, 1_000, ["learners: 1000 of 1000"]),
        ):
            clock[0] += seconds
            tell("learners", done, 1_000)
            assert capsys.readouterr().err.splitlines() == lines


WAITING = Waiting("views 07", "lms-1 process 7 aaaaaa", timedelta(seconds=40), timedelta(seconds=20))


def test_who_waits_says_for_whom_and_for_how_long_now_and_then(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    line = "part views 07 is held by lms-1 process 7, silent for 40 s; if it stays silent, it is free in 20 s"
    assert waiting_line(WAITING) == line
    with job_progress() as tell:
        for seconds, told in ((0, [line]), (2, []), (17, []), (1, [line])):
            clock[0] += seconds
            tell.waits(WAITING)
            assert capsys.readouterr().err.splitlines() == told


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3569, "59 min"),
        (3571, "1 h 0 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_a_time_is_told_in_its_own_unit(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text
