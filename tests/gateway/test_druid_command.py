"""`cohort druid`: what it prints, and where it can't."""

import asyncio
import json
import secrets
from collections.abc import Iterator

import pytest

from stores.events_kafka import KafkaEvents
from stores.topics import ACTIVE_DAYS, STATES, TOTALS
from tests.conftest import DRUID, KAFKA, drop_data_sources, drop_topics
from tests.gateway.test_cli import cohort

DATA_SOURCES = ("activity-state-2", "activity-totals-2", "activity-day-1")


def test_an_instance_without_druid_is_told_what_to_set() -> None:
    for command in ("status", "apply", "compact"):
        done = cohort("druid", command, COHORT_GROUPS="duckdb:///groups.duckdb")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert "set COHORT_GROUPS to druid://BROKER:PORT" in done.stderr


def test_druid_away_is_a_line() -> None:
    done = cohort("druid", "status", COHORT_GROUPS="druid://127.0.0.1:1?kafka=127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "cohort: the groups store can't be reached: Druid at 127.0.0.1:1: All connection attempts failed\n"
    )


@pytest.fixture
def prefix() -> Iterator[str]:
    """Of an instance whose topics are there; what it has in Druid goes in the end."""
    prefix = f"test-{secrets.token_hex(5)}"

    async def topics() -> None:
        events = await KafkaEvents.open(f"kafka://{KAFKA}", prefix)
        await events.init([STATES, TOTALS, ACTIVE_DAYS])
        await events.close()

    async def drop() -> None:
        await drop_data_sources(prefix)
        await drop_topics(prefix)

    asyncio.run(topics())
    yield prefix
    asyncio.run(drop())


@pytest.mark.stack
def test_apply_creates_what_status_then_shows(prefix: str) -> None:
    environment = {"COHORT_GROUPS": DRUID, "COHORT_EVENTS": f"kafka://{KAFKA}", "COHORT_PREFIX": prefix}
    names = [f"{prefix}.{name}" for name in DATA_SOURCES]

    before = json.loads(cohort("druid", "status", "--json", **environment).stdout)
    assert [(source["name"], source["state"]) for source in before] == [(name, "absent") for name in names]
    missing = cohort("druid", "status", **environment).stdout
    assert missing.count("differs: supervisor: all of it is not there") == 3

    done = cohort("druid", "apply", **environment)
    assert done.stdout.splitlines() == [
        f"{what} of {name}: created" for name in names for what in ("supervisor", "compaction")
    ]
    assert cohort("druid", "apply", **environment).stdout == "nothing to do: Druid has what the specs say\n"

    after = json.loads(cohort("druid", "status", "--json", **environment).stdout)
    assert [(source["healthy"], source["differences"]) for source in after] == [(True, [])] * 3
    shown = cohort("druid", "status", **environment).stdout
    assert "0 segments, 0 rows, 0.0 MB; 0 unavailable, 0 to be compacted" in shown
    assert "differs" not in shown
    assert cohort("druid", "compact", **environment).stdout == "nothing to do: all segments are compacted\n"
