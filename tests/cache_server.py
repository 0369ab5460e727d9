"""One Valkey for all tests of a process, as starting one takes longer than most tests. Each folder has a database of its own."""

import subprocess
import tempfile
import time
from functools import cache
from itertools import count
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as NotConnected

from stores.cache_embedded import NOTICE, SOCKET, STARTS_WITHIN, kept_server
from stores.private import private_file

DATABASES = 10_000
MEMORY = "1gb"
"""Enough that no test's keys go: nothing is removed between them."""
_numbers = count(1)


def share_cache_server(data: Path) -> None:
    """Lets every embedded instance in this folder, in whatever process, join the server, as if the first had started it. It
    outlives the instances and ends with this process."""
    private_file(data / NOTICE).write_text(f"{_socket()}?db={next(_numbers)}")


@cache
def _socket() -> Path:
    directory = tempfile.mkdtemp(prefix="cohort-cache-")
    command = [*kept_server(directory, MEMORY), "--databases", str(DATABASES)]
    silent = subprocess.DEVNULL
    _running.append(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=silent, stderr=silent, start_new_session=True)
    )
    socket, until = Path(directory, SOCKET), time.monotonic() + STARTS_WITHIN
    with Redis(unix_socket_path=str(socket)) as client:
        while True:
            try:
                client.ping()
            except NotConnected:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return socket


_running: list[subprocess.Popen[bytes]] = []


def end_cache_server() -> None:
    while _running:
        _running.pop().communicate()
