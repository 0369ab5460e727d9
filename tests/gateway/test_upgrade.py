"""What docs/upgrade.md promises: the version before and this one work side by side on the real servers while learners work, and
one may go back."""

import asyncio
import logging
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.identity import make_token
from gateway.settings import load_settings
from ingest.workers.dead_letters import pending
from rules.viewers import Role
from tests.conftest import (
    COURSE,
    Instance,
    drop_data_sources,
    drop_search_index,
    drop_topics,
    operator,
    real_urls,
)
from tests.gateway.balancer import Balancer
from tests.gateway.class_at_work import ENROLLED_BEFORE, ClassAtWork
from tests.gateway.conftest import KEY
from tests.gateway.processes import Shell, Supervised
from tests.gateway.test_backup import is_there
from tests.graph.test_figures_survive import recounted, told
from tests.stack.small import free_port

FORMER = "7f75e37c"
"""The last commit of the version before: schema 8."""
FORMER_SCHEMA = 8
ENDS_IN_PEACE = (0, -signal.SIGTERM)
"""Exit codes of the former version, which ends by the signal once it is done."""
ROOT = Path(__file__).parent.parent.parent
CLIENTS = 3
OPEN = """mutation { createContext(input: {contextId: "batch", type: BATCH, name: "Batch", collectionIds: ["course"]}) { errors { code message } } }"""

log = logging.getLogger(__name__)
"""Tells what was measured: ``pytest --log-cli-level=INFO``."""


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The former version with an environment of its own. It needs the history of the repository, and the network."""
    folder = tmp_path_factory.mktemp("former")
    subprocess.run(
        f"git -C {ROOT} archive {FORMER} | tar -x -C {folder} && cd {folder} && . scripts/environment && install_environment",
        shell=True,
        check=True,
        executable="/bin/bash",
    )
    return folder


@asynccontextmanager
async def servers(tmp_path: Path) -> AsyncIterator[tuple[Instance, dict[str, str]]]:
    """An instance's place on the real servers, and the settings of its processes; nothing of it is left."""
    instance = Instance(real_urls(), tmp_path / "data")
    urls = instance.urls
    keyspace = urls["rows"].rpartition("/")[2]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(
            asyncio.to_thread,
            lambda: operator(urls["rows"].removesuffix(f"/{keyspace}")).execute(
                f"DROP KEYSPACE IF EXISTS {keyspace}", timeout=60
            ),
        )
        stack.push_async_callback(drop_topics, urls["prefix"])
        stack.push_async_callback(drop_data_sources, urls["prefix"])
        stack.push_async_callback(drop_search_index, urls["prefix"])
        settings = {f"COHORT_{name.upper()}": url for name, url in urls.items()}
        yield (
            instance,
            {**settings, "COHORT_JWT_KEY": KEY, "COHORT_AGGREGATE_EVERY": "5"},
        )


class Fleet:
    """Gateways and workers of two versions, and the clients in front of them."""

    def __init__(self, balancer: Balancer, clients: ClassAtWork) -> None:
        self.balancer, self.clients = balancer, clients
        self.running: list[Supervised] = []
        self._first = 0

    async def gateway(self, shell: Shell) -> tuple[int, Supervised]:
        """Starts one, and returns once it gets requests."""
        port = free_port()
        started = Supervised(shell, "serve", "--port", str(port))
        self.running.append(started)
        self.balancer.add(port)
        await self.balancer.ready(port)
        return port, started

    def worker(self, shell: Shell) -> Supervised:
        started = Supervised(shell, "worker")
        self.running.append(started)
        return started

    async def goes_on(self, phase: str, more: int = 4, within: float = 120) -> None:
        """Returns once so many more learners have finished. No call was refused meanwhile."""
        wanted = len(self.clients.finished) + more
        async with asyncio.timeout(within):
            while len(self.clients.finished) < wanted:
                self.clients.check()
                await asyncio.sleep(0.05)
        sent = self.clients.sent[self._first :]
        self._first = len(self.clients.sent)
        refused = [one for one in sent if one.code and one.code != ENROLLED_BEFORE]
        longest = max(one.took for one in sent)
        log.info(
            "%-32s %4d calls, %d refused, %d sent to another gateway, the longest %.1f s",
            *(phase, len(sent), len(refused), self.balancer.sent_again, longest),
        )
        assert refused == []

    async def stop_all(self) -> None:
        await asyncio.gather(*(command.kill() for command in self.running))


