"""A load balancer in front of gateways, as a client sees it: it asks which are ready, and sends what could not be sent elsewhere."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

EVERY = 0.2
"""Seconds between two looks whether a gateway is ready."""

log = logging.getLogger(__name__)


class Balancer(httpx.AsyncBaseTransport):
    """In turn to each gateway that is ready. ``sent_again``: requests whose connection broke before an answer came, which went to
    another gateway; every call of Cohort may be sent twice."""

    def __init__(self) -> None:
        self._http = httpx.AsyncHTTPTransport()
        self._gateways: dict[int, bool] = {}
        self._open: Counter[int] = Counter()
        self._turn = 0
        self.answered: Counter[int] = Counter()
        self.sent_again = 0

    def add(self, *ports: int) -> None:
        self._gateways |= dict.fromkeys(ports, False)

    async def ready(self, *ports: int, within: float = 300) -> None:
        """Returns once these gateways are given requests."""
        async with asyncio.timeout(within):
            while not all(self._gateways[port] for port in ports):
                await asyncio.sleep(EVERY)

    async def take_out(self, port: int) -> None:
        """Sends it nothing more, and returns once it has answered all."""
        del self._gateways[port]
        while self._open[port]:
            await asyncio.sleep(EVERY)

    def is_ready(self, port: int) -> bool:
        return self._gateways.get(port, False)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Looks which gateways are ready, within the block."""
        task = asyncio.create_task(self._look())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._http.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        while True:
            ready = [port for port, is_ready in self._gateways.items() if is_ready]
            if not ready:
                await asyncio.sleep(EVERY)
                continue
            self._turn += 1
            port = ready[self._turn % len(ready)]
            try:
                return await self._send(port, request)
            except httpx.ConnectError:
                if port in self._gateways:
                    self._gateways[port] = False
            except httpx.TransportError as error:
                self.sent_again += 1
                log.info("sent again: %s of %s to %d", type(error).__name__, request.url.path, port)

    async def _send(self, port: int, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=port)
        sent = httpx.Request(
            request.method,
            url,
            headers=request.headers,
            content=request.content,
            extensions=request.extensions,
        )
        self._open[port] += 1
        try:
            answer = await self._http.handle_async_request(sent)
            await answer.aread()
        finally:
            self._open[port] -= 1
        self.answered[port] += 1
        return answer

    async def _look(self) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            while True:
                for port in [*self._gateways]:
                    is_ready = await _is_ready(client, port)
                    if port in self._gateways:
                        self._gateways[port] = is_ready
                await asyncio.sleep(EVERY)


async def _is_ready(client: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200
    except httpx.TransportError:
        return False
