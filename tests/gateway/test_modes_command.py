"""`cohort modes`, the mode that an instance starts in, and rules that can't be read."""

import asyncio
import json
import logging
import re
from pathlib import Path

import pytest

from gateway.app import create_app
from gateway.dev_tokens import with_development_key
from gateway.settings import Settings, SettingsError, load_settings
from gateway.wiring import running
from gateway.worker_process import work
from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from ingest.jobs.mode_change import change_mode
from ingest.jobs.records import JobRecord
from loaders.session import Session
from rules.identifiers import ContextType
from rules.tracking import TrackingMode
from rules.viewers import Role, Viewer
from rules.views import ViewChange
from tests.conftest import COURSE, NOW
from tests.gateway.test_cli import cohort

RULES = '{"match": "all", "rules": [{"type": "completedWithin", "unit": "days", "value": 90}, {"type": "always"}]}'


@pytest.fixture
def lived_in(initialised: None) -> None:
    """Strict: Ada is in a batch of COURSE and has completed a."""
    Path("course.json").write_text(json.dumps(COURSE))
    assert cohort("load", "collection", "course.json").returncode == 0

    async def live() -> None:
        async with running(load_settings()) as instance:
            await create_context(
                instance.operator(), NewContext(ContextType.BATCH, "Batch", ("course",), "batch")
            )
            ada = Session(Viewer("ada", frozenset({Role.LEARNER})), instance.shared)
            await enrol(ada, EnrolmentCall("course", "batch"))
            await start_view(ada, ViewCall("a", "course", "batch"))
            await end_view(ada, ViewCall("a", "course", "batch"), ViewChange(NOW))

    asyncio.run(live())


@pytest.mark.usefixtures("initialised")
def test_the_first_start_decides_and_show_says_so() -> None:
    assert cohort("modes", "show").stdout == (
        "rows are kept   nothing is kept yet: the first start decides\nset to          strict\n"
    )
    assert cohort("dead-letters", "list", COHORT_TRACKING_MODE="copy").returncode == 0
    done = cohort("modes", "show", COHORT_TRACKING_MODE="copy", COHORT_TRACKING_RULES=RULES)
    assert done.stdout == (
        "rows are kept   copy\n"
        "set to          copy\n"
        "rules           all of them must hold\n"
        "                completed within 90 days\n"
        "                always\n"
    )
    # There is no data: whoever starts next may be set otherwise.
    assert cohort("dead-letters", "list").returncode == 0
    assert cohort("modes", "show").stdout.startswith("rows are kept   strict\n")


@pytest.mark.usefixtures("lived_in")
def test_another_mode_than_the_rows_are_kept_in_is_refused() -> None:
    for command in (("dead-letters", "list"), ("worker",), ("serve", "--port", "0"), ("dev", "--port", "0")):
        done = cohort(*command, COHORT_TRACKING_MODE="copy", COHORT_JWT_KEY="k" * 32)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            "cohort: the rows are kept in mode strict, tracking_mode is copy: set it to strict, or run "
            "`cohort modes change --to copy`"
        )
    assert cohort("dead-letters", "list").returncode == 0


@pytest.mark.usefixtures("lived_in")
def test_a_change_says_what_it_would_do_and_does_nothing_unasked() -> None:
    done = cohort("modes", "change", "--to", "carry-forward-full")
    assert done.returncode == 1
    assert done.stdout == (
        "from strict to carry-forward-full:\n"
        "         1 learners have views or attempts\n"
        "         1 views to write; none is deleted\n"
        "         0 attempts to write; none is deleted\n"
        "         1 enrolments for the workers to recompute\n"
        "What learners see differently afterwards:\n"
        "  - A content completed anywhere is completed in every collection and alone, also where it was not before.\n"
        "  - Where places showed different views of a content, they all show the one that was furthest.\n"
    )
    assert done.stderr == "cohort: nobody is there to be asked: say --yes to do it\n"
    assert cohort("jobs", "list").stdout == ""


@pytest.mark.usefixtures("lived_in")
def test_a_change_is_done_when_it_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.commands.modes._is_somebody_there", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda question: "stopped" not in question)
    assert cohort("modes", "change", "--to", "copy").returncode == 1
    assert cohort("jobs", "list").stdout == ""
    monkeypatch.setattr("typer.confirm", lambda question: "stopped" in question)
    assert cohort("modes", "change", "--to", "copy").returncode == 0
    assert re.match(r"mode-change +\S+ +done ", cohort("jobs", "list", COHORT_TRACKING_MODE="copy").stdout)


