"""Nothing that an operator reads names a learner: neither the log, in either form, nor metrics, nor spans.

Requests of many kinds, good and bad, are sent with ids, names, tokens and words that are found again wherever they get to.
"""

import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import duckdb
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.supervision import Supervised
from ingest.workers import batch
from ingest.workers.dead_letters import pending
from ingest.writes.trusted_documents import save_trusted
from loaders.session import Shared
from rules.errors import CohortError, NotFound, StoreUnavailable
from rules.identifiers import ProgressKey
from rules.triggers import TriggerKind
from rules.viewers import Role
from stores.duckdb_file import DuckFile
from stores.events import Message
from stores.groups import Lane
from stores.topics import ASSESSMENTS, PROFILES, TRIGGERS
from telemetry import traces
from telemetry.metrics import exposed
from tests.conftest import READS, Instance
from tests.gateway.test_log_lines import lines as lines
from tests.gateway.test_mcp import trusted
from tests.gateway.watched_calls import WatchedCalls

MARK = "zqxj"
"""In every id, name, word and token that a test sends. Nothing else has it."""
LEARNER = f"learner-{MARK}-1"
NAME = f"Ada {MARK} Lovelace"
FIELDS = """{
  me { userId name district enrolments { edges { node { id collection { name } completionPercentage } } } }
  collection(identifier: "course") { identifier name }
}"""
OF = "query Theirs($id: ID!, $where: String) { learner(userId: $id) { name district } }"
START = """mutation ($id: ID, $content: ID!) {
  startView(input: {userId: $id, contentId: $content, collectionId: "course", contextId: "batch"}) { errors { code message } }
}"""
VIEW = {"userId": LEARNER, "contentId": "a", "collectionId": "course", "contextId": "batch"}


@pytest.fixture(params=["text", "json"])
def told(request: pytest.FixtureRequest, lines: Any) -> Iterator["Told"]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces.use(provider)
    yield Told(lines(request.param), exporter)
    traces.use(None)


class Told:
    """What an operator was told so far."""

    def __init__(self, log: io.StringIO, spans: InMemorySpanExporter) -> None:
        self.log = log
        self.spans = spans

    def whole(self) -> dict[str, str]:
        spans = self.spans.get_finished_spans()
        return {
            "log": self.log.getvalue(),
            "metrics": exposed("")[0].decode(),
            "spans": "\n".join(span.to_json() for span in spans),
        }

    def names_nobody(self, *sent: str) -> None:
        """Fails with the line that has something of what was sent."""
        for kind, text in self.whole().items():
            leaks = [line for line in text.splitlines() if any(one in line for one in (MARK, *sent))]
            assert not leaks, f"{kind}: {leaks[0][:600]}"


@pytest.fixture
async def calls(published: Instance) -> WatchedCalls:
    """Every request is slow, so that each is told in the log."""
    profile = {
        "userId": LEARNER,
        "name": NAME,
        "district": f"Pune {MARK}",
        "changedAt": "2026-03-01T12:00:00Z",
    }
    await published.stores.events.send(PROFILES.name, Message(LEARNER, json.dumps(profile).encode()))
    return WatchedCalls(published, slow=1e-9)


class Broken:
    """A store whose calls fail with what a driver or a fault of ours might say."""

    def __init__(self, store: Any, error: Exception) -> None:
        self._store = store
        self._error = error

    def __getattr__(self, name: str) -> Any:
        if name not in (*READS, "insert_if_absent"):
            return getattr(self._store, name)

        async def call(*_arguments: Any, **_named: Any) -> Any:
            raise self._error

        return call


