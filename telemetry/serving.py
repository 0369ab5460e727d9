"""A server of the metrics, in threads of its own: what the event loop does never waits for who looks."""

import socket
import threading
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from telemetry.metrics import REGISTRY

_POLL = 0.1
"""Seconds until a server that is told to stop notices it."""


class _Server(ThreadingWSGIServer):
    allow_reuse_port = False
    """Two processes on one port would each be asked now and then."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    timeout = 10.0
    """Seconds that a connection may say nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library has
        """Logs nothing: it is asked every few seconds."""


class MetricsServer:
    """Serves until ``stop``. OSError if the port is taken, or the address is not this machine's."""

    def __init__(self, host: str, port: int) -> None:
        kind = _Server6 if ":" in host else _Server
        self._server: WSGIServer = make_server(host, port, make_wsgi_app(REGISTRY), kind, _Silent)
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="metrics", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Waits until nothing is served any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
