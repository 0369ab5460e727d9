"""Nodes in network namespaces: what is cut off, and what a machine says that does not allow it."""

import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from stack.errors import MissingProgram, StackError
from stack.network import Network, refusal

SERVES = "import socket; door = socket.create_server((%r, 7)); print(flush=True)\nwhile True: door.accept()[0].close()"
ASKS = "import socket; socket.create_connection((%r, 7), 1)"


@contextmanager
def serving(network: Network, number: int) -> Iterator[None]:
    """A server on this node."""
    words = ["ip", "netns", "exec", network.namespaces[number - 1], sys.executable, "-c"]
    with subprocess.Popen(
        [*words, SERVES % network.hosts[number - 1]], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        server.stdout.readline()
        try:
            yield
        finally:
            server.kill()


def reaches(network: Network, asker: int, number: int) -> bool:
    """Whether the one node, or we for 0, reaches the other."""
    host = network.hosts[number - 1]
    if asker:
        words = ["ip", "netns", "exec", network.namespaces[asker - 1], sys.executable, "-c", ASKS % host]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    try:
        socket.create_connection((host, 7), 1).close()
    except OSError:  # refused, no route, or no answer
        return False
    return True


@pytest.mark.cluster
@pytest.mark.skipif(
    os.environ.get("COHORT_STACK_NAMESPACES") == "no", reason="COHORT_STACK_NAMESPACES=no leaves it out"
)
def test_a_parted_node_is_reached_by_us_alone_and_a_silent_one_by_nobody() -> None:
    number = secrets.randbelow(256)
    with Network(f"net{number:x}", 2, number) as network, serving(network, 1), serving(network, 2):
        assert reaches(network, 0, 1)
        assert reaches(network, 1, 2)
        network.part(1)
        assert reaches(network, 0, 1)
        assert reaches(network, 0, 2)
        assert not reaches(network, 1, 2)
        assert not reaches(network, 2, 1)
        network.heal()
        assert reaches(network, 2, 1)
        network.silence(1)
        assert not reaches(network, 0, 1)
        assert not reaches(network, 2, 1)
        network.heal()
        # A cable that was out is noticed within a second or two.
        assert any(reaches(network, 0, 1) for _ in range(10))
        assert any(reaches(network, 2, 1) for _ in range(10))
    left = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert network.name not in left


def test_a_machine_that_allows_no_namespaces_says_so(programs: Callable[[str, str], None]) -> None:
    with pytest.raises(MissingProgram, match="apt-get install -y iproute2"), Network("net", 2, 0):
        pass
    programs("ip", 'echo "RTNETLINK answers: Operation not permitted" >&2; exit 2')
    refused = "Operation not permitted.*need root with CAP_NET_ADMIN"
    with pytest.raises(StackError, match=refused), Network("net", 2, 0):
        pass
    assert re.search(refused, refusal() or "")
    programs("ip", "exit 0")
    assert refusal() is None
