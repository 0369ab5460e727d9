"""A script of the cache's server that is called without end, one call at a time, over a connection of its own.

The client's own way takes a connection from the pool for each call and gives it back, and looks at each argument's type: twice the
CPU of the call itself. What is public there is used here (redis.asyncio's connections and pools).
"""

import hashlib
from collections.abc import Sequence

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import NoScriptError


class HeldScript:
    """One caller at a time. A connection that breaks off is made anew by the next call."""

    def __init__(self, pool: ConnectionPool, script: str) -> None:
        self._pool = pool
        self._script = script.encode()
        self._digest = hashlib.sha1(self._script, usedforsecurity=False).hexdigest().encode()
        self._connection: AbstractConnection | None = None

    async def run(self, keys: Sequence[bytes], args: Sequence[bytes]) -> object:
        """The script's answer. Raises what redis.asyncio raises; then, or when it is cancelled, the connection is closed."""
        if self._connection is None:
            self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        elif self._connection.is_connected and await self._connection.can_read():
            # The server has closed it, or has said what nobody asked for. The next command connects anew.
            await self._connection.disconnect(nowait=True)
        sent = (b"%d" % len(keys), *keys, *args)
        try:
            return await self._answer(self._connection, b"EVALSHA", self._digest, *sent)
        except NoScriptError:
            # The server was started since. Cohort's role may load scripts (docs/deploy.md), and not send them.
            await self._answer(self._connection, b"SCRIPT", b"LOAD", self._script)
            return await self._answer(self._connection, b"EVALSHA", self._digest, *sent)

    async def _answer(self, connection: AbstractConnection, *parts: bytes) -> object:
        await connection.send_packed_command(_packed(parts))
        return await connection.read_response()


def _packed(parts: Sequence[bytes]) -> bytes:
    """A command as the protocol has it (RESP)."""
    return b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])
