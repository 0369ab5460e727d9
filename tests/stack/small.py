"""Small servers of our own, so that these tests need no Java and wait for nothing."""

import random
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Protocol

from stack import health
from stack.servers import Server
from stack.stack import Stack

SPEAKS = """
import socket, sys
door = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    guest, _ = door.accept()
    with guest:
        if guest.recv(10):
            guest.sendall(b"+PONG")
"""
ENDS = "for number in range(100): print('line', number)"
SLEEPS = "import time; print('I sleep', flush=True); time.sleep(60)"


class MakeStack(Protocol):
    """Makes a stack in the test's folder."""

    def __call__(self, *servers: Server, patience: float = 5.0, directory: str = "stack") -> Stack: ...


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to outgoing connections: a server that is
    stopped and started again must find it free."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def small_server(name: str, *, port: int | None = None, program: str = SPEAKS) -> Server:
    """A server that answers PING, or runs another Python program in its place."""
    at = port or free_port()

    def command(_home: Path) -> list[str]:
        return [sys.executable, "-c", program, str(at)]

    return Server(
        name=name,
        version="1",
        ports=(at,),
        command=command,
        health=partial(health.says, at, b"PING", b"+PONG"),
        environment={name.upper(): f"small://127.0.0.1:{at}"},
        runs_on_java=False,
    )