async def test_calls_of_tools_name_nobody(published: Instance, calls: WatchedCalls, told: Told) -> None:
    own, mentor = calls.token(LEARNER), calls.token(f"mentor-{MARK}", Role.MENTOR)
    await save_trusted(
        published.stores.rows,
        trusted(f"query Mine {FIELDS}", OF, START.replace("mutation", "mutation Start")),
    )
    statuses = [
        (await calls.call_tool(name, token, **arguments)).status_code
        for name, token, arguments in (
            ("Mine", own, {}),
            ("Theirs", mentor, {"id": LEARNER}),
            ("Theirs", own, {"id": f"other-{MARK}"}),
            ("Theirs", own, {"id": {"wrong": MARK}}),
            ("Theirs", own, {f"id-{MARK}": LEARNER}),
            ("Start", own, {"content": f"none-{MARK}"}),
            (f"tool-{MARK}", own, {}),
            ("Mine", f"token-{MARK}", {}),
            ("Mine", None, {}),
        )
    ]
    assert statuses == [200] * 7 + [401] * 2
    told.names_nobody(own, mentor)


async def test_answered_and_refused_requests_name_nobody(
    published: Instance, calls: WatchedCalls, told: Told
) -> None:
    own, mentor = calls.token(LEARNER), calls.token(f"mentor-{MARK}", Role.MENTOR)
    statuses = [
        (await calls.ask(*asked[:2], **asked[2])).status_code
        for asked in (
            (FIELDS, own, {}),
            (OF, mentor, {"variables": {"id": LEARNER}}),
            (OF, own, {"variables": {"id": f"other-{MARK}"}}),
            (START, own, {"variables": {"content": "a"}}),
            (START, own, {"variables": {"content": f"none-{MARK}"}}),
            (START, own, {"variables": {"id": f"other-{MARK}", "content": "a"}}),
            (START, own, {"variables": {"content": {"wrong": MARK}}}),
            (f'{{ learner(userId: "{LEARNER}") {{ nothing_{MARK} }} }}', mentor, {}),
            (f'{{ a_{MARK}: learner(userId: "{LEARNER}") {{ name }} }}', own, {}),
            (f'{{ learner(userId: "query {MARK}") {{ name', own, {}),
            (FIELDS, own[:-3] + "xyz", {}),
            (FIELDS, f"token-{MARK}", {}),
            (FIELDS, None, {"headers": {"X-Client": MARK}}),
        )
    ]
    assert {200, 401} <= set(statuses)
    for method, path, given in (
        ("POST", "/v1/view/start", {"json": {"request": VIEW}}),
        ("POST", "/v1/view/start", {"json": {"request": VIEW | {"contentId": MARK}}}),
        ("POST", "/v1/view/start", {"content": f"{{{MARK}"}),
        ("GET", f"/v1/user/enrolment/list/{LEARNER}", {}),
        ("GET", f"/v1/group/read/{MARK}", {}),
        ("GET", f"/no/path/{MARK}?user={MARK}", {}),
        ("POST", "/metrics/table", {"json": {"table": {"where": MARK}}}),
    ):
        await calls.call(method, path, own, **given)
    await published.shared.background.settled()
    await published.drain()
    told.names_nobody(own, mentor)
    assert told.whole()["log"].count("a slow request") >= 20
    assert told.whole()["spans"].count("workers batch") > 0


