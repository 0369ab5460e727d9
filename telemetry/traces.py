"""Traces by OpenTelemetry, from a request to its statements and events, and on to the workers.

The packages are optional (``pip install 'cohort[tracing]'``) and imported only once traces are wanted. Until then ``span``
costs a comparison. Requests and batches of events begin traces; whatever else runs outside of them has no span.
Spans have names and attributes that the program has. Errors are told by their kind: their texts may name learners.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, SpanKind, Tracer

TRACEPARENT = "traceparent"
"""The header of requests and events that says which span they come from (W3C Trace Context)."""
MOST_LINKS = 100
"""Spans that one batch of events is linked to, at most."""
Attributes = Mapping[str, str | int]

_NOTHING: AbstractContextManager[None] = nullcontext()
_tracer: "Tracer | None" = None


class NotInstalled(Exception):
    """The packages of OpenTelemetry are not there."""


def are_on() -> bool:
    return _tracer is not None


def use(provider: "TracerProvider | None") -> None:
    """Sends spans to this provider from now on; to nobody for None."""
    global _tracer
    _tracer = None if provider is None else provider.get_tracer("cohort")


@contextmanager
def exported(url: str, ratio: float, version: str) -> Iterator[None]:
    """Within, spans go to the collector at ``url`` by OTLP over HTTP; at the end what is left is sent.

    ``ratio``: the part of traces that is kept, from 0 to 1, whatever a client asks for. NotInstalled without the packages.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise NotInstalled(str(error)) from None
    some = TraceIdRatioBased(ratio)
    provider = TracerProvider(
        # By the trace's id alone: a client's wish to have all of its requests traced is not followed.
        sampler=ParentBased(some, remote_parent_sampled=some),
        resource=Resource.create({"service.name": "cohort", "service.version": version}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces")))
    use(provider)
    try:
        yield
    finally:
        use(None)
        provider.shutdown()


def request_span(name: str, traceparent: str | None) -> AbstractContextManager[None]:
    """The span of a request. It goes on with the client's trace, if the client has one."""
    if _tracer is None:
        return _NOTHING
    from opentelemetry.trace import SpanKind

    parents = [] if traceparent is None else [traceparent]
    return _begun(_tracer, name, SpanKind.SERVER, {}, parents)


def batch_span(
    name: str, traceparents: Sequence[str], attributes: Attributes
) -> AbstractContextManager[None]:
    """The span of a batch of events that come from these spans.

    If all come from one trace, it is part of it. Otherwise it begins a trace that is linked to theirs.
    """
    if _tracer is None:
        return _NOTHING
    from opentelemetry.trace import SpanKind

    return _begun(_tracer, name, SpanKind.CONSUMER, attributes, traceparents)


def span(name: str, attributes: Attributes, *, calls: bool = False) -> AbstractContextManager[None]:
    """A span within the current one; nothing where there is none. ``calls``: it waits for a server."""
    if _tracer is None:
        return _NOTHING
    from opentelemetry import trace

    if not trace.get_current_span().get_span_context().is_valid:
        return _NOTHING
    return _ended(_tracer, name, trace.SpanKind.CLIENT if calls else trace.SpanKind.INTERNAL, attributes)


def event(name: str) -> None:
    """Adds a moment to the current span."""
    from opentelemetry import trace

    trace.get_current_span().add_event(name)


def describe(name: str, attributes: Attributes) -> None:
    """Renames the current span, and adds to it what is only known now."""
    if _tracer is None:
        return
    from opentelemetry import trace

    current = trace.get_current_span()
    current.update_name(name)
    current.set_attributes(dict(attributes))


def traceparent() -> str | None:
    """What names the current span to others; None where there is none."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(TRACEPARENT)


def trace_id() -> str | None:
    """The current trace's id in hex digits; None where there is none."""
    if _tracer is None:
        return None
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def bare_context() -> Context:
    """A context with nothing of the current one but its span: for work that outlives who began it."""
    bare = Context()
    if _tracer is not None:
        from opentelemetry import context

        bare.run(context.attach, context.get_current())
    return bare


def _begun(
    tracer: "Tracer", name: str, kind: "SpanKind", attributes: Attributes, traceparents: Sequence[str]
) -> AbstractContextManager[None]:
    """A span that goes on with the trace of these, or begins one."""
    from opentelemetry.context import Context as OfTraces
    from opentelemetry.trace import Link, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    read = TraceContextTextMapPropagator().extract
    distinct = list(dict.fromkeys(traceparents))[:MOST_LINKS]
    parents = [read({TRACEPARENT: one}, OfTraces()) for one in distinct]
    spans = [found for parent in parents if (found := get_current_span(parent).get_span_context()).is_valid]
    goes_on = len({found.trace_id for found in spans}) == 1
    links = [Link(found) for found in spans] if kind.name == "CONSUMER" else []
    within = (
        next(parent for parent in parents if get_current_span(parent).get_span_context().is_valid)
        if goes_on
        else OfTraces()
    )
    return _ended(tracer, name, kind, attributes, within, links)


@contextmanager
def _ended(
    tracer: "Tracer",
    name: str,
    kind: "SpanKind",
    attributes: Attributes,
    within: "Mapping[str, object] | None" = None,
    links: "Sequence[Link]" = (),
) -> Iterator[None]:
    from opentelemetry.trace import StatusCode

    with tracer.start_as_current_span(
        name,
        within,  # type: ignore[arg-type]
        kind,
        dict(attributes),
        links,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield
        except Exception as error:
            current.set_status(StatusCode.ERROR, type(error).__name__)
            raise
