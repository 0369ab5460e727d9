"""`cohort doctor` says what is wrong with an instance, and what to do about it."""

from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.commands.doctor import Finding, Health, _event_copies, _row_copies, findings
from gateway.settings import Settings, load_settings
from gateway.wiring import opened
from ingest.modes.agreement import agree
from loaders.session import utc_now
from rules.tracking import TrackingMode
from stores.cassandra_schema import Replication as RowReplication
from stores.events import Message
from stores.events_kafka import KafkaEvents
from stores.kafka_topics import Replication as EventReplication
from stores.rows import Write
from stores.rows_cassandra import CassandraRows
from stores.rows_sqlite import SqliteRows
from stores.tables import JOBS
from stores.topics import DEAD_LETTERS
from tests.gateway.conftest import KEY, copy_data


async def found(settings: Settings) -> Mapping[str, Finding]:
    return {finding.subject: finding async for finding in findings(settings)}


def health(of: Mapping[str, Finding]) -> dict[str, str]:
    return {
        subject: finding.health.value for subject, finding in of.items() if finding.health is not Health.WELL
    }


async def test_a_new_instance_is_told_to_be_initialised(settings: Settings) -> None:
    told = await found(settings)
    assert (told["schema"].health, told["schema"].remedy) == (Health.BAD, "cohort init")
    assert "lag" not in told, "nothing is said of what can't be there yet"


async def test_all_is_well_with_an_instance_but_for_the_first_aggregation(settings: Settings) -> None:
    await copy_data(settings)
    told = await found(settings)
    assert health(told) == {"aggregation": "warn"}
    assert {"rows", "events", "cache", "groups", "blobs", "search", "clocks", "lag", "disk"} <= told.keys()


async def test_what_is_wrong_is_told_with_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await copy_data(settings)
    async with opened(settings) as stores:
        await agree(stores.rows, TrackingMode.MOVE, utc_now())
        letter = Message("ann", b"{", {"place": "triggers:0:1", "topic": "triggers", "reason": "not JSON"})
        await stores.events.send(DEAD_LETTERS.name, letter)
        failed = {"state": "failed", "arguments": "{}", "started_on": utc_now(), "updated_on": utc_now()}
        await stores.rows.write(Write(JOBS, ("reconcile", "j1", ""), failed))

    async def fast(_rows: SqliteRows) -> int:
        return round((utc_now() + timedelta(minutes=2)).timestamp() * 1000)

    monkeypatch.setattr(SqliteRows, "clock", fast)
    told = await found(settings)
    assert health(told) == {
        "tracking mode": "FAIL",
        "clocks": "FAIL",
        "dead letters": "warn",
        "jobs": "warn",
        "aggregation": "warn",
    }
    assert "set tracking_mode to move" in told["tracking mode"].remedy
    assert "NTP" in told["clocks"].remedy
    assert "cohort dead-letters list" in told["dead letters"].remedy
    assert "reconcile j1 failed" in told["jobs"].told


async def test_each_store_that_is_away_is_named_and_the_rest_is_looked_at(settings: Settings) -> None:
    await copy_data(settings)
    urls = load_settings(jwt_key=KEY, cache="redis://127.0.0.1:1", search="opensearch://127.0.0.1:1")
    told = await found(urls)
    assert health(told) == {"cache": "warn", "search": "warn", "aggregation": "warn"}
    assert told["cache"].remedy == "start it, or set COHORT_CACHE"
    assert "schema" in told
    without_rows = await found(
        urls.model_copy(update={"rows": "cassandra://user:secret@127.0.0.1:1/keyspace"})
    )
    assert without_rows["rows"].health is Health.BAD
    assert "schema" not in without_rows
    assert "secret" not in str(without_rows)


async def test_development_beside_servers_and_no_key_are_told(settings: Settings) -> None:
    told = await found(settings.model_copy(update={"dev": True, "rows": "cassandra://127.0.0.1:1/k"}))
    assert (told["dev"].health, told["dev"].remedy) == (Health.BAD, "unset COHORT_DEV")
    assert (await found(load_settings()))["jwt_key"].health is Health.POOR


@pytest.mark.parametrize(
    ("copies", "nodes", "away", "expected"),
    [
        (1, 1, [], (Health.WELL, "1 on 1 nodes")),
        (3, 3, [], (Health.WELL, "3 on 3 nodes")),
        (3, 3, ["h2:9042"], (Health.POOR, "3 on 3 nodes; away: h2:9042")),
        (1, 3, [], (Health.POOR, "1 on 3 nodes: what one node has is out of reach while that is away")),
        (3, 2, [], (Health.BAD, "3 on 2 nodes")),
    ],
)
async def test_it_says_whether_rows_outlive_a_node(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    copies: int,
    nodes: int,
    away: list[str],
    expected: tuple[Health, str],
) -> None:
    async def replication(_self: CassandraRows) -> RowReplication:
        return RowReplication(copies, nodes, away)

    monkeypatch.setattr(CassandraRows, "replication", replication)
    stores: Any = SimpleNamespace(rows=object.__new__(CassandraRows))
    finding = await _row_copies(settings, stores)
    assert (finding.health, finding.told) == expected


@pytest.mark.parametrize(
    ("replication", "expected"),
    [
        (EventReplication(1, 1, 0, (1, 1)), (Health.WELL, "1 on 1 brokers, 1 needed")),
        (EventReplication(3, 3, 0, (2, 2)), (Health.WELL, "3 on 3 brokers, 2 needed")),
        (
            EventReplication(2, 3, 41, (2, 2)),
            (Health.POOR, "3 on 2 brokers, 2 needed; in 41 partitions a copy is behind or away"),
        ),
        (
            EventReplication(3, 2, 0, (1, 1)),
            (Health.POOR, "2 on 3 brokers, 1 needed: what one broker has is out of reach while that is away"),
        ),
        (
            EventReplication(3, 3, 0, (1, 2)),
            (Health.POOR, "3 on 3 brokers, 1 needed: what one broker alone has acknowledged is lost with it"),
        ),
        (
            EventReplication(3, 3, 0, (2, 3)),
            (Health.POOR, "3 on 3 brokers, 2 needed: while one broker is away nothing can be sent"),
        ),
        (
            EventReplication(1, 1, 0, (1, 2)),
            (Health.BAD, "1 on 1 brokers, 1 needed, and 2 for a topic: nothing can be sent to it"),
        ),
    ],
)
async def test_it_says_whether_events_outlive_a_broker(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    replication: EventReplication,
    expected: tuple[Health, str],
) -> None:
    async def found(_self: KafkaEvents, _topics: object) -> EventReplication:
        return replication

    monkeypatch.setattr(KafkaEvents, "replication", found)
    stores: Any = SimpleNamespace(events=object.__new__(KafkaEvents))
    finding = await _event_copies(settings, stores)
    assert (finding.health, finding.told) == expected
