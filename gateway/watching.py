"""What a process does so that operators see it: it serves its metrics, sends its traces, and reads the figures of the instance.

Metrics have a port of their own, which needs no token and must not be reachable from outside. Of several processes of
`cohort serve` each has one, from `metrics_port` on: Prometheus adds up what they count. The process on the first port reads
the figures of the instance, too.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gateway.instance_figures import follow
from gateway.settings import PROCESSES, Settings, SettingsError
from telemetry import traces
from telemetry.metrics import LOOP_LAG, exposed, tell_build
from telemetry.serving import MetricsServer
from telemetry.sources import Source, counted

if TYPE_CHECKING:
    from loaders.session import Shared

log = logging.getLogger(__name__)

BEAT = 0.5
"""Seconds between two looks whether the event loop is late."""
AGAIN = 2.0
"""Seconds until a taken port is tried again: who had it before may be about to end."""


@asynccontextmanager
async def watched(settings: Settings, shared: "Shared") -> AsyncIterator[None]:
    """Within, the process is seen as the settings say. SettingsError if traces are wanted and their packages are not there."""
    program = version("cohort")
    tell_build(program)
    async with AsyncExitStack() as stack:
        stack.enter_context(counted(source_of(shared)))
        if settings.traces_url:
            try:
                stack.enter_context(traces.exported(settings.traces_url, settings.traces_ratio, program))
            except traces.NotInstalled as error:
                raise SettingsError(
                    f"traces need packages that are not there ({error}): pip install 'cohort[tracing]'",
                    field="traces_url",
                ) from None
        if settings.metrics_port or settings.dev:
            stack.push_async_callback(_ended, asyncio.create_task(_beat()))
            stack.push_async_callback(_ended, asyncio.create_task(_serve_and_follow(settings, shared)))
        yield


async def metrics(request: Request) -> Response:
    """The metrics on the port of everybody; `cohort dev` has them there."""
    body, media_type = await asyncio.to_thread(exposed, request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})


def source_of(shared: "Shared") -> Source:
    """What the instance counts anyway."""
    stores = shared.stores
    statements = {
        "rows": stores.rows.meter.counts,
        "events": stores.events.meter.counts,
        "cache": stores.cache.meter.counts,
        "groups": stores.groups.meter.counts,
        "blobs": stores.blobs.meter.counts,
        "search": stores.search.meter.counts,
        "learner search": stores.learner_search.meter.counts,
    }
    return Source(
        statements,
        shared.answers.counts,
        {**shared.library.lookups(), "responses": shared.responses.counts},
        lambda: getattr(stores.cache, "failures", 0),
    )


async def _serve_and_follow(settings: Settings, shared: "Shared") -> None:
    """Serves the metrics, on the first free port of those that the processes share, and follows the instance if it is the
    first of them. In dev it also follows without a port."""
    server = None
    try:
        if settings.metrics_port:
            server = await _first_free(settings.host, settings.metrics_port)
            log.info("metrics are at http://%s:%d/metrics", settings.host, server.port)
        if settings.metrics_every and (server is None or server.port == settings.metrics_port):
            await follow(shared, settings.metrics_every)
        await asyncio.Event().wait()
    finally:
        if server is not None:
            await asyncio.to_thread(server.stop)


async def _first_free(host: str, first: int) -> MetricsServer:
    """Serves on the first port that is free, and waits while none is: a gateway without metrics still answers."""
    ports, told = range(first, first + int(os.environ.get(PROCESSES, "1"))), False
    while True:
        for port in ports:
            with suppress(OSError):
                return MetricsServer(host, port)
        if not told:
            told = True
            log.warning("metrics_port: %s, port %d is taken; it is tried again until it is free", host, first)
        await asyncio.sleep(AGAIN)


async def _beat() -> None:
    """Notes how late the loop is."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + BEAT
        await asyncio.sleep(BEAT)
        LOOP_LAG.observe(max(0.0, clock() - due))


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
