"""A cluster: several nodes of Cassandra and of Kafka, beside one Valkey.

Node N is one machine: it has the Nth Cassandra and the Nth broker, and an address of its own. So a cluster has the usual
ports, and runs beside the usual stack.
"""

from collections.abc import Sequence

from stack.servers import Place, Server, cassandra, kafka, valkey

NODES = 3
"""How many nodes hold a copy each, with a majority when one of them is away."""
HOSTS = tuple(f"127.0.1.{number}" for number in range(1, NODES + 1))
"""Loopback addresses beside the usual stack's."""


def cluster(hosts: Sequence[str] = HOSTS, namespaces: Sequence[str] = ()) -> tuple[Server, ...]:
    """The servers of a cluster: a node on each of the hosts, in the network namespace of the same place, if any is named.

    Valkey runs in our own namespace, on the first loopback address of a cluster.
    """
    places = [
        Place(hosts=hosts, number=number, namespace=namespace)
        for number, namespace in enumerate(namespaces or [""] * len(hosts), 1)
    ]
    nodes = [server for place in places for server in (cassandra(place), kafka(place=place))]
    return (*nodes, valkey(host=HOSTS[0]))
