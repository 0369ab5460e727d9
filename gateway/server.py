"""Uvicorn as Cohort runs it: uvloop, httptools, no access log, and a socket that is bound before anything else starts."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType

import uvicorn
from uvicorn.supervisors import Multiprocess

from gateway.gc_tuning import collect_rarely
from gateway.http.connections import BoundedConnection
from gateway.http.head_limits import ConnectionLimits
from gateway.settings import PROCESSES, Settings, SettingsError
from gateway.stopping import AGAIN, SIGNALS

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
    """Calls ``on_started`` when it can answer. A signal that ends it well is no failure: the process goes on, and ends with
    0."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True


class _Processes(Multiprocess):
    """Ends its processes at once when it is told to stop for the second time (gateway/stopping.py)."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._told_at: float | None = None
        for number in SIGNALS:
            signal.signal(number, self._told)

    def terminate_all(self) -> None:
        """Nobody can connect here any more when the processes have closed the socket."""
        super().terminate_all()
        for one in self.sockets:
            one.close()

    def _told(self, number: int, _frame: FrameType | None) -> None:
        if self._told_at is None:
            self._told_at = time.monotonic()
            self.signal_queue.append(number)
        elif time.monotonic() - self._told_at >= AGAIN:
            for one in self.processes:
                one.process.kill()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


async def serve(settings: Settings, listening: Listening, on_started: Callable[[], None]) -> None:
    """Serves in this process until SIGINT or SIGTERM. Open requests are finished first.

    Raises what kept it from starting, if its stores never came (``wait_for_stores``).
    """
    from gateway.app import create_app

    app = create_app(settings, owns_process=True)
    config = _config(settings, app)
    collect_rarely()
    await _Server(config, on_started).serve([listening.socket])
    if app.state.failure is not None:
        raise app.state.failure


def serve_in_processes(
    settings: Settings, listening: Listening, workers: int, on_started: Callable[[], None]
) -> None:
    """Serves in ``workers`` processes that share the socket. One that dies is replaced. Each reads the settings itself."""
    config = _config(settings, FACTORY, workers)
    os.environ[PROCESSES] = str(workers)
    on_started()
    _Processes(config, sockets=[listening.socket]).run()


def connection_limits(settings: Settings) -> ConnectionLimits:
    """The limits of connections by these settings."""
    return ConnectionLimits(
        **{name: getattr(settings, name) for name in ConnectionLimits.__dataclass_fields__}
    )


def _config(settings: Settings, app: object, workers: int | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        factory=isinstance(app, str),
        workers=workers,
        loop="auto",  # uvloop, where there is one
        http=partial(BoundedConnection, limits=connection_limits(settings)),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=settings.idle_timeout,  # type: ignore[arg-type] # takes fractions as well
        timeout_graceful_shutdown=int(settings.request_timeout) + 1,
    )
