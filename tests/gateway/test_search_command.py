"""`cohort search check`: what it prints, and its exit code."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.settings import load_settings
from gateway.wiring import running
from stores.search import IndexWrite
from tests.conftest import COURSE
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
    first, *examples = checked.stdout.splitlines()
    assert first.startswith(
        "1 collections, 3 documents missing, 0 changed, 0 of what is not published, 0 repaired"
    )
    assert sorted(examples) == [
        "  missing course course",
        "  missing course unit-1",
        "  missing course unit-2",
    ]
    repaired = cohort("search", "check", "--repair")
    assert repaired.returncode == 0
    assert "3 documents missing" in repaired.stdout
    assert "3 repaired" in repaired.stdout
    assert cohort("search", "check", "--collection", "course").stdout.startswith("1 collections, 0 documents")
    assert cohort("search", "check", "--rate", "0").returncode == 1