@pytest.mark.parametrize(
    "error",
    [
        KeyError(LEARNER),
        ValueError(f"{LEARNER} is no number"),
        NotFound(f"{LEARNER} is not there"),
        StoreUnavailable("the rows did not answer", detail="Cassandra: a:9042: timed out"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_faults_and_stores_that_are_away_name_nobody(
    published: Instance, calls: WatchedCalls, told: Told, error: Exception
) -> None:
    """By GraphQL and REST, in what runs beside requests, and in triggers that are sent for what a read found."""
    own = calls.token(LEARNER)
    rows = published.stores.rows
    broken = Instance(published.urls, published.data)
    broken.shared = _with_rows(published.shared, Broken(rows, error))
    failing = WatchedCalls(broken, slow=1e-9)
    await failing.ask(FIELDS, own)
    await failing.ask(START, own, variables={"content": "a"})
    await failing.call("POST", "/v1/view/start", own, json={"request": VIEW})
    broken.shared.healing.heal(TriggerKind.VIEW, ProgressKey(LEARNER, "course", "batch"), 1)
    await broken.shared.background.settled()

    class Dies:
        async def run(self) -> None:
            one.stop()
            raise error

        def stop(self) -> None: ...

    one = Supervised(Dies, first_pause=0.01)
    await one.run()
    told.names_nobody(own)
    assert MARK not in (one.failure or "")
    log = told.log.getvalue()
    assert "the worker died" in log
    if not isinstance(error, CohortError):
        assert "internal error" in log
        assert "internal error at /v1/view/start" in log
    elif isinstance(error, StoreUnavailable):
        assert "timed out" in log


def _twice(key: str) -> Callable[[duckdb.DuckDBPyConnection], Any]:
    """Work for DuckDB that fails, with the key in the error's text: two transactions write it at a time."""

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("CREATE OR REPLACE TABLE once (key VARCHAR PRIMARY KEY)")
        first, second = connection.cursor(), connection.cursor()
        for one in (first, second):
            one.execute("BEGIN")
            one.execute("INSERT INTO once VALUES (?)", [key])
        first.execute("COMMIT")
        second.execute("COMMIT")

    return work


async def test_what_engines_say_of_their_faults_names_nobody(
    published: Instance, calls: WatchedCalls, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    with duckdb.connect() as connection, pytest.raises(duckdb.TransactionException, match=MARK):
        _twice(LEARNER)(connection)  # so there is something to leave out
    read = DuckFile.read

    async def fails(self: DuckFile, lane: Lane, _work: object) -> Any:
        return await read(self, lane, _twice(LEARNER))

    monkeypatch.setattr(DuckFile, "read", fails)
    asked = "{ activityMetrics(query: {metrics: [ENROLLED_COUNT], dimensions: [COLLECTION]}) { rows } }"
    answer = await calls.ask(asked, calls.token(f"reporter-{MARK}", Role.REPORTER))
    assert answer.json()["errors"][0]["extensions"]["code"] == "STORE_UNAVAILABLE"
    told.names_nobody()
    assert "TransactionException" in told.log.getvalue(), "its kind is told"


async def test_dead_letters_keep_what_the_log_leaves_out(
    published: Instance, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of records that are no triggers, no profiles and no attempts, and of one that breaks the worker."""
    send = published.stores.events.send

    async def breaks(*_: Any) -> None:
        raise KeyError(LEARNER)

    await send(TRIGGERS.name, Message(LEARNER, f'{{"user": "{LEARNER}"'.encode()))
    await send(PROFILES.name, Message(LEARNER, json.dumps({"userId": LEARNER, "name": 7}).encode()))
    await send(ASSESSMENTS.name, Message(LEARNER, f"{MARK} is no attempt".encode()))
    await published.drain()
    monkeypatch.setattr(batch, "_settle_moves", breaks)
    await send(TRIGGERS.name, Message(LEARNER, b'{"kind": "view"}'))
    await published.drain()
    letters = [letter async for letter in pending(published.stores)]
    assert {letter.key for letter in letters} == {LEARNER}
    assert len(letters) == 4
    told.names_nobody()
    assert "which is a dead letter now" in told.log.getvalue()


def test_what_a_task_leaves_behind_names_nobody(told: Told) -> None:
    """asyncio shows the task with its error."""
    message = f"Task exception was never retrieved\nfuture: <Task exception=KeyError('{LEARNER}')>"
    logging.getLogger("asyncio").error(message, exc_info=KeyError(LEARNER))
    told.names_nobody()
    assert "never retrieved" in told.log.getvalue()


def test_a_leak_is_seen(told: Told) -> None:
    logging.getLogger("gateway.x").info("%s has come", LEARNER)
    with pytest.raises(AssertionError, match="has come"):
        told.names_nobody()


def _with_rows(shared: Shared, rows: Any) -> Shared:
    """An instance with other rows."""
    return Shared.of(replace(shared.stores, rows=rows), shared.now)
