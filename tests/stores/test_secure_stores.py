"""Cohort with stores that ask for certificates and passwords and grant the least that docs/deploy.md names: an instance works,
and what is wrong is told.

Cassandra, Kafka and Valkey are servers of our own (secure_servers.py). OpenSearch, S3 and Druid are the stack's, behind a proxy
that speaks TLS and asks for a password, as these have neither themselves.
"""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from ingest.calls.placing import ViewCall
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.views import end_view, start_view
from resolvers.enrolments import enrolments_page
from rules.errors import StoreUnavailable
from rules.views import ViewChange
from stores.cache import Spending
from stores.cache_redis import RedisCache
from stores.druid_http import Address
from stores.engines import away
from stores.events import Message
from stores.events_kafka import KafkaEvents
from stores.groups_druid import DruidGroups
from stores.rows_cassandra import CassandraRows
from stores.tables import TABLES
from stores.topics import TOPICS, TRIGGERS
from tests.conftest import (
    BLOBS,
    DRUID,
    KAFKA,
    NOW,
    ON_DISK,
    SEARCH,
    Instance,
    drop_search_index,
    times_as_served,
)
from tests.stores import secure_servers
from tests.stores.authority import Authority
from tests.stores.secure_servers import HOST, OPERATOR, PREFIX, QUOTED, USER, KafkaPorts
from tests.stores.tls_proxy import tls_proxy

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(300)]

LOGIN = "reader:s3cret"
KEY = "k" * 32


@dataclass(frozen=True)
class Servers:
    authority: Authority
    other: Authority
    kafka: KafkaPorts
    valkey: int

    def rows(self, user: str = USER, password: str = QUOTED, host: str = HOST, **options: Path | str) -> str:
        named = {"ca": self.authority.ca, "cert": self.authority.client(user), **options}
        return f"cassandras://{user}:{password}@{host}:9042/{PREFIX}?{_query(named)}"

    def events(self, user: str = USER, password: str = QUOTED, **options: Path | str) -> str:
        named = {"ca": self.authority.ca, **options}
        return f"kafkas://{user}:{password}@127.0.0.1:{self.kafka.sasl}?{_query(named)}"


def _query(options: dict[str, Any]) -> str:
    return "&".join(f"{name}={value}" for name, value in options.items() if value)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with TemporaryDirectory(dir=ON_DISK) as name, ExitStack() as stack, ThreadPoolExecutor() as pool:
        folder = Path(name)
        authority = Authority(folder / "authority")
        valkey = stack.enter_context(secure_servers.valkey_with_users(folder))
        cassandra = pool.submit(stack.enter_context, secure_servers.secure_cassandra(folder, authority))
        kafka = stack.enter_context(secure_servers.secure_kafka(folder, authority))
        cassandra.result()
        yield Servers(authority, Authority(folder / "other"), kafka, valkey)


@dataclass(frozen=True)
class Secured:
    """The URLs of an instance by user, and the settings that a process of it has."""

    servers: Servers
    proxies: dict[str, int]

    def urls(self, user: str = USER) -> dict[str, str]:
        ca = self.servers.authority.ca
        s3 = urlsplit(BLOBS)
        return {
            "rows": self.servers.rows(user),
            "events": self.servers.events(user),
            "cache": f"rediss://{USER}:{QUOTED}@127.0.0.1:{self.proxies['cache']}/0?ca={ca}",
            "groups": "duckdb:///groups.duckdb",
            "blobs": f"s3://{s3.netloc}?endpoint=https://127.0.0.1:{self.proxies['blobs']}&region=us-east-1&ca={ca}",
            "search": f"opensearchs://{LOGIN}@127.0.0.1:{self.proxies['search']}?ca={ca}",
            "prefix": PREFIX,
        }


@pytest.fixture
async def secured(servers: Servers) -> AsyncIterator[Secured]:
    certificate = servers.authority.server()
    async with AsyncExitStack() as stack:
        proxies = {
            "cache": await stack.enter_async_context(tls_proxy(certificate, f"127.0.0.1:{servers.valkey}")),
            "blobs": await stack.enter_async_context(tls_proxy(certificate, "127.0.0.1:7070")),
            "search": await stack.enter_async_context(
                tls_proxy(certificate, urlsplit(SEARCH).netloc, login=LOGIN)
            ),
        }
        yield Secured(servers, proxies)


