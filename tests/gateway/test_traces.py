"""One trace leads from a request to its statements, to the event that it sends, and on to the worker's recomputation."""

import re
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from stores.events import Message
from stores.topics import TRIGGERS
from telemetry import traces
from tests.conftest import Instance
from tests.gateway.watched_calls import WatchedCalls

START = """mutation Start {
  startView(input: {contentId: "a", collectionId: "course", contextId: "batch"}) { errors { code } view { status } }
}"""
CLIENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = int("0af7651916cd43dd8448eb211c80319c", 16)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces.use(provider)
    yield exporter
    traces.use(None)


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def subject_of(span: ReadableSpan) -> object:
    """The table or topic that a call of a store is about."""
    return (span.attributes or {}).get("subject")


async def test_one_trace_leads_from_a_call_to_the_workers_recomputation(
    course: Instance, spans: InMemorySpanExporter
) -> None:
    calls = WatchedCalls(course)
    answer = await calls.ask(START, calls.token("ada"), headers={"traceparent": CLIENT})
    assert answer.json()["data"]["startView"]["errors"] == []
    await course.shared.background.settled()
    await course.drain()
    (request,) = named(spans, "/graphql")
    assert trace_of(request) == TRACE
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == CLIENT.split("-")[2]
    assert re.fullmatch(f"00-{TRACE:032x}-[0-9a-f]{{16}}-01", answer.headers["traceparent"])
    ours = [span for span in spans.get_finished_spans() if trace_of(span) == TRACE]
    found = {span.name for span in ours}
    assert {"graphql.execute", "rows insert_if_absent", "events send", "workers batch"} <= found
    batch = next(span for span in ours if span.name == "workers batch")
    sent = next(span for span in ours if span.name == "events send" and subject_of(span) == TRIGGERS.name)
    assert [link.context.span_id for link in batch.links] == [sent.context.span_id]
    within = [span for span in ours if span.parent and span.parent.span_id == batch.context.span_id]
    assert {span.name for span in within} >= {"rows write", "events send"}


@pytest.mark.parametrize(
    ("query", "libraries_go_on"),
    [
        ('{ collection(identifier: "course") { name } }', False),
        ('{ collection(identifier: "none") { name } }', True),
        ('{ collection(identifier: "course") { name @include(if: true) } }', False),
        ("{ __schema { queryType { name } } }", False),
        (START, False),
        (START.replace('"a"', '"none"'), False),
    ],
    ids=["compiled", "refused", "by libraries", "of the schema", "a command", "a refused command"],
)
async def test_an_operation_is_one_span_whichever_way_it_goes(
    course: Instance, spans: InMemorySpanExporter, query: str, libraries_go_on: bool
) -> None:
    """Its first call is by the libraries; the next one is compiled, where that can be. Where compiled code finds a refusal, which the
    libraries tell, its span says so."""
    calls = WatchedCalls(course)
    for _ in range(2):
        spans.clear()
        await calls.ask(query, calls.token("ada"))
        (execution,) = named(spans, "graphql.execute")
        (request,) = named(spans, "/graphql")
        assert execution.parent is not None
        assert request.context is not None
        assert execution.parent.span_id == request.context.span_id
    went_on = [event for event in execution.events if event.name == "the libraries go on"]
    assert len(went_on) == libraries_go_on


async def test_a_statement_says_its_kind_and_table_and_no_key(
    course: Instance, spans: InMemorySpanExporter
) -> None:
    calls = WatchedCalls(course)
    await calls.ask(START, calls.token("ada-lovelace"))
    inserts = named(spans, "rows insert_if_absent")
    assert {span.attributes["subject"] for span in inserts} >= {"user_content_consumption"}  # type: ignore[index]
    events = {event.name for span in inserts for event in span.events}
    assert "conditional insert user_content_consumption" in events
    assert "ada-lovelace" not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_a_batch_of_several_traces_is_linked_to_each(
    embedded: Instance, spans: InMemorySpanExporter
) -> None:
    for number in range(3):
        with traces.request_span(f"request {number}", None):
            await embedded.stores.events.send(TRIGGERS.name, Message("u1", b"no trigger"))
    await embedded.drain()
    (batch,) = named(spans, "workers batch")
    senders = {trace_of(span) for span in spans.get_finished_spans() if span.name.startswith("request ")}
    assert {link.context.trace_id for link in batch.links} == senders
    assert trace_of(batch) not in senders


async def test_what_fails_is_told_by_its_kind(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="ada-lovelace"), traces.request_span("request", None):
        raise ValueError("ada-lovelace is no number")
    (span,) = spans.get_finished_spans()
    assert span.status.description == "ValueError"
    assert "ada-lovelace" not in span.to_json()


async def test_a_broken_traceparent_is_none(embedded: Instance, spans: InMemorySpanExporter) -> None:
    calls = WatchedCalls(embedded)
    await calls.ask("{ __typename }", headers={"traceparent": "00-zz-ada-01"})
    (request,) = named(spans, "/graphql")
    assert request.parent is None


async def test_without_traces_no_event_has_a_header(embedded: Instance) -> None:
    await embedded.stores.events.send(TRIGGERS.name, Message("u1", b"{}"))
    found = [record async for record in embedded.stores.events.read(TRIGGERS.name)]
    assert [record.headers for record in found] == [{}]
