"""Machines of their own on this one: a network namespace for each node of a cluster, on a bridge; any can be cut off.

Needs root (CAP_NET_ADMIN) and `ip` of iproute2. A namespace outlives us: `down` deletes it.
"""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

from stack.errors import MissingProgram, StackError


class Network:
    """Namespaces NAME-1, NAME-2, …, each with the address 198.18.SUBNET.N; ours has 198.18.SUBNET.254, on their bridge.

    198.18.0.0/15 is kept for trials between networks (RFC 2544), so no machine of anybody is there.
    """

    def __init__(self, name: str, nodes: int, subnet: int) -> None:
        """``name``: at most 10 characters. ``subnet``: 0 to 255."""
        self.name = name
        self._subnet = f"198.18.{subnet}"
        self._numbers = range(1, nodes + 1)
        self.hosts = tuple(f"{self._subnet}.{number}" for number in self._numbers)
        self.namespaces = tuple(f"{name}-{number}" for number in self._numbers)

    def __enter__(self) -> Self:
        """Makes them. StackError says what this machine does not allow; then nothing of them is left."""
        try:
            _ip(f"link add {self.name} type bridge")
            _ip(f"address add {self._subnet}.254/24 dev {self.name}")
            _ip(f"link set {self.name} up")
            for number, namespace, host in zip(self._numbers, self.namespaces, self.hosts, strict=True):
                _ip(f"netns add {namespace}")
                _ip(f"link add {self._link(number)} type veth peer name eth0 netns {namespace}")
                _ip(f"link set {self._link(number)} master {self.name} up")
                _ip(f"-n {namespace} address add {host}/24 dev eth0")
                _ip(f"-n {namespace} link set lo up")
                _ip(f"-n {namespace} link set eth0 up")
        except BaseException:
            self._delete()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._delete()

    def part(self, *numbers: int) -> None:
        """Cuts each of these nodes off from all the others. We still reach every node, as clients in between would.

        What is sent is lost without a word, as in a broken switch: no connection is refused or reset.
        """
        for number in numbers:
            _ip(f"link set {self._link(number)} nomaster")
            _ip(f"route replace {self.hosts[number - 1]}/32 dev {self._link(number)} src {self._subnet}.254")

    def silence(self, *numbers: int) -> None:
        """Cuts each of these nodes off from all the others and from us, as when its cable is pulled."""
        for number in numbers:
            _ip(f"-n {self.namespaces[number - 1]} link set eth0 down")

    def heal(self) -> None:
        """Joins what was parted or silenced."""
        for number, namespace, host in zip(self._numbers, self.namespaces, self.hosts, strict=True):
            with suppress(StackError):  # it was not parted
                _ip(f"route delete {host}/32 dev {self._link(number)}")
            _ip(f"link set {self._link(number)} master {self.name}")
            _ip(f"-n {namespace} link set eth0 up")

    def _link(self, number: int) -> str:
        """Our end of the node's cable."""
        return f"{self.name}-{number}"

    def _delete(self) -> None:
        # A namespace goes when its last process has ended, a cable with its namespace; deleted by name, it goes at once.
        for what in [
            *(f"link delete {self._link(number)}" for number in self._numbers),
            *(f"netns delete {namespace}" for namespace in self.namespaces),
            f"link delete {self.name}",
        ]:
            with suppress(StackError):
                _ip(what)


def _ip(words: str) -> None:
    program = shutil.which("ip")
    if program is None:
        raise MissingProgram("`ip` is not installed. On Debian and Ubuntu: apt-get install -y iproute2")
    done = subprocess.run([program, *words.split()], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise StackError(
            f"`ip {words}` was refused ({done.stderr.strip()}): network namespaces need root with CAP_NET_ADMIN"
        )


def refusal() -> str | None:
    """Why this machine does not let us make networks; None where it does. Two nodes are made, and nothing of them is left."""
    try:
        with Network(f"try{os.getpid():x}", 2, os.getpid() % 256) as network:
            network.part(1)
            network.silence(2)
            network.heal()
    except StackError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(refusal())
