"""Servers of a test's own that ask for certificates and passwords, and hold Cohort to the least that it needs: Cassandra with
client certificates and roles, Kafka with SASL over TLS and ACLs, Valkey with ACLs behind a proxy that speaks TLS.

They have addresses and ports of their own, small heaps, and run beside the stack, whose jars they take.
"""

import asyncio
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DescribeAclsRequest

from stack import health, processes
from stack.servers import QUICK, Place, Server, cassandra, kafka, valkey
from stack.stack import CONF
from tests.stack.small import free_port
from tests.stores.authority import Authority
from tests.stores.grants import (
    CASSANDRA_OF_INIT,
    CASSANDRA_OF_PROCESSES,
    KAFKA_OF_INIT,
    KAFKA_OF_PROCESSES,
    REDIS,
    Acl,
)

SOFTWARE = Path(os.environ.get("COHORT_STACK_DIR", ".stack")).absolute()
PATIENCE = 100.0
"""Seconds that a server may take to start."""
OPERATOR, USER = "operator", "cohort"
"""Who runs `cohort init`, and as whom all else of Cohort runs."""
PASSWORD = "p@ss/wörd"  # what must be percent-encoded in a URL
QUOTED = "p%40ss%2Fw%C3%B6rd"
PREFIX = "secure"
HOST = "127.0.2.1"
"""Cassandra's address: its port is the usual one."""


@contextmanager
def running(
    server: Server, home: Path, ready: Callable[[], Any], options: Sequence[str] = ()
) -> Iterator[None]:
    """The server until the end of the block, once ``ready`` raises nothing. ``options`` are added to its command."""
    for name in ("data", "tmp", "conf"):
        (home / name).mkdir(parents=True, exist_ok=True)
    if server.runs_on_java:
        (home / "lib").symlink_to(SOFTWARE / server.family / "lib")
    pid_file, log = home / "pid", home / "log"
    command = server.command(home)
    processes.spawn([command[0], *command[1:], *options], cwd=home, log=log, pid_file=pid_file)
    try:
        deadline = time.monotonic() + PATIENCE
        while (why := _fault(ready)) is not None:
            told = f"{server.name}: {why!r}\n{log.read_text(errors='replace')[-3000:]}"
            assert processes.running(pid_file), told
            assert time.monotonic() < deadline, told
            time.sleep(0.3)
        yield
    finally:
        processes.stop(pid_file, kill=True)


def _fault(ready: Callable[[], Any]) -> Exception | None:
    try:
        ready()
    except Exception as error:  # noqa: BLE001 - whatever is wrong, it is not ready
        return error
    return None


# Cassandra


@contextmanager
def secure_cassandra(folder: Path, authority: Authority) -> Iterator[int]:
    """Cassandra that takes connections by TLS alone, of clients with a certificate. Its keyspace `secure` is there, and so are
    the roles of the operator and of Cohort."""
    home = folder / "cassandra"
    server = cassandra(Place(hosts=(HOST,)))
    conf = home / "conf"
    conf.mkdir(parents=True)
    for template in (CONF / "cassandra").glob("*.*"):
        text = Template(template.read_text()).safe_substitute(
            server.variables, home=home, version=server.version
        )
        (conf / template.name).write_text(text)
    with (conf / "cassandra.yaml").open("a") as yaml:
        yaml.write(
            f"""
client_encryption_options:
  enabled: true
  optional: false
  require_client_auth: true
  ssl_context_factory: {{class_name: org.apache.cassandra.security.PEMBasedSslContextFactory}}
  keystore: {authority.server("cassandra")}
  truststore: {authority.ca}
"""
        )

    def smaller(of: Path) -> list[str]:
        words = [word for word in server_command(of) if not word.startswith("-Xm")]
        return [words[0], "-Xms128m", "-Xmx400m", QUICK, *words[1:]]

    server_command = server.command
    object.__setattr__(server, "command", smaller)
    with running(server, home, partial(_roles, authority)):
        yield 9042


@contextmanager
def cql(authority: Authority, user: str, password: str) -> Iterator[Any]:
    """A session as this user."""
    from cassandra.auth import PlainTextAuthProvider
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
    from cassandra.policies import WhiteListRoundRobinPolicy

    context = ssl.create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(authority.client(user))
    profile = ExecutionProfile(load_balancing_policy=WhiteListRoundRobinPolicy([HOST]), request_timeout=20)
    cluster = Cluster(
        [HOST],
        ssl_context=context,
        auth_provider=PlainTextAuthProvider(user, password),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        protocol_version=5,
    )
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