@pytest.mark.usefixtures("lived_in")
def test_after_a_change_the_instance_starts_in_the_new_mode_and_no_longer_in_the_old() -> None:
    done = cohort("modes", "change", "--to", "carry-forward-full", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(
        "done: 1 views and 0 attempts written, 1 enrolments sent to the workers\n"
        "set COHORT_TRACKING_MODE=carry-forward-full before you start servers and workers: they are set to strict\n"
    )
    assert cohort("dead-letters", "list").returncode == 1
    full = {"COHORT_TRACKING_MODE": "carry-forward-full"}
    assert re.match(r"mode-change +\S+ +done ", cohort("jobs", "list", **full).stdout)
    again = cohort("modes", "change", "--to", "carry-forward-full", "--yes", **full)
    assert again.stdout.startswith(
        "the rows are kept in mode carry-forward-full; what was written in strict since comes over\n"
    )
    assert again.stdout.endswith("done: 0 views and 0 attempts written, 1 enrolments sent to the workers\n")
    back = cohort("modes", "change", "--to", "strict", "--yes", **full)
    assert "\ndone: 0 views and 0 attempts written, 1 enrolments" in back.stdout, (
        "the rows of before are there still"
    )
    assert cohort("dead-letters", "list").returncode == 0


@pytest.mark.usefixtures("lived_in")
async def test_a_change_that_was_cut_off_lets_nobody_start_before_it_is_finished() -> None:
    def cut_off(job: JobRecord) -> None:
        if job.steps_done == 3:
            raise asyncio.CancelledError

    async with running(load_settings()) as instance:
        with pytest.raises(asyncio.CancelledError):
            await change_mode(instance.shared, TrackingMode.STRICT, TrackingMode.COPY, on_progress=cut_off)
    for mode in ("strict", "copy", "move"):
        with pytest.raises(SettingsError, match="`cohort modes change --to copy` goes on with it"):
            async with running(load_settings(tracking_mode=mode)):
                pass

    def commands() -> None:
        assert cohort("modes", "show").stdout.splitlines()[0] == (
            "rows are kept   strict, going over to copy: `cohort modes change --to copy` goes on with it"
        )
        assert "cohort: a change from strict to copy is under way; finish it first" in (
            cohort("modes", "change", "--to", "move", "--yes").stderr
        )
        done = cohort("modes", "change", "--to", "copy", "--yes")
        assert done.stdout.startswith("a change from strict to copy was begun and goes on\n")
        assert "\ndone: 0 views and 0 attempts written, 1 enrolments" in done.stdout
        assert cohort("jobs", "list", COHORT_TRACKING_MODE="copy").stdout.count("\n") == 1

    await asyncio.to_thread(commands)


@pytest.mark.usefixtures("initialised")
def test_a_change_to_the_mode_that_there_is_has_nothing_to_do() -> None:
    done = cohort("modes", "change", "--to", "move")
    assert (done.returncode, done.stdout) == (0, "the rows are kept in mode move: nothing to do\n")
    assert cohort("modes", "change", "--to", "sideways").returncode == 2


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ("", "no rules are declared"),
        (
            '{"rules": [{"type": "completedWithin", "unit": "weeks", "value": 1}]}',
            "rules[0]: unit must be days or months",
        ),
    ],
)
@pytest.mark.usefixtures("initialised")
async def test_rules_that_cannot_be_read_carry_nothing_and_say_so_at_the_start(
    rules: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of `cohort serve` and `cohort dev`, which make the application, and of `cohort worker`."""
    settings = with_development_key(load_settings(tracking_mode="copy", tracking_rules=rules))
    told = f"tracking_rules: {problem}; in mode copy nothing is carried over"
    for start in (lambda: asyncio.to_thread(create_app, settings), lambda: _worked(settings)):
        caplog.clear()
        await start()
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert warnings == [told]
    set_so = {"COHORT_TRACKING_MODE": "copy", "COHORT_TRACKING_RULES": rules}
    shown = await asyncio.to_thread(cohort, "modes", "show", **set_so)
    assert f"rules           none: nothing is carried over ({problem})\n" in shown.stdout


async def _worked(settings: Settings) -> None:
    working = asyncio.create_task(work(settings))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


@pytest.mark.usefixtures("initialised")
def test_modes_without_rules_are_not_told_of_any(caplog: pytest.LogCaptureFixture) -> None:
    create_app(with_development_key(load_settings()))
    assert caplog.records == []
    shown = cohort("modes", "show", COHORT_TRACKING_RULES="{").stdout
    assert "rules" not in shown
