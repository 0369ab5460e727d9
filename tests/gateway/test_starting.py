"""Processes that start while a store is away that they can't do without."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from gateway import starting
from gateway.settings import load_settings
from gateway.starting import opened_in_time
from gateway.wiring import Cohort, running
from rules.errors import StoreUnavailable
from stores.backoff import Stopped
from tests.gateway.conftest import KEY, Serving
from tests.gateway.test_admission import headers
from tests.gateway.test_cli import cohort

AWAY = "cassandra://127.0.0.1:1/keyspace"


@pytest.fixture
def rows_come(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Until it is set, the rows are away. Attempts come quickly one after the other."""
    there = asyncio.Event()

    @asynccontextmanager
    async def in_time(*given: Any, **more: Any) -> AsyncIterator[Cohort]:
        if not there.is_set():
            raise StoreUnavailable("the rows are away", detail="host-7:9042")
        async with running(*given, **more) as instance:
            yield instance

    monkeypatch.setattr(starting, "running", in_time)
    monkeypatch.setattr(starting, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(starting, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(starting, "PATIENCE", 0.05)
    return there


async def test_a_server_whose_rows_are_away_is_alive_and_not_ready_until_they_come(
    serving: Serving, rows_come: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_settings(jwt_key=KEY, wait_for_stores=60)
    async with serving(settings) as client, asyncio.timeout(60):
        assert (await client.get("/health/live")).status_code == 200
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "starting"})
        ada = headers(settings, "ada")
        asked = await client.post("/graphql", json={"query": "{ me { userId } }"}, headers=ada)
        assert asked.status_code == 503
        assert asked.json()["errors"][0]["extensions"]["code"] == "STORE_UNAVAILABLE"
        read = await client.get("/v1/group/read/g", headers=ada)
        assert (read.status_code, read.json()["responseCode"]) == (503, "SERVER_ERROR")
        assert "host-7" not in asked.text + read.text
        assert "can't start yet, trying again in" in caplog.text
        rows_come.set()
        while (await client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.02)
        asked = await client.post("/graphql", json={"query": "{ me { userId } }"}, headers=ada)
        assert asked.json() == {"data": {"me": {"userId": "ada"}}}


async def test_a_server_that_is_stopped_while_it_waits_ends(
    serving: Serving, rows_come: asyncio.Event
) -> None:
    async with asyncio.timeout(60), serving(load_settings(jwt_key=KEY, wait_for_stores=60)) as client:
        assert (await client.get("/health/ready")).status_code == 503


async def test_without_the_setting_it_does_not_wait(serving: Serving, rows_come: asyncio.Event) -> None:
    with pytest.raises(StoreUnavailable):
        async with asyncio.timeout(60), serving(load_settings(jwt_key=KEY)):
            pass


@pytest.mark.usefixtures("rows_come")
def test_if_they_never_come_a_server_says_so_in_a_line_and_ends_with_1() -> None:
    done = cohort("serve", COHORT_JWT_KEY=KEY, COHORT_PORT="0", COHORT_WAIT_FOR_STORES="0.3")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "cohort: the rows are away: host-7:9042"


async def test_a_worker_waits_until_they_come_or_it_is_stopped(rows_come: asyncio.Event) -> None:
    settings, stopping = load_settings(jwt_key=KEY, wait_for_stores=60), asyncio.Event()
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        waiting = asyncio.create_task(opened_in_time(stack, settings, worker=False, stopping=stopping))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        stopping.set()
        with pytest.raises(Stopped):
            await waiting


async def test_the_real_rows_that_are_away_are_such_a_case() -> None:
    """Nothing listens on port 1: the driver's error is one that is waited for."""
    settings = load_settings(jwt_key=KEY, rows=AWAY, wait_for_stores=0.01)
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        with pytest.raises(StoreUnavailable):
            await opened_in_time(stack, settings, worker=False, stopping=asyncio.Event())
