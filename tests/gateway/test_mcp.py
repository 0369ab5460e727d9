"""Agents call trusted documents as tools: who may, what they get, and what it costs (docs/mcp.md)."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from jsonschema import Draft202012Validator
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.types import Message

from gateway.app import session_of
from gateway.http.admission import Admission
from gateway.identity import make_token
from gateway.mcp import calls, results, routes
from gateway.mcp.routes import agents_of
from gateway.settings import Settings, SettingsError, load_settings
from gateway.wiring import Cohort
from ingest.writes.trusted_documents import remove_trusted, save_trusted
from loaders import client_documents
from loaders.session import Shared
from rules.client_documents import TrustedDocument, document_id
from rules.errors import StoreUnavailable
from rules.viewers import Role
from tests.conftest import Instance
from tests.gateway.agents import ERAS, JSON, agent, call, codes, message, refused_with, told
from tests.gateway.conftest import KEY, Serving, copy_data, http_scope
from tests.gateway.test_metrics import grown, own
from tests.gateway.test_rates import by_clock
from tests.graph.test_metrics import STATES
from tests.loaders.figures import fill

ME = "# Who I am.\nquery Me { me { userId } }"
COLLECTION = "query Collection($id: String!) { collection(identifier: $id) { identifier name } }"
TWO = "query Two($id: String!) { me { userId } collection(identifier: $id) { name } }"
CONTEXT = "query Context($id: String!) { context(contextId: $id) { name } }"
START = """mutation Start($content: String!) {
  startView(input: { contentId: $content, collectionId: "course", contextId: "batch" }) { errors { code field message } view { status } }
}"""
FIGURES = """query Figures($mode: AggregationMode) {
  activityMetrics(query: { metrics: [ENROLLED_COUNT], dimensions: [COLLECTION], mode: $mode }) { rows }
}"""
COURSES = "query Courses($most: Int) { me { userId enrolments(first: $most) { totalCount } } }"
SUMMARY = (
    'query Summary($batch: String!) { me { summary(collectionId: "course", contextId: $batch) { status } } }'
)
BLIND = """mutation Blind($batch: String!) {
  enrol(input: { collectionId: "course", contextId: $batch }) { enrolment { status } }
}"""
DOCUMENTS = (ME, COLLECTION, TWO, CONTEXT, START, FIGURES)


def trusted(*texts: str) -> list[TrustedDocument]:
    return [
        TrustedDocument(document_id(text), "Some", text, datetime(2026, 1, 31, tzinfo=UTC)) for text in texts
    ]


def token(user: str = "ada", *roles: Role) -> str:
    return make_token(load_settings(jwt_key=KEY), user, roles or [Role.LEARNER], timedelta(hours=1))


def bearer(user: str = "ada", *roles: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user, *roles)}"}


@asynccontextmanager
async def offered(serving: Serving, *texts: str, **given: Any) -> AsyncIterator[Any]:
    """An application with these tools, or all of DOCUMENTS, and a client of it."""
    settings = load_settings(jwt_key=KEY, **{"mcp": "all", **given})
    await copy_data(settings, course=True)
    async with serving(settings) as client:
        shared: Shared = client.app.state.cohort.shared  # type: ignore[attr-defined]
        await save_trusted(shared.stores.rows, trusted(*(texts or DOCUMENTS)))
        yield client


@asynccontextmanager
async def offered_on(instance: Instance, **given: Any) -> AsyncIterator[Starlette]:
    """The endpoint alone, on an instance that is there."""
    settings = Settings(jwt_key=KEY, data=instance.data, mcp="all", **given)  # type: ignore[arg-type]
    await save_trusted(instance.stores.rows, trusted(*DOCUMENTS))
    agents = agents_of(settings, session_of, Admission())
    app = Starlette(routes=agents.routes)
    app.state.cohort = Cohort(settings, instance.shared)
    async with agents.serving():
        yield app


async def post(
    client: httpx.AsyncClient, body: Any, user: str | None = "ada", **headers: str
) -> httpx.Response:
    sent = {**JSON, **({} if user is None else bearer(user)), **headers}
    return await client.post("/mcp", content=orjson.dumps(body), headers=sent)


# --- what there is


@pytest.mark.parametrize("era", ERAS)
async def test_an_agent_finds_the_trusted_documents_and_calls_them(course: Instance, era: str) -> None:
    """On embedded engines and on the real servers, as both eras of the protocol have it."""
    async with offered_on(course) as app, agent(app, token(), era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert [*tools] == ["Collection", "Context", "Figures", "Me", "Start", "Two"]
        assert tools["Me"].description == "Who I am."
        assert tools["Collection"].input_schema["required"] == ["id"]
        hints = tools["Start"].annotations
        assert hints is not None
        assert (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint) == (False, False, True)
        found = await client.call_tool("Collection", {"id": "course"})
        assert not found.is_error
        assert told(found) == {
            "data": {"collection": {"identifier": "course", "name": "Course"}},
            "asOf": "2026-03-01T12:00:00.000Z",
            "complete": True,
        }
        text = found.content[0]
        assert text.type == "text"
        assert orjson.loads(text.text) == told(found), "for clients that read texts alone"
        started = await client.call_tool("Start", {"content": "a"})
        assert told(started)["data"]["startView"]["view"] == {"status": "IN_PROGRESS"}
    await course.shared.background.settled()
    await course.drain()


async def test_a_document_of_a_former_release_is_called_and_not_listed(serving: Serving) -> None:
    now, (former,) = "query Mine { me { userId name } }", trusted("query Mine { me { userId } }")
    async with offered(serving, now) as http:
        shared: Shared = http.app.state.cohort.shared
        loaded = replace(former, loaded_on=former.loaded_on - timedelta(days=1))
        await save_trusted(shared.stores.rows, [loaded])
        async with agent(http.app, token()) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["Mine"]
            found = await client.call_tool(f"Mine_{former.id[:8]}", {})
            assert told(found)["data"] == {"me": {"userId": "ada"}}


@pytest.mark.parametrize("era", ERAS)
async def test_it_is_told_who_serves_it_and_how_to_read_answers(serving: Serving, era: str) -> None:
    async with offered(serving) as http, agent(http.app, token(), era) as client:
        assert client.server_info is not None
        assert client.server_info.name == "cohort"
        assert "complete" in (client.instructions or "")
        assert client.server_capabilities.tools is not None
        assert (await post(http, message("ping", "p"))).json() == {"jsonrpc": "2.0", "id": "p", "result": {}}


async def test_queries_alone_are_offered_where_the_setting_says_so(serving: Serving) -> None:
    async with offered(serving, mcp="queries") as http, agent(http.app, token()) as client:
        assert "Start" not in {tool.name for tool in (await client.list_tools()).tools}
        with pytest.raises(MCPError, match="there is no tool 'Start'"):
            await client.call_tool("Start", {"content": "a"})


async def test_without_the_setting_there_is_nothing_at_mcp(serving: Serving, settings: Settings) -> None:
    async with serving(settings) as client:
        assert (await post(client, message("ping"))).status_code == 404


async def test_without_the_library_a_server_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(routes, "LIBRARY", "a_library_that_is_not_there")
    with pytest.raises(SettingsError, match=r"pip install 'cohort\[mcp\]'") as refused:
        agents_of(load_settings(jwt_key=KEY, mcp="queries"), session_of, Admission())
    assert refused.value.field == "mcp"
    assert agents_of(load_settings(jwt_key=KEY, dev=True), session_of, Admission()).routes == ()
    assert "cohort[mcp]" in caplog.text


async def test_many_tools_come_in_pages(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PAGE", 2)
    async with offered(serving) as http, agent(http.app, token()) as client:
        pages, cursor = [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            pages.append([tool.name for tool in page.tools])
            if (cursor := page.next_cursor) is None:
                break
        assert pages == [["Collection", "Context"], ["Figures", "Me"], ["Start", "Two"]]
        with pytest.raises(MCPError) as refused:
            await client.list_tools(cursor="nonsense")
        assert (refused.value.code, refused.value.data) == (
            -32602,
            {"code": "INVALID_INPUT", "field": "cursor"},
        )


async def test_a_document_that_is_removed_is_called_no_longer(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("gateway.mcp.catalogue", "loaders.client_documents"):
        monkeypatch.setattr(f"{module}.KEPT_FOR", 0.0)
    async with offered(serving) as http, agent(http.app, token()) as client:
        assert not (await client.call_tool("Me")).is_error
        await remove_trusted(http.app.state.cohort.stores.rows, [document_id(ME)])
        with pytest.raises(MCPError, match="there is no tool 'Me'"):
            await client.call_tool("Me")
        newer = "query Collection { me { name } }"
        await save_trusted(http.app.state.cohort.stores.rows, trusted(newer))
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert "Collection" in names
        assert len(names) == 5, "of one name the newest is listed"


# --- what is answered


async def test_a_tool_answers_what_its_document_answers_at_graphql(serving: Serving) -> None:
    async with offered(serving) as http, agent(http.app, token()) as client:
        for text, name, arguments in (
            (ME, "Me", {}),
            (COLLECTION, "Collection", {"id": "course"}),
            (COLLECTION, "Collection", {"id": "nothing"}),
            (TWO, "Two", {"id": "nothing"}),
        ):
            asked = await http.post(
                "/graphql", json={"query": text, "variables": arguments}, headers=bearer()
            )
            answer, result = asked.json(), told(await client.call_tool(name, arguments))
            assert result["data"] == answer["data"]
            for error in answer.get("errors", []):
                del error["locations"]  # in a document that the agent never saw
                error["extensions"]["argument"] = "id"  # as the agent calls it
            assert result.get("errors", []) == answer.get("errors", [])


async def test_a_part_that_is_missing_makes_an_answer_incomplete_and_no_answer_an_error(
    serving: Serving,
) -> None:
    async with offered(serving) as http, agent(http.app, token()) as client:
        part = await client.call_tool("Two", {"id": "nothing"})
        assert (part.is_error, codes(part), told(part)["complete"]) == (False, ["NOT_FOUND"], False)
        assert told(part)["data"]["me"] == {"userId": "ada"}
        none = await client.call_tool("Context", {"id": "nothing"})
        assert (none.is_error, codes(none), told(none)["complete"]) == (True, ["NOT_FOUND"], False)
        assert told(none)["errors"][0]["extensions"]["field"] == "contextId"
        line = none.content[0]
        assert line.type == "text"
        assert line.text.startswith("NOT_FOUND: ")
        assert line.text.endswith("(argument id)")
        partly = part.content[0]
        assert partly.type == "text"
        assert partly.text.startswith("NOT_FOUND: "), "a part that is missing is told first, too"


async def test_an_answer_of_nulls_alone_is_an_error_however_deep_they_are(serving: Serving) -> None:
    async with offered(serving, SUMMARY) as http, agent(http.app, token()) as client:
        none = await client.call_tool("Summary", {"batch": "nothing"})
        assert told(none)["data"] == {"me": {"summary": None}}
        assert (none.is_error, codes(none)) == (True, ["NOT_FOUND"])


async def test_a_wrong_argument_is_an_error_though_the_rest_is_answered(serving: Serving) -> None:
    async with offered(serving, COURSES) as http, agent(http.app, token()) as client:
        wrong = await client.call_tool("Courses", {"most": 500})
        assert told(wrong)["data"] == {"me": {"userId": "ada", "enrolments": None}}
        assert (wrong.is_error, codes(wrong)) == (True, ["INVALID_INPUT"])
        line = wrong.content[0]
        assert line.type == "text"
        assert line.text == "INVALID_INPUT: first must be from 1 to 200 (argument most)"


async def test_a_mutation_that_was_refused_is_an_error_though_its_document_does_not_ask_why(
    serving: Serving,
) -> None:
    async with offered(serving, BLIND) as http, agent(http.app, token()) as client:
        (tool,) = (await client.list_tools()).tools
        refused = await client.call_tool("Blind", {"batch": "nothing"})
        assert (refused.is_error, told(refused)["complete"]) == (True, False)
        (error,) = told(refused)["data"]["enrol"]["errors"]
        line = refused.content[0]
        assert line.type == "text"
        assert line.text == f"{error['code']}: {error['message']} (argument batch)"
        assert Draft202012Validator(tool.output_schema).is_valid(told(refused))


async def test_a_mutation_that_was_refused_is_an_error(serving: Serving) -> None:
    async with offered(serving) as http, agent(http.app, token()) as client:
        refused = await client.call_tool("Start", {"content": "nothing"})
        assert (refused.is_error, told(refused)["complete"]) == (True, False)
        (error,) = told(refused)["data"]["startView"]["errors"]
        assert (error["code"], error["field"]) == ("NOT_FOUND", "contentId")
        line = refused.content[0]
        assert line.type == "text"
        assert line.text == f"NOT_FOUND: {error['message']} (argument content)"


@pytest.mark.parametrize(
    ("arguments", "field", "argument", "code"),
    [
        ({}, "id", "id", "BAD_REQUEST"),
        ({"id": None}, "id", "id", "BAD_REQUEST"),
        ({"id": ["course"]}, "id", "id", "BAD_REQUEST"),
        ({"id": ""}, "identifier", "id", "INVALID_INPUT"),
        ({"id": "course", "idd": "course"}, "idd", "idd", "INVALID_INPUT"),
        ({"id": "course", "i\x1bd": "course"}, "i d", "i d", "INVALID_INPUT"),
    ],
)
async def test_an_argument_that_is_wrong_is_named(
    serving: Serving, arguments: dict[str, Any], field: str, argument: str, code: str
) -> None:
    async with offered(serving) as http, agent(http.app, token()) as client:
        refused = await client.call_tool("Collection", arguments)
        assert refused.is_error
        (error,) = told(refused)["errors"]
        found = error["extensions"]
        assert (found["code"], found["field"], found["argument"]) == (code, field, argument)
        assert "locations" not in error


async def test_a_tool_that_is_not_there_is_an_error_of_the_protocol(serving: Serving) -> None:
    async with offered(serving) as http, agent(http.app, token()) as client:
        with pytest.raises(MCPError, match=r"do you mean Collection\?") as refused:
            await client.call_tool("Colection")
        assert (refused.value.code, refused.value.data) == (-32602, {"code": "NOT_FOUND", "field": "name"})


@pytest.mark.parametrize(
    ("counted_on", "mode", "told_as"),
    [
        (datetime(2026, 2, 28, 3, tzinfo=UTC), "BATCH", ("2026-02-28T03:00:00.000Z", True)),
        (datetime(2026, 2, 28, 3, tzinfo=UTC), "QUERY", ("2026-03-01T12:00:00.000Z", True)),
        (None, "BATCH", (None, False)),
    ],
)
async def test_figures_say_as_of_when_they_are_though_the_document_does_not_ask(
    embedded: Instance, counted_on: datetime | None, mode: str, told_as: tuple[str | None, bool]
) -> None:
    """Four are enrolled in one course and one in the other. Totals are of the last aggregation; without one they are not known."""
    await fill(embedded, STATES, counted_on)
    async with offered_on(embedded) as app, agent(app, token("rita", Role.REPORTER)) as client:
        (tool,) = [one for one in (await client.list_tools()).tools if one.name == "Figures"]
        found = told(await client.call_tool("Figures", {"mode": mode}))
    if counted_on is not None:
        assert found["data"]["activityMetrics"]["rows"] == [["course", 4], ["other", 1]]
    assert (found["asOf"], found["complete"]) == told_as
    check = Draft202012Validator(tool.output_schema)
    assert check.is_valid(found)
    assert not check.is_valid({**found, "data": {"activityMetrics": {"rows": []}}}), "it has more than rows"


# --- who may


@pytest.mark.parametrize("era", ERAS)
async def test_without_a_token_nothing_is_listed_or_read(serving: Serving, era: str) -> None:
    async with offered(serving) as http:
        with pytest.raises(BaseExceptionGroup) as refused:
            async with agent(http.app, None, era) as client:
                await client.list_tools()
        assert refused_with(refused.value).data["code"] == "UNAUTHENTICATED"
        for body in (message("tools/list"), call("Me"), call("Collection", {"id": "course"})):
            answer = await post(http, body, None)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.json()["error"]["data"]["code"] == "UNAUTHENTICATED"
            assert answer.json()["id"] == 1
        broken = await post(http, message("ping"), None, Authorization="Bearer broken")
        assert (broken.status_code, broken.headers["www-authenticate"]) == (401, "Bearer")
        unknown = await post(http, call("Colection"), None)
        assert "Collection" not in unknown.text, "who is not told which tools there are can't try their names"


async def test_where_everybody_may_read_the_schema_everybody_is_told_the_tools(serving: Serving) -> None:
    async with offered(serving, introspection="open") as http, agent(http.app) as client:
        assert len((await client.list_tools()).tools) == 6
        with pytest.raises(MCPError) as refused:
            await client.call_tool("Me")
        assert refused.value.data["code"] == "UNAUTHENTICATED"


async def test_where_nobody_may_read_the_schema_who_has_a_token_is_told_the_tools(serving: Serving) -> None:
    async with offered(serving, introspection="off") as http, agent(http.app, token()) as client:
        assert len((await client.list_tools()).tools) == 6
        assert (await post(http, message("tools/list"), None)).status_code == 401


async def test_pages_of_other_origins_are_refused(serving: Serving) -> None:
    """A page whose host is this machine by DNS is one of those."""
    async with offered(serving, allowed_origins=("https://app.example",)) as http:
        for origin, status in (("https://app.example", 200), ("https://evil.example", 403), ("null", 403)):
            assert (await post(http, message("ping"), Origin=origin)).status_code == status
        asked = {
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version,mcp-method,mcp-name",
        }
        assert (await http.options("/mcp", headers=asked)).status_code == 200


async def test_pages_of_this_machine_may_call_where_one_develops(serving: Serving) -> None:
    async with offered(serving, dev=True, mcp="off") as http:
        assert (await post(http, message("ping"), None, Origin="http://localhost:6274")).status_code == 200
        assert (await post(http, message("ping"), None, Origin="https://evil.example")).status_code == 403


async def test_a_client_learns_which_server_makes_its_tokens(serving: Serving, tmp_path: Any) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text('{"keys": []}')
    given = {
        "jwks_url": f"file://{keys}",
        "jwt_algorithms": ("HS256", "RS256"),
        "jwt_issuer": "https://id.example",
        "jwt_audience": "https://cohort.example/mcp",
        "public_url": "https://cohort.example",
    }
    async with offered(serving, **given) as http:
        place = "/.well-known/oauth-protected-resource"
        for path in (place, f"{place}/mcp"):
            assert (await http.get(path)).json() == {
                "resource": "https://cohort.example/mcp",
                "authorization_servers": ["https://id.example"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Cohort",
            }
        refused = await post(http, message("tools/list"), None)
        expected = f'Bearer resource_metadata="https://cohort.example{place}/mcp"'
        assert refused.headers["www-authenticate"] == expected
    async with serving(load_settings(jwt_key=KEY, mcp="all")) as http:
        assert (await http.get(place)).status_code == 404, "tokens are this instance's own"


# --- what it costs


async def test_calls_and_queries_are_paid_from_one_purse(serving: Serving) -> None:
    async with offered(serving) as http, agent(http.app, token(), "legacy") as client:
        await client.list_tools()
        clock = by_clock(http, points=10)
        for _ in range(5):
            assert (await http.post("/graphql", json={"query": ME}, headers=bearer())).status_code == 200
            assert not (await client.call_tool("Me")).is_error
        assert (await http.post("/graphql", json={"query": ME}, headers=bearer())).status_code == 429
        refused = await post(http, call("Me"))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "6")
        error = refused.json()["error"]
        assert error["data"] == {"code": "RATE_LIMITED", "limit": "rate_points", "most": 10, "retryAfter": 6}
        assert (await post(http, call("Me"), "bob")).status_code == 200
        clock.now += 6
        answer = await post(http, call("Me"))
        assert answer.headers["X-Cost"] == "estimate=1; actual=1"
        assert '"user";r=0;' in answer.headers["RateLimit"]


async def test_what_is_no_message_costs_its_sender_what_its_body_costs(serving: Serving) -> None:
    async with offered(serving) as http:
        by_clock(http, points=100)
        refused = await http.post("/mcp", content=b"{" * 20_000, headers={**JSON, **bearer()})
        assert refused.status_code == 400
        assert '"user";r=80;' in refused.headers["RateLimit"], "a point for each 1,000 bytes"
        by_nobody = await http.post("/mcp", content=b"{}", headers={**JSON, "Authorization": "Bearer broken"})
        assert '"anonymous";r=49;' in by_nobody.headers["RateLimit"], "its address pays a point"


async def test_a_call_that_costs_more_than_is_left_says_when_to_come_again(serving: Serving) -> None:
    many = "query Many($ids: [String!]!) { collections(identifiers: $ids) { identifier } }"
    async with offered(serving, many) as http, agent(http.app, token(), "legacy") as client:
        await client.list_tools()
        by_clock(http, points=20)
        asked = {"ids": [f"{number}" for number in range(15)]}  # 16 points
        assert not (await client.call_tool("Many", asked)).is_error
        refused = await client.call_tool("Many", asked)
        assert (refused.is_error, codes(refused)) == (True, ["RATE_LIMITED"])
        assert told(refused)["errors"][0]["extensions"]["retryAfter"] > 0
        assert told(refused)["data"] is None


async def test_a_call_over_the_budget_is_refused_before_anything_is_read(serving: Serving) -> None:
    many = "query Many($ids: [String!]!) { collections(identifiers: $ids) { identifier } }"
    async with offered(serving, many, budget_partitions=10) as http, agent(http.app, token()) as client:
        await client.list_tools()
        with http.app.state.cohort.stores.rows.meter.measure() as statements:
            refused = await client.call_tool("Many", {"ids": [f"{number}" for number in range(50)]})
        assert (refused.is_error, codes(refused)) == (True, ["TOO_EXPENSIVE"])
        assert not statements


async def test_an_answer_that_is_more_than_a_model_reads_is_refused(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "LARGEST", 50)
    async with offered(serving) as http, agent(http.app, token()) as client:
        assert not (await client.call_tool("Me")).is_error
        refused = await client.call_tool("Collection", {"id": "course"})
        assert (refused.is_error, codes(refused)) == (True, ["TOO_EXPENSIVE"])
        assert told(refused)["errors"][0]["extensions"]["most"] == {"bytes": 50}
        done = await client.call_tool("Start", {"content": "a"})
        assert "it was carried out, but" in told(done)["errors"][0]["message"]


async def test_a_call_ends_with_the_time_of_a_request(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("resolvers.contexts.context", endless)
    async with offered(serving, request_timeout=1.0) as http, agent(http.app, token()) as client:
        late = await client.call_tool("Context", {"id": "batch"})
        assert (late.is_error, codes(late)) == (True, ["DEADLINE_EXCEEDED"])


async def test_a_process_that_works_on_as_much_as_it_can_says_when_to_come_again(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, released = asyncio.Event(), asyncio.Event()

    async def slow(*_: object, **__: object) -> None:
        reached.set()
        await released.wait()

    monkeypatch.setattr("resolvers.contexts.context", slow)
    async with offered(serving, most_at_once=1, request_timeout=60.0) as http:
        held = asyncio.create_task(post(http, call("Context", {"id": "batch"})))
        await reached.wait()
        refused = await post(http, call("Me"), "bob")
        released.set()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["data"]["code"] == "OVERLOADED"
        assert (await held).status_code == 200


@pytest.mark.parametrize("version", [None, "2025-11-25", "2026-07-28"])
async def test_the_work_ends_with_the_client(
    embedded: Instance, version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, cancelled = asyncio.Event(), asyncio.Event()

    async def endless(*_: object, **__: object) -> None:
        reached.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    monkeypatch.setattr("resolvers.contexts.context", endless)
    body = call("Context", {"id": "batch"})
    headers = {
        "authorization": f"Bearer {token()}",
        "content_type": "application/json",
        "accept": "application/json",
    }
    if version is not None:
        headers["mcp_protocol_version"] = version
    if version == "2026-07-28":
        headers |= {"mcp_method": "tools/call", "mcp_name": "Context"}
        prefix = "io.modelcontextprotocol"
        body["params"]["_meta"] = {f"{prefix}/protocolVersion": version, f"{prefix}/clientCapabilities": {}}
    messages: list[Message] = [{"type": "http.request", "body": orjson.dumps(body), "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await reached.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(30), offered_on(embedded) as app:
        await app(http_scope("POST", "/mcp", **headers), receive, send)
        await cancelled.wait()
    assert sent == []


async def test_a_store_that_is_away_is_told_and_nothing_of_it(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> Any:
        raise StoreUnavailable("the rows are away", detail="at 10.0.0.1")

    async with offered(serving) as http, agent(http.app, token(), "legacy") as client:
        with monkeypatch.context() as patched:
            patched.setattr(client_documents.ClientDocuments, "all_trusted", away)
            refused = await client.call_tool("Me")
            assert (refused.is_error, codes(refused)) == (True, ["STORE_UNAVAILABLE"])
            assert "10.0.0.1" not in str(told(refused))
            listed = await post(http, message("tools/list"))
            assert listed.status_code == 503
        assert not (await client.call_tool("Me")).is_error, "it is read again"


@pytest.mark.parametrize("place", ["resolvers.contexts.context", "gateway.mcp.calls.result_of"])
async def test_a_fault_shows_an_id_and_no_trace(
    serving: Serving, place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    async with offered(serving) as http:
        monkeypatch.setattr(place, broken)
        answer = await post(http, call("Context", {"id": "batch"}))
    assert "secret" not in answer.text
    body = answer.json()
    error = (
        body["error"]["data"]
        if "error" in body
        else body["result"]["structuredContent"]["errors"][0]["extensions"]
    )
    assert error["code"] == "INTERNAL_ERROR"
    assert error["errorId"] in caplog.text


# --- how it is spoken


async def test_other_methods_than_post_are_not_allowed(serving: Serving) -> None:
    """There are no sessions to listen to or to end."""
    async with offered(serving) as http:
        for method in ("GET", "DELETE", "PUT"):
            answer = await http.request(method, "/mcp", headers={**JSON, **bearer()})
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, -32700),
        (b"[]", 400, -32600),
        (b"5", 400, -32600),
        (orjson.dumps([call("Me"), call("Me")]), 400, -32600),
        (b'{"jsonrpc": "2.0"}', 400, -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}', 400, -32600),
        (
            b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": '
            + b"[" * 500
            + b"]" * 500
            + b"}}",
            400,
            -32600,
        ),
        (b" " * 2_000_000, 413, -32010),
        (orjson.dumps(message("tools/call", name=5)), 400, -32602),
        (orjson.dumps(message("tools/call")), 400, -32602),
        (orjson.dumps(message("tools/call", name="Me", arguments=[1])), 400, -32602),
    ],
)
async def test_what_is_no_message_is_refused(serving: Serving, body: bytes, status: int, code: int) -> None:
    async with offered(serving, largest_body=1_000_000) as http:
        answer = await http.post("/mcp", content=body, headers={**JSON, **bearer()})
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == code
        assert answer.json()["jsonrpc"] == "2.0"
        assert "Traceback" not in answer.text
        plain = await http.post("/mcp", content=b"{}", headers={**bearer(), "Content-Type": "text/plain"})
        assert plain.status_code == 415


async def test_notifications_are_taken_and_unknown_methods_named(serving: Serving) -> None:
    async with offered(serving) as http:
        for method in ("notifications/initialized", "notifications/cancelled"):
            taken = await post(http, message(method, None, requestId=1))
            assert (taken.status_code, taken.content) == (202, b"")
        unknown = await post(http, message("resources/list"))
        assert unknown.json()["error"]["code"] == -32601


async def test_many_agents_are_answered_at_once_each_as_themselves(serving: Serving) -> None:
    async with offered(serving) as http:
        users = [f"u{number}" for number in range(40)]
        answers = await asyncio.gather(*(post(http, call("Me"), user) for user in users))
    told_to = [answer.json()["result"]["structuredContent"]["data"]["me"]["userId"] for answer in answers]
    assert told_to == users


# --- what operators see


async def test_calls_are_counted_and_told_as_their_documents_are(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with offered(serving, slow_request=0.000001) as http:
        await post(http, message("tools/list"))
        before = own()
        with caplog.at_level(logging.WARNING):
            await post(http, call("Collection", {"id": "nothing-secret"}))
        assert grown(before, "cohort_requests_total", route="/mcp", status="200") == 1
        assert grown(before, "cohort_errors_total", route="/mcp", code="NOT_FOUND") == 1
        assert grown(before, "cohort_operations_total", type="query", operation="other") == 1
    line = [record for record in caplog.records if record.message == "a slow request"][-1]
    fields = line.fields  # type: ignore[attr-defined]
    assert (fields["route"], fields["operation"]) == ("/mcp", "Collection")
    assert fields["document"] == document_id(COLLECTION)[:12], "the same that it has at /graphql"
    assert fields["caller"]
    assert "nothing-secret" not in str([record.__dict__ for record in caplog.records])
