"""Health checks. Each returns when its server answers as its clients need it to, and raises if not.

An open port is not enough: Cassandra opens its port before it can log anyone in, and Druid before it can query.
Client libraries are imported where they are used: they import slowly, and most commands need none.
"""

import asyncio
import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HOST = "127.0.0.1"
SECONDS = 5
"""How long one answer may take."""


class Unhealthy(Exception):
    """The server answers, but not yet as it should."""


def port_open(port: int, host: str = HOST) -> bool:
    """Whether anything accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def says(port: int, question: bytes, answer: bytes, host: str = HOST) -> None:
    """The server of a line protocol gives the expected answer (Valkey's PING, ZooKeeper's srvr)."""
    with socket.create_connection((host, port), timeout=SECONDS) as connection:
        connection.sendall(question)
        heard = connection.recv(4096)
    if answer not in heard:
        raise Unhealthy(f"answers {heard[:80]!r}")


def kafka(port: int, host: str = HOST, broker: int = 1) -> None:
    """The broker lists itself as a member of the cluster."""

    from aiokafka.admin import AIOKafkaAdminClient

    async def brokers() -> set[int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=f"{host}:{port}", request_timeout_ms=SECONDS * 1000)
        try:
            await admin.start()
            return {one["node_id"] for one in (await admin.describe_cluster())["brokers"]}
        finally:
            await admin.close()

    if not port_open(port, host):
        raise Unhealthy(f"port {port} is closed")
    if broker not in asyncio.run(brokers()):
        raise Unhealthy("the broker is not in the cluster yet")


@contextmanager
def cassandra_session(user: str, password: str, host: str = HOST) -> Iterator[Any]:
    """A CQL session of that user, with this node alone."""
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
    from cassandra.policies import WhiteListRoundRobinPolicy

    if not port_open(9042, host):
        raise Unhealthy("port 9042 is closed")
    profile = ExecutionProfile(
        load_balancing_policy=WhiteListRoundRobinPolicy([host]), request_timeout=SECONDS
    )
    cluster = Cluster(
        [host],
        auth_provider=PlainTextAuthProvider(user, password),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connect_timeout=SECONDS,
        protocol_version=5,
    )
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


def cassandra(host: str = HOST, nodes: int = 1) -> None:
    """Cohort's role can log in and read, and the node knows all the others."""
    with cassandra_session("cohort", "cohort", host) as session:
        others = list(session.execute("SELECT peer FROM system.peers_v2"))
    if len(others) < nodes - 1:
        raise Unhealthy(f"knows {len(others)} of the {nodes - 1} other nodes")


def create_cassandra_role(host: str = HOST) -> None:
    """Create Cohort's role, an ordinary one: guardrails do not bind the superuser that Cassandra starts with."""
    with cassandra_session("cassandra", "cassandra", host) as session:
        session.execute("CREATE ROLE IF NOT EXISTS cohort WITH LOGIN = true AND PASSWORD = 'cohort'")
        for permission in ["CREATE", "ALTER", "DROP", "SELECT", "MODIFY"]:
            session.execute(f"GRANT {permission} ON ALL KEYSPACES TO cohort")


def opensearch() -> None:
    """All primary shards are there. The status may be yellow: one node can hold no replicas."""
    status = _json("http://127.0.0.1:9200/_cluster/health")["status"]
    if status not in {"yellow", "green"}:
        raise Unhealthy(f"cluster status is {status}")


def s3(port: int) -> None:
    """The gateway says that it is well."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=SECONDS):
        pass


def druid(port: int) -> None:
    """This Druid process says that it is healthy."""
    if _json(f"http://127.0.0.1:{port}/status/health") is not True:
        raise Unhealthy("not healthy yet")


def druid_coordinator() -> None:
    """The coordinator is healthy and leads. Before it leads, it redirects requests for supervisors."""
    druid(8081)
    _json("http://127.0.0.1:8081/druid/indexer/v1/supervisor")


def druid_broker() -> None:
    """The broker is healthy, answers SQL, and has found the coordinator."""
    druid(8082)
    question = {"query": "SELECT server FROM sys.servers WHERE server_type = 'coordinator'"}
    if not _json("http://127.0.0.1:8082/druid/v2/sql", question):
        raise Unhealthy("the broker has not found the coordinator yet")


def _json(url: str, question: object = None) -> Any:
    request = urllib.request.Request(  # noqa: S310
        url,
        data=json.dumps(question).encode() if question else None,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        return json.load(answer)