def _roles(authority: Authority) -> None:
    if not health.port_open(9042, HOST):
        raise health.Unhealthy("the port is closed")
    with cql(authority, "cassandra", "cassandra") as session:
        session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {PREFIX} WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        for role, grants in ((OPERATOR, CASSANDRA_OF_INIT), (USER, CASSANDRA_OF_PROCESSES)):
            session.execute(f"CREATE ROLE IF NOT EXISTS {role} WITH LOGIN = true AND PASSWORD = '{PASSWORD}'")
            for permission in grants:
                session.execute(f"GRANT {permission} ON KEYSPACE {PREFIX} TO {role}")


# Kafka


@dataclass(frozen=True)
class KafkaPorts:
    """``sasl``: with a password, over TLS. ``ssl``: with a certificate. ``inner``: for the test alone, which may do all there."""

    sasl: int
    ssl: int
    inner: int


@contextmanager
def secure_kafka(folder: Path, authority: Authority) -> Iterator[KafkaPorts]:
    """Kafka with users and ACLs. Operator and Cohort have a password for SCRAM, Cohort one for PLAIN too."""
    home = folder / "kafka"
    ports, controller = KafkaPorts(free_port(), free_port(), free_port()), free_port()
    server = kafka(ports.inner, controller)
    for name in ("data", "conf"):
        (home / name).mkdir(parents=True)
    (home / "lib").symlink_to(SOFTWARE / "kafka" / "lib")
    listeners = (
        f"SASL_SSL://127.0.0.1:{ports.sasl},SSL://127.0.0.1:{ports.ssl},INNER://127.0.0.1:{ports.inner}"
    )
    login = "org.apache.kafka.common.security"
    (home / "conf" / "server.properties").write_text(
        f"""
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
inter.broker.listener.name=INNER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,INNER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
log.dirs={home}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={authority.server("kafka")}
ssl.truststore.type=PEM
ssl.truststore.location={authority.ca}
listener.name.ssl.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^.*CN=([^,]+).*$/$1/
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config={login}.plain.PlainLoginModule required user_{USER}="{_escaped(PASSWORD)}";
"""
    )
    assert server.format is not None
    scram = [
        word
        for user in (OPERATOR, USER)
        for word in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={PASSWORD}]")
    ]
    done = subprocess.run([*server.format(home), *scram], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    object.__setattr__(server, "runs_on_java", False)  # its jars are there
    options = [*server.command(home)]
    options[options.index("-Xmx384m")] = "-Xmx256m"
    object.__setattr__(server, "command", lambda _: [options[0], QUICK, *options[1:]])
    with running(server, home, partial(health.kafka, ports.inner)):
        asyncio.run(_allow(ports.inner, {OPERATOR: KAFKA_OF_INIT, USER: KAFKA_OF_PROCESSES}))
        yield ports


def _escaped(text: str) -> str:
    """As a file of Java's properties has it."""
    return text.encode("unicode_escape").decode().replace("\\x", "\\u00")


async def _allow(port: int, of: dict[str, Sequence[Acl]]) -> None:
    prefixed, allow = 4, 3  # Kafka's numbers
    admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}")
    await admin.start()
    try:
        for user, acls in of.items():
            for acl in acls:
                for operation in acl.operations:
                    what = (acl.resource, f"{PREFIX}.", prefixed, f"User:{user}", "*", operation, allow)
                    answer = await admin._send_request(CreateAclsRequest(*what))
                    assert all(code == 0 for code, _ in answer.creation_responses), answer
        # The controller has them; the broker goes by them a moment later.
        wanted = sum(len(acl.operations) for acls in of.values() for acl in acls)
        async with asyncio.timeout(PATIENCE):
            while await _known_to_the_broker(admin) < wanted:
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def _known_to_the_broker(admin: AIOKafkaAdminClient) -> int:
    whatever = 1  # Kafka's number
    filters = (whatever, None, whatever, None, None, whatever, whatever)
    answer = await admin._send_request(DescribeAclsRequest(*filters))
    assert answer.error_code == 0, answer
    return sum(len(acls) for *_, acls in answer.resources)


# Valkey


@contextmanager
def valkey_with_users(folder: Path) -> Iterator[int]:
    """Valkey without TLS, in which Cohort's user may do what `grants.py` says, and nobody else anything."""
    home, port = folder / "valkey", free_port()
    home.mkdir()
    users = home / "users.acl"
    users.write_text(
        f"user default off\nuser {USER} on >{PASSWORD} ~{PREFIX}:* resetchannels -@all {REDIS}\n"
    )

    def ready() -> None:
        health.says(port, b"PING\r\n", b"-NOAUTH")

    with running(valkey(port), home, ready, ["--aclfile", str(users)]):
        yield port
