"""Processes of `cohort serve` and `cohort worker` that are told to stop, in the middle of work."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway.settings import Settings
from gateway.stopping import AGAIN
from gateway.wiring import running
from ingest.calls.placing import ViewCall
from ingest.commands.views import start_view, update_view
from loaders.session import Session
from rules.aggregates import activity_type
from rules.viewers import Role, Viewer
from rules.views import ViewChange
from stores.tables import AGGREGATES
from stores.topics import TRIGGERS, WORKER_GROUP
from tests.conftest import Instance
from tests.gateway.conftest import KEY, copy_data
from tests.gateway.test_admission import headers

pytestmark = pytest.mark.long

PATIENCE = 60.0
START = 'mutation { startView(input: {contentId: "a"}) { errors { code } } }'


class Process:
    """`cohort` with these arguments and settings; ``log`` has what it has written."""

    def __init__(self, *arguments: str, **changed: object) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {
            **os.environ,
            "COHORT_JWT_KEY": KEY,
            "COHORT_PORT": str(self.port),
            **{f"COHORT_{name.upper()}": str(value) for name, value in changed.items()},
        }
        self.log = Path(f"log-{self.port}")
        with self.log.open("w") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", *arguments], stderr=log, env=environment
            )
        self.url = f"http://127.0.0.1:{self.port}"

    async def told(self, text: str) -> None:
        """Returns once the log has the text."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.log.read_text():
                assert self.popen.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)

    async def answers(self, path: str, status: int) -> httpx.Response:
        """Returns once this path is answered with this status."""
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient(base_url=self.url) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (answer := await client.get(path)).status_code == status:
                        return answer
                assert self.popen.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)

    async def ended(self, within: float = PATIENCE) -> int:
        """Its exit code."""
        return await asyncio.to_thread(self.popen.wait, within)

    @property
    def children(self) -> list[int]:
        """Processes that it has started, which serve."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                status = folder.joinpath("stat").read_text().rpartition(")")[2].split()
                command = folder.joinpath("cmdline").read_bytes()
                if int(status[1]) == self.popen.pid and b"spawn_main" in command and status[0] != "Z":
                    found.append(int(folder.name))
        return sorted(found)


@asynccontextmanager
async def process(*arguments: str, **changed: object) -> AsyncIterator[Process]:
    one = Process(*arguments, **changed)
    try:
        yield one
    finally:
        if one.popen.poll() is None:
            for child in one.children:
                os.kill(child, signal.SIGKILL)
            one.popen.kill()
        one.popen.wait()


class Balancer:
    """What a load balancer does: it sends requests here until /health/ready is no longer 200."""

    def __init__(self, process: Process, settings: Settings) -> None:
        self._url = process.url
        self._settings = settings
        self.acknowledged: list[str] = []
        self.failures: list[str] = []
        self.told_to_close = 0
        self.is_ready = True

    async def run(self, clients: int = 4) -> None:
        await asyncio.gather(self._watch(), *(self._send(f"learner-{number}") for number in range(clients)))

    async def _watch(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=PATIENCE) as client:
            while (answer := await client.get("/health/ready")).status_code == 200:
                await asyncio.sleep(0.02)
        assert answer.json() == {"status": "stopping"}
        await asyncio.sleep(0.1)
        self.is_ready = False

    async def _send(self, name: str) -> None:
        count = 0
        async with httpx.AsyncClient(base_url=self._url, timeout=PATIENCE) as client:
            while self.is_ready:
                user, count = f"{name}-{count}", count + 1
                try:
                    answer = await client.post(
                        "/graphql", json={"query": START}, headers=headers(self._settings, user)
                    )
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                if answer.json() == {"data": {"startView": {"errors": []}}}:
                    self.acknowledged.append(user)
                else:
                    self.failures.append(answer.text)
                self.told_to_close += answer.headers.get("connection") == "close"


def half_a_body(port: int, settings: Settings) -> socket.socket:
    """A request whose body is not whole yet; ``}`` is left."""
    token = headers(settings, "late")["Authorization"]
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Type: application/json\r\n"
    )
    body = b'{"query": "{ me { userId } }"}'
    connected = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connected.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1])
    return connected


@pytest.fixture
async def course(settings: Settings) -> Settings:
    """Settings of a folder in which COURSE is."""
    await copy_data(settings, course=True)
    return settings


async def test_no_request_fails_while_a_server_stops_and_nothing_acknowledged_is_lost(
    course: Settings,
) -> None:
    """Four learners' clients go on until the balancer has seen that the server is not ready. One request is under way all that
    time: its body is whole only when nobody can connect any more. A connection that is idle does not hold the server up."""
    async with process("serve", drain=3) as server:
        await server.answers("/health/ready", 200)
        balancer = Balancer(server, course)
        balancing = asyncio.create_task(balancer.run())
        idle = socket.create_connection(("127.0.0.1", server.port))
        late = half_a_body(server.port, course)
        async with asyncio.timeout(PATIENCE):
            while len(balancer.acknowledged) < 20:
                await asyncio.sleep(0.05)
        server.popen.send_signal(signal.SIGTERM)
        await balancing
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", server.port)).close()
                except ConnectionRefusedError:
                    break
                await asyncio.sleep(0.05)
        await asyncio.to_thread(late.sendall, b"}")
        answered = await asyncio.to_thread(late.makefile("rb").read)
        assert answered.startswith(b"HTTP/1.1 200 OK"), answered
        assert b'{"data":{"me":{"userId":"late"}}}' in answered
        assert await server.ended() == 0, server.log.read_text()
        for one in (idle, late):
            one.close()
    assert balancer.failures == []
    assert balancer.told_to_close >= 4
    async with running(course) as instance:
        waiting = await instance.stores.events.lag(WORKER_GROUP, [TRIGGERS.name])
        assert sum(waiting.values()) >= len(balancer.acknowledged)
        for user in balancer.acknowledged:
            session = Session(Viewer(user, frozenset({Role.LEARNER})), instance.shared)
            await update_view(
                session, ViewCall("a"), ViewChange(instance.shared.now(), progress=1)
            )  # raises if it was not started


async def test_a_second_signal_ends_a_server_at_once(course: Settings) -> None:
    async with process("serve", drain=0) as server:
        await server.answers("/health/ready", 200)
        late = half_a_body(server.port, course)
        await asyncio.sleep(0.2)
        server.popen.send_signal(signal.SIGTERM)
        # One that comes at the same time, as from a supervisor of a group, is none. It is not sent by a machine that is late.
        begun = time.monotonic()
        await asyncio.sleep(0.1)
        assert server.popen.poll() is None
        if time.monotonic() - begun < AGAIN / 2:
            server.popen.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            assert server.popen.poll() is None
        async with asyncio.timeout(PATIENCE):
            while server.popen.poll() is None:  # it may have noticed the first one late
                server.popen.send_signal(signal.SIGTERM)
                await asyncio.sleep(AGAIN + 0.1)
        assert await server.ended() == -signal.SIGTERM
        late.close()


async def test_of_several_processes_one_that_dies_is_replaced_and_a_signal_ends_all(course: Settings) -> None:
    """No cache and no Druid is there: they can be done without."""
    away = {
        "cache": "redis://127.0.0.1:1/0",
        "groups": "druid://127.0.0.1:1?coordinator=127.0.0.1:1&kafka=127.0.0.1:1",
    }
    async with process("serve", "--workers", "2", drain=3, **away) as server:
        await server.answers("/health/ready", 200)
        async with asyncio.timeout(PATIENCE):
            while len(before := server.children) < 2:
                await asyncio.sleep(0.05)
        os.kill(before[0], signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            while len(server.children) < 2 or before[0] in server.children:
                await asyncio.sleep(0.05)
        await server.answers("/health/ready", 200)
        server.popen.send_signal(signal.SIGTERM)
        await server.answers("/health/ready", 503)
        assert await server.ended() == 0, server.log.read_text()
        assert server.children == []


async def test_a_worker_that_stops_has_committed_all_that_it_has_done(course: Settings) -> None:
    """400 learners have begun a content. The worker takes 1 at a time and is stopped on its way; should it be at its end by then,
    400 more begin. What is computed then is what is committed, and another worker does the rest."""
    users: list[str] = []

    async def lag() -> int:
        return sum((await instance.stores.events.lag(WORKER_GROUP, [TRIGGERS.name])).values())

    async def computed() -> int:
        rows = instance.stores.rows
        found = await asyncio.gather(
            *(
                rows.partition(AGGREGATES, (activity_type("course", "course"), "course", user))
                for user in users
            )
        )
        return sum(bool(rows) for rows in found)

    async with running(course) as instance:
        left = 0
        while not left:
            new = [f"learner-{len(users) + count}" for count in range(400)]
            users += new
            for user in new:
                session = Session(Viewer(user, frozenset({Role.LEARNER})), instance.shared)
                await start_view(session, ViewCall("a", "course", "batch"))
            await instance.shared.background.settled()
            everything = await lag()
            async with process("worker", worker_batch=1) as worker:
                async with asyncio.timeout(PATIENCE):
                    while await lag() == everything:
                        await asyncio.sleep(0.01)
                worker.popen.send_signal(signal.SIGTERM)
                assert await worker.ended() == 0, worker.log.read_text()
            left = await lag()
        assert left < everything
        assert await computed() == len(users) - left
        here = Instance({}, course.data)
        here.shared = instance.shared
        await here.drain(within=PATIENCE)
        assert await computed() == len(users)
