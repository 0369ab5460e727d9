"""A run of the archive over a few attempts in small portions, so that it can be interrupted between any two steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from ingest.archival import ArchivalOrder
from loaders.session import Shared
from tests.archives import store_old_attempt
from tests.conftest import NOW

ORDER = ArchivalOrder(timedelta(days=90))
LATER = NOW + timedelta(minutes=5)
"""When the lease of a run that died at NOW has run out."""
JANUARY = datetime(2025, 1, 6, 9, tzinfo=UTC)
ATTEMPTS = (
    ("ada", "a1", JANUARY, "batch"),
    ("ben", "b1", JANUARY + timedelta(days=1), "batch"),
    ("cyd", "c1", JANUARY + timedelta(days=2), "batch"),
    ("ada", "a2", JANUARY + timedelta(days=7), "batch"),
    ("ben", "b2", JANUARY, "other"),
    ("cyd", "c2", NOW - timedelta(days=1), "batch"),
)
"""Two parts of three attempts in the first week, for two files; one in another week and context each; one is too young."""


async def store_attempts(shared: Shared) -> None:
    for user, attempt_id, at, context in ATTEMPTS:
        await store_old_attempt(shared, user, attempt_id, at, context=context)


@contextmanager
def in_small_portions() -> Iterator[None]:
    """Files of two attempts, which are looked up, marked and deleted one by one."""
    with pytest.MonkeyPatch.context() as small:
        small.setattr("ingest.archival.spool.MOST_IN_A_FILE", 2)
        small.setattr("ingest.archival.standing.AT_ONCE", 1)
        yield
