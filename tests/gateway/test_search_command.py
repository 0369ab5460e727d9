"""`cohort search check`: what it prints, and its exit code."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.settings import load_settings
from gateway.wiring import running
from ingest.commands.learners import profile_write
from rules.learners import Learner
from stores.search import IndexWrite
from tests.conftest import COURSE, NOW
from tests.gateway.test_cli import cohort


@pytest.fixture
def lost() -> None:
    """COURSE is published, and the index has nothing of it."""
    assert "search check --repair" in cohort("init").stdout
    Path("course.json").write_text(json.dumps(COURSE))
    assert cohort("load", "collection", "course.json").returncode == 0

    async def lose() -> None:
        async with running(load_settings()) as instance:
            search = instance.stores.search
            found = await search.documents("course")
            await search.write([IndexWrite(one.document, one.revision, delete=True) for one in found])

    asyncio.run(lose())


def test_it_exits_with_1_while_differences_remain(lost: None) -> None:
    checked = cohort("search", "check")
    assert checked.returncode == 1
    first, *examples, learners = checked.stdout.splitlines()
    assert first.startswith(
        "1 collections, 3 documents missing, 0 changed, 0 of what is not published, 0 repaired"
    )
    assert sorted(examples) == [
        "  missing course course",
        "  missing course unit-1",
        "  missing course unit-2",
    ]
    assert learners == "0 learners, 0 missing, 0 changed, 0 without a profile, 0 repaired"
    repaired = cohort("search", "check", "--repair")
    assert repaired.returncode == 0
    assert "3 documents missing" in repaired.stdout
    assert "3 repaired" in repaired.stdout
    assert cohort("search", "check", "--collection", "course").stdout.startswith("1 collections, 0 documents")
    assert cohort("search", "check", "--rate", "0").returncode == 1


def test_learners_are_compared_and_repaired_too() -> None:
    cohort("init")

    async def write() -> None:
        async with running(load_settings()) as instance:
            await instance.stores.rows.write(profile_write(Learner("ann", "Ann", {}, NOW)))

    asyncio.run(write())
    checked = cohort("search", "check")
    assert checked.returncode == 1
    assert checked.stdout.splitlines()[-1].startswith(
        "1 learners, 1 missing, 0 changed, 0 without a profile, 0"
    )
    repaired = cohort("search", "check", "--repair")
    assert (repaired.returncode, repaired.stdout.splitlines()[-1][-10:]) == (0, "1 repaired")
    assert cohort("search", "check").returncode == 0
    assert "learners" not in cohort("search", "check", "--collection", "course").stdout
