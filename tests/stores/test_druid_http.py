"""How the Druid engine talks to a broker: what it sends, and that every way of failing is an error of its kind. A small
server takes the broker's place, so that it can fail as told."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from druid_specs import ACTIVITY_STATE
from rules.errors import Busy, DeadlineExceeded, InvalidInput, StoreUnavailable
from stores.deadline import deadline
from stores.druid_http import Address
from stores.druid_queries import Compiled
from stores.groups import Answer, Figures, Kind, Lane, Measure, Rows, Value
from stores.groups_druid import IN_FLIGHT, MANY_ROWS, DruidGroups

ROWS = Rows(ACTIVITY_STATE, ("user_id",), (("activity_id", ("a",)),))
PATIENCE = 60.0

Respond = Callable[["Request"], bytes | None]
"""The bytes of a response, or None to stay silent with the connection open."""


@dataclass
class Request:
    method: str
    path: str
    body: Any
    headers: dict[str, str]


@dataclass
class Broker:
    """Answers with ``respond`` and keeps what it was asked."""

    port: int = 0
    respond: Respond = lambda request: answered([])
    requests: list[Request] = field(default_factory=list)
    open: int = 0
    most_open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                self.requests.append(request)
                self.open += request.method == "POST"
                self.most_open = max(self.open, self.most_open)
                response = self.respond(request)
                if response is None:
                    await reader.read()  # until the client goes away
                    break
                await asyncio.sleep(0.01)
                self.open -= request.method == "POST"
                writer.write(response)
                await writer.drain()
                if b"transfer-encoding" in response:
                    break
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def requested(self, method: str) -> Request:
        """Waits for the first request of this method."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for request in self.requests:
                    if request.method == method:
                        return request
                await asyncio.sleep(0.01)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, path, _ = first.split(" ")
    return Request(method, path, orjson.loads(body) if body else None, headers)


def answered(document: object, status: int = 200, context: object = None) -> bytes:
    body = orjson.dumps(document)
    told = f"X-Druid-Response-Context: {orjson.dumps(context).decode()}\r\n" if context is not None else ""
    return f"HTTP/1.1 {status} Told\r\n{told}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    broker = Broker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    yield broker
    server.close()


@asynccontextmanager
async def opened(broker: Broker, seconds: float) -> AsyncIterator[DruidGroups]:
    url = f"druid://127.0.0.1:{broker.port}"
    groups = await DruidGroups.open(url, prefix="here", events="kafka://kafka:9092", timeout=seconds)
    yield groups
    await groups.close()


@pytest.fixture
async def groups(broker: Broker) -> AsyncIterator[DruidGroups]:
    async with opened(broker, 60) as groups:
        yield groups


def silence(request: Request) -> bytes | None:
    """To every query; those that are cancelled end."""
    return None if request.method == "POST" else answered({})


async def ask(groups: DruidGroups, lane: Lane = Lane.PAGES) -> Answer:
    return await groups.query(ROWS, lane)


async def test_a_query_carries_id_lane_priority_and_the_time_that_is_left(
    broker: Broker, groups: DruidGroups
) -> None:
    with deadline(30):
        await ask(groups, Lane.TABLES)
    await ask(groups, Lane.PAGES)
    tables, pages = (request.body["context"] for request in broker.requests)
    assert broker.requests[0].body["dataSource"] == "here.activity-state-2"
    assert tables["queryId"].startswith("here-")
    assert tables["queryId"] != pages["queryId"]
    assert (tables["lane"], pages["lane"]) == ("tables", "pages")
    assert pages["priority"] > tables["priority"]
    assert 0 < tables["timeout"] <= 30_000 < pages["timeout"] <= 60_000


async def test_what_was_away_is_told(broker: Broker, groups: DruidGroups) -> None:
    missing = [{"itvl": "2020-01-01/2020-01-02", "ver": "1", "part": 0}]
    row = ["Course", "a", "a", "cb:1", "u"]
    broker.respond = lambda request: answered([row], context={"missingSegments": missing})
    assert await ask(groups) == Answer(("user_id",), [["u"]], complete=False)
    broker.respond = lambda request: answered([row], context={})
    assert await ask(groups) == Answer(("user_id",), [["u"]], complete=True)


TIMEOUT = {
    "error": "Query timeout",
    "errorClass": "org.apache.druid.query.QueryTimeoutException",
    "errorCode": "legacyQueryException",
    "category": "TIMEOUT",
    "errorMessage": "Query[here-1] url[http://127.0.0.1:8091/druid/v2/] timed out.",
}
CAPACITY = {
    "error": "Query capacity exceeded",
    "errorMessage": "Too many concurrent queries for lane 'tables'",
}