async def command(urls: dict[str, str], folder: Path, *words: str) -> tuple[int, str]:
    """The exit code of a `cohort` command, and all that it says."""
    settings = {f"COHORT_{name.upper()}": url for name, url in urls.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", *words),
        env={**os.environ, **settings, "COHORT_DATA": str(folder), "COHORT_JWT_KEY": KEY},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_an_instance_works_with_the_least_that_the_stores_grant(
    secured: Secured, tmp_path: Path
) -> None:
    """The operator's roles create it; those of the processes do all else, and nothing is refused to them."""
    code, said = await command(secured.urls(OPERATOR), tmp_path / "operator", "init")
    assert code == 0, said
    try:
        instance = Instance(secured.urls(), tmp_path / "cohort")
        async with instance.opened() as instance.shared:
            await instance.publish_course()
            learner = instance.session("mia")
            await enrol(learner, EnrolmentCall("course", "batch"))
            for leaf in "abc":
                await start_view(learner, ViewCall(leaf, "course", "batch"))
                await end_view(learner, ViewCall(leaf, "course", "batch"), ViewChange(NOW))
            await instance.drain()
            page = await enrolments_page(instance.session("mia"), "mia", first=10, after=None, active=True)
            await instance.shared.background.settled()
            assert [one.completed is not None for one in page.members] == [True]
            assert instance.stores.cache.failures == 0
            assert await instance.stores.away() == {}
        code, said = await command(secured.urls(), tmp_path / "cohort", "doctor")
        assert code == 0, said
        assert "p@ss" not in said
        assert QUOTED not in said
    finally:
        await drop_search_index(PREFIX)


async def test_the_cache_may_do_all_that_cohort_does_and_nothing_else(secured: Secured) -> None:
    cache = await RedisCache.open(secured.urls()["cache"], PREFIX, timeout=10)
    await cache.set("key", b"value", 60)
    assert await cache.get("key") == b"value"
    assert await cache.get_many(["key", "none"]) == [b"value", None]
    await cache.raise_fields("hash", {"a": b"1", "b": b"1"}, 60)
    await cache.raise_fields("hash", {"a": b"2"}, 60, drop=["b"])
    assert await cache.hashes(["hash"]) == [{"a": b"2"}]
    await cache.drop_field("a", ["hash"])
    assert await cache.claim("claim", "me", 60)
    assert not await cache.claim("claim", "other", 60)
    await cache.release("claim", "me")
    assert await cache.claim("claim", "other", 60)
    assert await cache.spend([Spending("bucket", 1, 1, 10)]) == [9]
    await cache.delete("key")
    assert await cache.get("key") is None
    await cache._remove("*")  # as after an outage with many changes
    assert await cache.get_many(["claim", "bucket"]) == [None, None]
    assert cache.failures == 0
    await cache.close()
    others = await RedisCache.open(secured.urls()["cache"], "other", timeout=10)
    await others.set("key", b"value", 60)
    assert others.failures == 1
    await others.close()


async def test_what_a_role_may_not_is_told(secured: Secured) -> None:
    rows = await CassandraRows.open(secured.servers.rows())
    with pytest.raises(StoreUnavailable, match=r"the rows refuse it to Cohort's role.*no CREATE permission"):
        await rows.init([*TABLES])
    await rows.close()
    events = await KafkaEvents.open(secured.servers.events(), "other")
    with pytest.raises((StoreUnavailable, Exception), match=r"TopicAuthorizationFailedError|Authorization"):
        await events.init([*TOPICS])
    await events.close()


async def test_kafka_takes_a_certificate_or_a_plain_password_too(servers: Servers) -> None:
    plain = await KafkaEvents.open(servers.events(sasl="PLAIN"), PREFIX)
    await plain.ping()
    await plain.close()
    by_certificate = f"kafkas://127.0.0.1:{servers.kafka.ssl}?ca={servers.authority.ca}&cert={servers.authority.client(OPERATOR)}"
    events = await KafkaEvents.open(by_certificate, PREFIX)
    await events.init([*TOPICS])  # what the operator may: the certificate says who it is
    await events.close()
    events = await KafkaEvents.open(servers.events(), PREFIX)
    await events.send(TRIGGERS.name, Message("key", b"value"))
    await events.close()


async def test_what_is_wrong_is_told_of_each_store(secured: Secured, tmp_path: Path) -> None:
    """Each with another fault: the other stores don't hide it, nothing hangs, and no password is told."""
    servers = secured.servers
    other, right = servers.other.ca, secured.urls()
    reasons: dict[str, list[tuple[str, str]]] = {
        "rows": [
            (servers.rows(ca=other), "certificate verify failed"),
            (servers.rows(name="elsewhere.example"), "Hostname mismatch"),
            (servers.rows(password="wrong"), "Bad credentials"),
            (servers.rows(cert=""), "Cassandra at 127.0.2.1:9042: "),
            (servers.rows(ca=tmp_path / "none.pem"), "the file of ca, .*none.pem, can't be read"),
        ],
        "events": [
            (
                servers.events(ca=other),
                f"Kafka at 127.0.0.1:{servers.kafka.sasl}: .*certificate verify failed",
            ),
            (servers.events(name="elsewhere.example"), "Hostname mismatch"),
            (servers.events(password="wrong"), "invalid credentials"),
            (servers.events(sasl="SCRAM-SHA-256"), "it takes no password by SCRAM-SHA-256; set sasl"),
            (
                f"kafkas://127.0.0.1:{servers.kafka.ssl}?ca={servers.authority.ca}",
                f"Kafka at 127.0.0.1:{servers.kafka.ssl}: ",
            ),
            (servers.events(ca=tmp_path / "none.pem"), "the file of ca, .*none.pem, can't be read"),
        ],
        "cache": [
            (right["cache"].replace(str(servers.authority.ca), str(other)), "certificate verify failed"),
            (f"{right['cache']}&name=elsewhere.example", "Hostname mismatch"),
            (right["cache"].replace(QUOTED, "wrong"), "invalid username-password pair"),
        ],
        "search": [
            (right["search"].replace(str(servers.authority.ca), str(other)), "certificate verify failed"),
            (f"{right['search']}&name=elsewhere.example", "Hostname mismatch"),
            (right["search"].replace("s3cret", "wrong"), "401"),
        ],
        "blobs": [
            (
                right["blobs"].replace(f"&ca={servers.authority.ca}", ""),
                "its certificate is not taken, UnknownIssuer",
            ),
            (right["blobs"].replace("cohort-secret", "wrong"), "403 Forbidden"),
        ],
    }
    for turn in range(max(map(len, reasons.values()))):
        asked = {kind: cases[turn] for kind, cases in reasons.items() if turn < len(cases)}
        urls = right | {kind: url for kind, (url, _) in asked.items()}
        del urls["prefix"]
        found = await away(urls, PREFIX, tmp_path)
        # The search may have no index yet, which is no fault.
        assert found.keys() == asked.keys()
        for kind, (url, why) in asked.items():
            assert re.search(why, found[kind]), (url, found[kind])
            assert QUOTED not in found[kind]
            assert "wrong@" not in found[kind]


async def test_a_certificate_that_has_expired_is_told(servers: Servers, tmp_path: Path) -> None:
    expired = servers.authority.server("expired", expired=True)
    async with tls_proxy(expired, f"127.0.0.1:{servers.valkey}") as port:
        ca = servers.authority.ca
        urls = {
            "rows": f"cassandras://u:p@127.0.0.1:{port}/k?ca={ca}",
            "events": f"kafkas://127.0.0.1:{port}?ca={ca}",
            "cache": f"rediss://{USER}:{QUOTED}@127.0.0.1:{port}/0?ca={ca}",
            "groups": f"druids://127.0.0.1:{port}?ca={ca}",
            "search": f"opensearchs://127.0.0.1:{port}?ca={ca}",
        }
        found = await away(urls, PREFIX, tmp_path)
        blobs = f"s3://key:secret@bucket?endpoint=https://127.0.0.1:{port}&region=r&ca={ca}"
        in_rust = await away({"blobs": blobs}, PREFIX, tmp_path)
    assert "its certificate is not taken, Expired" in in_rust["blobs"]
    assert found.keys() == urls.keys()
    for why in found.values():
        assert "certificate has expired" in why, why


async def test_renewed_certificates_are_taken_by_stores_that_are_open(
    secured: Secured, tmp_path: Path
) -> None:
    servers, ca = secured.servers, tmp_path / "ca.pem"
    ca.write_bytes(servers.other.ca.read_bytes())
    certificate = servers.authority.server()
    async with tls_proxy(certificate, urlsplit(DRUID).netloc) as druid:
        cache = await RedisCache.open(
            f"rediss://{USER}:{QUOTED}@127.0.0.1:{secured.proxies['cache']}/0?ca={ca}", PREFIX, timeout=10
        )
        events = await KafkaEvents.open(servers.events(ca=ca), PREFIX)
        groups = await DruidGroups.open(
            f"druids://127.0.0.1:{druid}?ca={ca}", prefix=PREFIX, events=f"kafka://{KAFKA}"
        )
        for store in (cache, events, groups):
            with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
                await store.ping()
        ca.write_bytes(servers.authority.ca.read_bytes())
        for store in (cache, events, groups):
            await store.ping()
            await store.close()


async def test_commands_end_with_a_line_that_says_why(secured: Secured, tmp_path: Path) -> None:
    wrong = secured.urls() | {"rows": secured.servers.rows(password="wrong")}
    missing = secured.urls() | {"events": secured.servers.events(ca=tmp_path / "none.pem")}
    no_file = f"events: the file of ca, {tmp_path}/none.pem, can't be read: No such file or directory"
    cases = [
        (wrong, ["serve", "--port", "0"], "Bad credentials"),
        (wrong, ["doctor"], "Bad credentials"),
        (missing, ["init"], no_file),
    ]
    ended = await asyncio.gather(*(command(urls, tmp_path / words[0], *words) for urls, words, _ in cases))
    for (code, said), (_, _, why) in zip(ended, cases, strict=True):
        assert code == 1
        assert why in said
        assert "Traceback" not in said
        assert "wrong@" not in said


async def test_druid_is_asked_over_tls_with_a_password(servers: Servers) -> None:
    certificate, ca = servers.authority.server(), servers.authority.ca
    coordinator = DRUID.partition("coordinator=")[2]
    async with (
        tls_proxy(certificate, urlsplit(DRUID).netloc, login=LOGIN) as broker_port,
        tls_proxy(certificate, coordinator, login=LOGIN) as coordinator_port,
    ):
        there = f"127.0.0.1:{broker_port}?coordinator=127.0.0.1:{coordinator_port}"
        groups = await DruidGroups.open(
            f"druids://{LOGIN}@{there}&ca={ca}", prefix=PREFIX, events=f"kafka://{KAFKA}"
        )
        await groups.ping()
        await groups.close()
        for url, why in [
            (f"druids://{LOGIN}@{there}&ca={servers.other.ca}", "CERTIFICATE_VERIFY_FAILED"),
            (f"druids://reader:wrong@{there}&ca={ca}", "401"),
        ]:
            groups = await DruidGroups.open(url, prefix=PREFIX, events=f"kafka://{KAFKA}")
            with pytest.raises(StoreUnavailable) as raised:
                await groups.ping()
            assert why in str(raised.value)
            await groups.close()


async def test_tls_on_one_side_alone_is_an_error_and_no_wait(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever forgets the `s` of a scheme, or adds one, is told within the time that a store may take."""
    times_as_served(monkeypatch)
    servers = secured.servers
    ca = servers.authority.ca
    plain_clients = {
        "rows": f"cassandra://{USER}:{QUOTED}@{HOST}/{PREFIX}",
        "events": f"kafka://127.0.0.1:{servers.kafka.sasl}",
        "cache": f"redis://127.0.0.1:{secured.proxies['cache']}/0",
        "groups": f"druid://127.0.0.1:{secured.proxies['search']}?kafka={KAFKA}",
        "search": f"opensearch://127.0.0.1:{secured.proxies['search']}",
    }
    plain_servers = {
        "rows": f"cassandras://127.0.0.1:{servers.kafka.inner}/{PREFIX}?ca={ca}",
        "events": f"kafkas://127.0.0.1:{servers.kafka.inner}?ca={ca}",
        "cache": f"rediss://127.0.0.1:{servers.valkey}/0?ca={ca}",
        "groups": f"druids://127.0.0.1:{servers.kafka.inner}?ca={ca}&kafka={KAFKA}",
        "search": f"opensearchs://127.0.0.1:{servers.kafka.inner}?ca={ca}",
    }
    for urls in (plain_clients, plain_servers):
        found = await away(urls, PREFIX, tmp_path)
        assert found.keys() == urls.keys()
        assert not [why for why in found.values() if "no answer within" in why], found


async def test_druid_takes_properties_of_kafka_from_its_own_environment() -> None:
    """The stack's Druid has no secret in its environment, but a PATH: it says that this is no number."""
    kafka = Address.parse(f"{DRUID}&kafka_env=max.poll.records:PATH", f"kafka://{KAFKA}").kafka
    asked = {"type": "kafka", "topic": "none", "consumerProperties": kafka, "inputFormat": {"type": "json"}}
    schema = {"dataSource": "none", "timestampSpec": {"column": "t"}, "dimensionsSpec": {}}
    spec = {"type": "kafka", "spec": {"type": "kafka", "ioConfig": asked, "dataSchema": schema}}
    coordinator = DRUID.partition("coordinator=")[2]
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(f"http://{coordinator}/druid/indexer/v1/sampler", json=spec)
    assert re.search("Invalid value .* for configuration max.poll.records", answer.json()["error"])
