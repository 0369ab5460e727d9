"""Uvicorn as Cohort runs it: uvloop, httptools, no access log, and a socket that is bound before anything else starts."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from uvicorn.supervisors import Multiprocess

from gateway.gc_tuning import collect_rarely
from gateway.http.head_limits import BoundedHeads
from gateway.settings import PROCESSES, Settings, SettingsError

FACTORY = "gateway.app:app_of_process"


@dataclass(frozen=True, slots=True)
class Listening:
    """A bound socket and its URL. Nobody can connect before the server accepts."""

    socket: socket.socket
    url: str


@contextmanager
def listen(host: str, port: int) -> Iterator[Listening]:
    """Holds the port. SettingsError if the port is taken or the address does not belong to this machine."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise SettingsError(
            f"can't listen on {host}, port {port}: {error.strerror or error}; --port chooses another",
            field="port",
        ) from None
    name = f"[{host}]" if ":" in host else host
    with bound:
        yield Listening(bound, f"http://{name}:{bound.getsockname()[1]}")


class _Server(uvicorn.Server):
    """Calls ``on_started`` when it can answer."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()


async def serve(settings: Settings, listening: Listening, on_started: Callable[[], None]) -> None:
    """Serves in this process until SIGINT or SIGTERM. Open requests are finished first."""
    from gateway.app import create_app

    config = _config(settings, create_app(settings))
    collect_rarely()
    await _Server(config, on_started).serve([listening.socket])


def serve_in_processes(
    settings: Settings, listening: Listening, workers: int, on_started: Callable[[], None]
) -> None:
    """Serves in ``workers`` processes that share the socket. One that dies is replaced. Each reads the settings itself."""
    config = _config(settings, FACTORY, workers)
    os.environ[PROCESSES] = str(workers)
    on_started()
    Multiprocess(config, sockets=[listening.socket]).run()


def _config(settings: Settings, app: object, workers: int | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        factory=isinstance(app, str),
        workers=workers,
        loop="auto",  # uvloop, where there is one
        http=BoundedHeads,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.request_timeout) + 1,
    )
