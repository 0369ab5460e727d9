"""The declarations, the configuration files and compose.yaml say the same."""

import re
from pathlib import Path

import pytest

from stack import jars
from stack.cluster import cluster
from stack.servers import SERVERS, Server, kafka
from stack.stack import CONF, Stack

COMPOSE = (Path(__file__).parents[2] / "compose.yaml").read_text()
IMAGES = {
    "cassandra": "cassandra",
    "kafka": "apache/kafka",
    "opensearch": "opensearchproject/opensearch",
    "druid": "apache/druid",
    "versitygw": "versity/versitygw",
}
named = pytest.mark.parametrize("server", SERVERS, ids=lambda server: str(server.name))


@named
def test_every_port_is_set_in_the_configuration_or_on_the_command_line(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.servers.java", lambda: "java")
    process = server.name.removeprefix(f"{server.family}-")
    Stack(tmp_path)._lay_out([server])
    files = [path for path in (tmp_path / server.folder / "conf").rglob("*") if path.is_file()]
    own = [path for path in files if path.parent.name in {"conf", process}]
    written = " ".join([*(path.read_text() for path in own), *server.command(tmp_path)])
    for port in server.ports:
        default = port == 7000  # Cassandra's port for its peers, of which it has none
        indirect = port == 9200 and "9199" in written  # the runner adds one
        assert default or indirect or str(port) in written


def test_a_kafka_on_other_ports_never_hears_of_the_usual_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.servers.java", lambda: "java")
    server = kafka(19092, 19093)
    assert server.ports == (19092, 19093)
    assert server.environment == {"COHORT_EVENTS": "kafka://127.0.0.1:19092"}
    assert server.format
    Stack(tmp_path)._lay_out([server])
    written = (tmp_path / "kafka/conf/server.properties").read_text()
    told = [*server.command(tmp_path), *server.format(tmp_path), written]
    assert "PLAINTEXT://127.0.0.1:19092" in written
    assert not re.search(r"\b909[23]\b", " ".join(told))


def test_a_cluster_runs_beside_the_usual_stack_with_folders_and_addresses_of_its_own(tmp_path: Path) -> None:
    servers = cluster()
    assert [server.name for server in servers] == [
        *("cassandra-1", "kafka-1", "cassandra-2", "kafka-2", "cassandra-3", "kafka-3"),
        "valkey",
    ]
    places = {(server.place.host, port) for server in (*SERVERS, *servers) for port in server.ports}
    assert len(places) == sum(len(server.ports) for server in (*SERVERS, *servers))
    stack = Stack(tmp_path / "cluster", servers=servers, software=tmp_path)
    stack._lay_out(list(servers))
    assert len({server.folder for server in servers}) == 7
    third = tmp_path / "cluster/cassandra-3"
    assert (third / "lib").readlink() == tmp_path / "cassandra/lib"
    written = (third / "conf/cassandra.yaml").read_text()
    assert 'seeds: "127.0.1.1,127.0.1.2,127.0.1.3"' in written
    assert "listen_address: 127.0.1.3" in written
    # Roles, offsets and topics outlive a node, each with a majority of copies.
    assert "default_keyspace_rf: 3" in written
    broker = (tmp_path / "cluster/kafka-2/conf/server.properties").read_text().splitlines()
    assert {"node.id=2", "offsets.topic.replication.factor=3", "min.insync.replicas=2"} <= {*broker}
    assert [server.name for server in stack.select(["kafka"])] == ["kafka-1", "kafka-2", "kafka-3"]
    assert stack.environment() == {
        "COHORT_ROWS": "cassandra://cohort:cohort@127.0.1.1,127.0.1.2,127.0.1.3:9042/cohort?replication=3",
        "COHORT_EVENTS": "kafka://127.0.1.1:9092,127.0.1.2:9092,127.0.1.3:9092",
        "COHORT_CACHE": "redis://127.0.1.1:6379/0",
    }


def test_no_two_servers_share_a_port() -> None:
    ports = [port for server in SERVERS for port in server.ports]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize(("family", "image"), IMAGES.items())
def test_docker_gets_the_same_version(family: str, image: str) -> None:
    version = next(server.version for server in SERVERS if server.family == family)
    assert set(re.findall(rf"image: {image}:(\S+)", COMPOSE)) == {version}


def test_docker_publishes_on_loopback_only() -> None:
    published = re.findall(r"ports: \[(.*)\]", COMPOSE)
    assert published
    assert all(re.fullmatch(r'"127\.0\.0\.1:(\d+):\1"', port) for port in published)


def test_docker_gets_the_same_guardrails_and_authentication() -> None:
    ours = (CONF / "cassandra" / "cassandra.yaml").read_text()
    of_docker = dict(re.findall(r"-Dcassandra\.settings\.(\w+)=(\S+)", COMPOSE))
    assert len(of_docker) == 5
    for key, value in of_docker.items():
        assert f"\n{key}: {value}\n" in ours


@named
def test_the_configuration_is_complete_for_a_fresh_directory(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "java", lambda: "java")
    stack = Stack(tmp_path)
    stack._lay_out([server])
    for path in (tmp_path / server.family / "conf").rglob("*.*"):
        assert path.is_dir() or "${" not in path.read_text()