@pytest.mark.drill
@pytest.mark.timeout(1200)
async def test_two_versions_work_side_by_side_and_nothing_is_refused_or_lost(
    former: Path, tmp_path: Path
) -> None:
    async with servers(tmp_path) as (instance, settings), AsyncExitStack() as stack:
        folders = [tmp_path / name for name in ("old", "new")]
        for folder in folders:
            folder.mkdir()
        old = Shell(settings, folders[0], str(former / ".venv/bin/python"), former)
        new = Shell({**settings, "COHORT_DRAIN": "2"}, folders[1])
        balancer = Balancer()
        await stack.enter_async_context(balancer.looking())
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=balancer, base_url="http://cohort", timeout=60)
        )
        fleet = Fleet(balancer, ClassAtWork(client, load_settings(jwt_key=KEY)))
        stack.push_async_callback(fleet.stop_all)
        first = await _begin(old, fleet, client)
        async with fleet.clients.by(CLIENTS):
            await _over_and_back(old, new, fleet, first, instance.urls["rows"])
        await _is_all_there(new, instance, fleet)


async def _begin(old: Shell, fleet: Fleet, client: httpx.AsyncClient) -> tuple[int, Supervised]:
    """The former version makes the instance, with a course that is open. Gives its first gateway."""
    await old.run("init")
    (old.folder / "course.json").write_bytes(orjson.dumps(COURSE))
    await old.run("load", "hierarchy", "course.json")
    first = await fleet.gateway(old)
    token = make_token(load_settings(jwt_key=KEY), "service", (Role.SERVICE,), timedelta(hours=1))
    answer: Any = (
        await client.post("/graphql", json={"query": OPEN}, headers={"Authorization": f"Bearer {token}"})
    ).json()
    assert answer == {"data": {"createContext": {"errors": []}}}
    return first


async def _over_and_back(
    old: Shell, new: Shell, fleet: Fleet, first_old: tuple[int, Supervised], rows: str
) -> None:
    old_worker = fleet.worker(old)
    old_gateways = [first_old, await fleet.gateway(old)]
    await fleet.goes_on("the former version alone")
    assert "created table trusted_document" in await new.run("init")
    await fleet.goes_on("after `cohort init` of this one")
    refused = await old.run("serve", "--port", str(free_port()), code=1)
    assert "run a newer Cohort" in refused, "it runs on, and does not start any more"

    new_gateways = await asyncio.gather(fleet.gateway(new), fleet.gateway(new))
    new_worker = fleet.worker(new)
    await fleet.goes_on("both, side by side", 8)
    assert all(fleet.balancer.answered[port] for port, _ in (*old_gateways, *new_gateways))
    assert await old_worker.stop() in ENDS_IN_PEACE
    await fleet.goes_on("the former worker has left", 8)
    for port, gateway in old_gateways:  # it has no `drain`: so the balancer is told first
        await fleet.balancer.take_out(port)
        assert await gateway.stop() in ENDS_IN_PEACE
    await fleet.goes_on("this version alone")

    _lower_schema_version(rows)
    back_worker = fleet.worker(old)
    port_back, _ = await fleet.gateway(old)
    await fleet.goes_on("the former version is back")
    assert await new_worker.stop() == 0
    for port, gateway in new_gateways:  # by `drain`: nobody but the process is told
        assert await gateway.stop() == 0
        assert not fleet.balancer.is_ready(port)
    await fleet.goes_on("the former version alone again", 8)
    assert await back_worker.stop() in ENDS_IN_PEACE
    assert fleet.balancer.answered[port_back]
    await new.run("init")


def _lower_schema_version(rows: str) -> None:
    """As docs/upgrade.md says, for the way back."""
    server, _, keyspace = rows.rpartition("/")
    operator(server).execute(
        f"DELETE FROM {keyspace}.schema_version WHERE component = 'tables' AND version > {FORMER_SCHEMA}"
    )


async def _is_all_there(new: Shell, instance: Instance, fleet: Fleet) -> None:
    """Every acknowledged call is in the rows, and the figures are what a recount of the rows says."""
    async with new.running("worker"), instance.opened() as instance.shared, asyncio.timeout(180):
        while await instance.submitted() or await instance.lag():
            await asyncio.sleep(0.2)
    reconciled = await new.run("reconcile")
    assert " 0 drifted, 0 failed" in reconciled, reconciled
    async with instance.opened() as instance.shared:
        await is_there(instance, fleet.clients.finished)
        assert [letter async for letter in pending(instance.stores)] == []
        await instance.arrived()
        assert await told(instance) == await recounted(instance)
    log.info("%d learners, and all of theirs is there", len(fleet.clients.finished))