async def test_a_query_waits_a_moment_for_its_place_in_a_lane_that_is_full(
    broker: Broker, groups: DruidGroups
) -> None:
    row = ["Course", "a", "a", "cb:1", "u"]
    responses = iter([answered(CAPACITY, 429), answered(CAPACITY, 429), answered([row])])
    broker.respond = lambda request: next(responses) if request.method == "POST" else answered({})
    assert (await ask(groups)).rows == [["u"]]
    assert groups.meter.counts["activity-state"] == 1


NEW_STYLE = {
    "error": "druidException",
    "errorCode": "general",
    "category": "RUNTIME_FAILURE",
    "errorMessage": "Something\n\tat org.apache.druid",
}


@pytest.mark.parametrize(
    ("response", "error", "reason"),
    [
        (
            answered(TIMEOUT, 504),
            DeadlineExceeded,
            "Query timeout, legacyQueryException, TIMEOUT, org.apache",
        ),
        (answered({"error": "Query timeout"}, 500), DeadlineExceeded, "Query timeout"),
        (answered(CAPACITY, 429), Busy, "Query capacity exceeded"),
        (answered({}, 429), Busy, "429"),
        (answered(NEW_STYLE, 500), StoreUnavailable, "general, RUNTIME_FAILURE"),
        (answered({"error": "Resource limit exceeded"}, 400), StoreUnavailable, "Resource limit exceeded"),
        (
            answered({"error": "Unknown exception", "errorMessage": "x" * 9999}, 500),
            StoreUnavailable,
            "Unknown exc",
        ),
        (answered(["no", "object"], 503), StoreUnavailable, "503"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", StoreUnavailable, "Bad Gateway"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[[1,", StoreUnavailable, "broke off"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n[[1,\r\n", StoreUnavailable, "Druid at"),
        (b"what?\r\n\r\ntransfer-encoding", StoreUnavailable, "Druid at"),
    ],
)
async def test_what_druid_says_becomes_an_error_of_its_kind_in_a_line(
    broker: Broker, groups: DruidGroups, response: bytes, error: type[StoreUnavailable], reason: str
) -> None:
    broker.respond = lambda request: response
    with pytest.raises(StoreUnavailable, match=reason) as raised:
        await ask(groups)
    assert type(raised.value) is error
    assert len(str(raised.value)) < 400
    assert "\n" not in str(raised.value)
    assert raised.value.message.startswith("the groups store"), "Druid's own words are for the log"
    assert "ruid" not in raised.value.message


NAMES: dict[str, object] = {
    "error": "learner-7 is none",
    "errorMessage": "bad filter [learner-7]",
    "errorCode": "learner-7",
}


async def test_what_was_asked_for_is_not_told_and_what_an_operator_set_up_is(
    broker: Broker, groups: DruidGroups
) -> None:
    """Druid's words about a query repeat its filter. Those about a supervisor name no learner, and are needed."""
    broker.respond = lambda request: answered(NAMES, 500)
    with pytest.raises(StoreUnavailable) as raised:
        await ask(groups)
    assert raised.value.detail == "Druid (500): Told"
    broker.respond = lambda request: answered({"error": "Cannot construct supervisor"}, 400)
    with pytest.raises(StoreUnavailable, match="Cannot construct supervisor"):
        await groups._http.manage("POST", "indexer/v1/supervisor", {})


async def test_a_silent_broker_is_waited_for_no_longer_than_the_request_may_take(
    broker: Broker, groups: DruidGroups
) -> None:
    broker.respond = silence
    with deadline(1), pytest.raises(DeadlineExceeded):
        await ask(groups)
    asked, cancelled = await broker.requested("POST"), await broker.requested("DELETE")
    assert cancelled.path == f"/druid/v2/{asked.body['context']['queryId']}"


async def test_a_silent_broker_is_not_waited_for_without_a_deadline_either(broker: Broker) -> None:
    broker.respond = silence
    async with opened(broker, 0.2) as groups:
        for call in (ask(groups), groups.ping()):
            with pytest.raises(StoreUnavailable, match="did not answer within"):
                await call


async def test_a_cancelled_call_is_cancelled_in_druid(broker: Broker, groups: DruidGroups) -> None:
    broker.respond = silence
    call = asyncio.create_task(ask(groups))
    asked = await broker.requested("POST")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    cancelled = await broker.requested("DELETE")
    assert cancelled.path == f"/druid/v2/{asked.body['context']['queryId']}"


async def test_nobody_there_is_an_error_at_once() -> None:
    groups = await DruidGroups.open("druid://127.0.0.1:1", prefix="here", events="kafka://kafka:9092")
    for call in (ask(groups), groups.ping(), groups.init([ACTIVITY_STATE])):
        with pytest.raises(StoreUnavailable, match="All connection attempts failed"):
            await call
    await groups.close()


@pytest.mark.parametrize("lane", list(Lane))
async def test_no_more_queries_are_under_way_than_a_lane_takes_and_all_are_answered(
    broker: Broker, groups: DruidGroups, lane: Lane
) -> None:
    answers = await asyncio.gather(*(ask(groups, lane) for _ in range(40)))
    assert len(answers) == 40
    assert broker.most_open == IN_FLIGHT[lane]


async def test_a_call_that_finds_no_place_in_time_is_told_that_all_are_taken(broker: Broker) -> None:
    broker.respond = silence
    async with opened(broker, 0.3) as groups:
        calls = [asyncio.create_task(ask(groups)) for _ in range(3 * IN_FLIGHT[Lane.PAGES])]
        with deadline(0.1), pytest.raises(DeadlineExceeded):
            await ask(groups)
        errors = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error) for error in errors} == {StoreUnavailable, Busy}


async def test_a_large_answer_is_read_beside_the_event_loop(
    broker: Broker, groups: DruidGroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, threads = Compiled.rows, []

    def noted(ready: Compiled, found: list[list[Value]]) -> Sequence[Sequence[Value]]:
        threads.append(threading.get_ident())
        return read(ready, found)

    monkeypatch.setattr(Compiled, "rows", noted)
    for many in (MANY_ROWS, MANY_ROWS + 1):
        broker.respond = lambda _, many=many: answered([["u", "a", "a", "c", "1"]] * many)  # type: ignore[misc]
        answer = await groups.query(ROWS, Lane.PAGES)
        assert len(answer.rows) == many
    small, large = threads
    assert small == threading.get_ident() != large


async def test_a_limit_of_nothing_asks_nobody(broker: Broker, groups: DruidGroups) -> None:
    count = Figures(ACTIVITY_STATE, ("status",), (Measure("n", Kind.COUNT),), limit=0)
    assert await groups.query(count, Lane.TABLES) == Answer(("status", "n"), [])
    assert broker.requests == []


async def test_a_password_of_the_address_is_sent_to_broker_and_coordinator(broker: Broker) -> None:
    address = f"127.0.0.1:{broker.port}"
    url = f"druid://reader:s3cret@{address}?coordinator={address}&kafka=k:9092"
    groups = await DruidGroups.open(url, prefix="here", events="embedded:")
    await ask(groups)
    await groups.init([ACTIVITY_STATE])
    # base64 of reader:s3cret
    assert {request.headers["authorization"] for request in broker.requests} == {"Basic cmVhZGVyOnMzY3JldA=="}
    await groups.close()


def test_addresses() -> None:
    plain = Address.parse("druid://router", "kafka://k1:9092,k2:9092")
    assert (plain.broker, plain.coordinator, plain.kafka) == (
        "http://router:8082",
        "http://router:8082",
        {"bootstrap.servers": "k1:9092,k2:9092"},
    )
    full = Address.parse(
        "druids://u:p%40@broker:9088?coordinator=master:8281&kafka=inner:9092", "kafka://outer:1"
    )
    assert (full.broker, full.coordinator, full.kafka, full.user, full.password) == (
        "https://broker:9088",
        "https://master:8281",
        {"bootstrap.servers": "inner:9092"},
        "u",
        "p@",
    )


def test_tasks_log_in_to_kafka_and_no_secret_is_in_their_spec() -> None:
    address = Address.parse(
        "druids://u:p@broker?kafka=inner:9094&kafka_env=sasl.jaas.config:KAFKA_JAAS, ssl.truststore.location:CA",
        "kafkas://cohort:hush@outer:9094?sasl=PLAIN&ca=/ca.pem",
    )
    assert address.kafka == {
        "bootstrap.servers": "inner:9094",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "druid.dynamic.config.provider": {
            "type": "environment",
            "variables": {"sasl.jaas.config": "KAFKA_JAAS", "ssl.truststore.location": "CA"},
        },
    }
    assert "hush" not in repr(address)


@pytest.mark.parametrize(
    ("url", "events", "says"),
    [
        ("druid://", "kafka://k:9092", "BROKER"),
        ("druid://b/path", "kafka://k:9092", "BROKER"),
        ("druid://b?overlord=c:1", "kafka://k:9092", "overlord"),
        ("druid://b", "embedded:", "reads from Kafka"),
    ],
)
def test_an_address_that_is_wrong_says_what_would_be_right(url: str, events: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as raised:
        Address.parse(url, events)
    assert raised.value.field == "groups"
