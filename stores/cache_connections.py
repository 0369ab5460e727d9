"""Connections to the cache's server, as redis.asyncio makes them."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.maint_notifications import MaintNotificationsConfig

from stores.certificates import OPTIONS as CERTIFICATES
from stores.certificates import Certificates, ClientContext


class _Connection(AbstractConnection):
    """A connection that knows when it was lost while nobody used it. The library looks for what there is to read, which a reset
    does not leave behind; uvloop would then raise an error that is none of a connection."""

    async def can_read(self) -> bool:
        """Is asked before a command is sent. True if the connection must be made anew first."""
        return (self._writer is not None and self._writer.is_closing()) or await super().can_read()


class _PlainConnection(_Connection, Connection):
    pass


class _LocalConnection(_Connection, UnixDomainSocketConnection):
    pass


class _SecureConnection(_Connection, SSLConnection):
    """A connection whose certificates may be renewed."""

    def __init__(self, certificates: ClientContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = certificates


def connecting(url: str) -> dict[str, Any]:
    """What a pool makes connections by. InvalidInput for certificates that can't be read."""
    parts = urlsplit(url)
    named = dict(parse_qsl(parts.query))
    own = {name: value for name, value in named.items() if name not in CERTIFICATES}
    options: dict[str, Any] = dict(parse_url(parts._replace(query=urlencode(own)).geturl()))
    if parts.scheme == "rediss":
        context = Certificates.named_by(named).context("cache")
        options |= {"connection_class": _SecureConnection, "certificates": context}
    else:
        options["connection_class"] = _LocalConnection if "path" in options else _PlainConnection
    # A pool that listens for a cluster's maintenance never looks whether a connection was closed.
    return {**options, "maint_notifications_config": MaintNotificationsConfig(enabled=False)}
